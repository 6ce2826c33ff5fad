//! `funnelpulse run`: train on a table and score the same rows.

use funnelpulse::Pipeline;

use crate::{
    Outcome, alerting,
    args::RunArgs,
    context::catalog,
    input::{self, configuration},
    output::{self, Omission},
    outputs, overwrite,
};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let results = &args.results;
    let named = [
        ("--output", Some(&*results.output)),
        ("--report", results.report.as_deref()),
        ("--model", args.model.as_deref()),
    ];
    overwrite::refuse(&[&args.input], &named)?;
    output::check_paths(results)?;
    args.model.as_deref().map_or(Ok(()), |path| outputs::model("--model", path))?;
    alerting::check(results.alerts.as_deref())?;
    let config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let input = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    input.note_ingest();
    let pipeline =
        Pipeline::builder().catalog((*catalog()).clone()).config(config).progress(output::progress()).build()?;
    let title = format!("Anomalies in {}", args.input.display());
    let spec = &pipeline.config().input;
    let (model, mut findings) = match args.model {
        Some(_) => pipeline.fit_run(&input.panel).map(|(model, findings)| (Some(model), findings))?,
        None => (None, pipeline.run(&input.panel)?),
    };
    input.locate(&mut findings, pipeline.config(), |_| true)?;
    let omissions = Omission::collect(pipeline.left_out(), findings.absences());
    let outcome = output::deliver(findings, input, spec, &omissions, &args.results, &title)?;
    if let Some((path, model)) = args.model.as_deref().zip(model).filter(|(_, model)| model.series().len() > 0) {
        model.save(path)?;
    }
    Ok(outcome)
}
