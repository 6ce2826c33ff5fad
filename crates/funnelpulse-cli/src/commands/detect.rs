//! `funnelpulse detect`: score a table with a trained model.

use funnelpulse::FittedPipeline;

use crate::{
    Outcome, alerting,
    args::DetectArgs,
    context::catalog,
    input,
    output::{self, Omission},
    overwrite,
};

pub(crate) fn detect(args: &DetectArgs) -> anyhow::Result<Outcome> {
    let outputs = [("--output", Some(&*args.results.output)), ("--report", args.results.report.as_deref())];
    overwrite::refuse(&[&args.input, &args.model], &outputs)?;
    alerting::check(args.results.alerts.as_deref())?;
    let loading = output::spinner("loading");
    let model = FittedPipeline::load_with(&args.model, &catalog())?.with_progress(output::progress());
    let input = input::read(&args.input, model.config())?;
    loading.finish_and_clear();
    input.note_ingest();
    let mut findings = model.detect(&input.panel)?;
    input.locate(&mut findings, model.config(), |_| true)?;
    let title = format!("Anomalies in {}", args.input.display());
    let omissions = Omission::collect(model.left_out(), model.absences());
    output::deliver(findings, input, &model.config().input, &omissions, &args.results, &title)
}
