//! `funnelpulse run`: train on a table and score the same rows.

use funnelpulse::Pipeline;

use crate::{
    Outcome, alerting,
    args::RunArgs,
    input::{self, configuration},
    output,
};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    alerting::check(args.results.alerts.as_deref())?;
    let config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let input = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    input.note_ingest();
    let pipeline = Pipeline::builder().config(config).progress(output::progress()).build()?;
    let title = format!("Anomalies in {}", args.input.display());
    let spec = &pipeline.config().input;
    let Some(path) = &args.model else {
        let mut findings = pipeline.run(&input.panel)?;
        input.locate(&mut findings, pipeline.config(), |_| true)?;
        return output::deliver(findings, input, spec, &args.results, &title);
    };
    let model = pipeline.fit(&input.panel)?;
    let mut findings = model.detect(&input.panel)?;
    input.locate(&mut findings, model.config(), |_| true)?;
    let outcome = output::deliver(findings, input, spec, &args.results, &title)?;
    if model.series().len() > 0 {
        model.save(path)?;
    }
    Ok(outcome)
}
