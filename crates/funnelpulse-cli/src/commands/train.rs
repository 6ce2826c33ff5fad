//! `funnelpulse train`.

use funnelpulse::Pipeline;

use crate::{
    Outcome,
    args::TrainArgs,
    context::catalog,
    input::{self, configuration},
    output, outputs, overwrite,
};

pub(crate) fn train(args: &TrainArgs) -> anyhow::Result<Outcome> {
    overwrite::refuse(&[&args.input], &[("--model", Some(&args.model))])?;
    outputs::model("--model", &args.model)?;
    let config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let input = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    input.note_ingest();
    let pipeline =
        Pipeline::builder().catalog((*catalog()).clone()).config(config).progress(output::progress()).build()?;
    let feedback = args.feedback.as_deref().map(input::feedback).transpose()?.unwrap_or_default();
    let model = pipeline.fit_with_feedback(&input.panel, &feedback)?;
    let failures: Vec<_> = input.failures.iter().chain(model.failures()).cloned().collect();
    output::print_failures(&failures, "");
    if model.series().len() == 0 {
        output::warn("error: no series could be trained, nothing was saved");
        return Ok(Outcome::Unscored);
    }
    model.save(&args.model)?;
    let (series, path) = (model.series().len(), args.model.display());
    output::say(format_args!("Trained on {series} series; the model is in {path}"))?;
    Ok(if args.strict && !failures.is_empty() { Outcome::Unscored } else { Outcome::Done })
}
