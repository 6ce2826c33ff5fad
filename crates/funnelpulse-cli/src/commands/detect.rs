//! `funnelpulse detect`: score a table with a trained model.

mod state;

use std::sync::Arc;

use funnelpulse::FittedPipeline;

use crate::{
    Outcome, alerting,
    args::DetectArgs,
    context::catalog,
    input,
    output::{self, Omission},
    outputs, overwrite,
};

pub(crate) fn detect(args: &DetectArgs) -> anyhow::Result<Outcome> {
    let state = args.state.as_deref();
    let named =
        [("--output", Some(&*args.results.output)), ("--report", args.results.report.as_deref()), ("--state", state)];
    overwrite::refuse(&[&args.input, &args.model], &named)?;
    output::check_paths(&args.results)?;
    state.map_or(Ok(()), |path| outputs::staged("--state", path))?;
    alerting::check(args.results.alerts.as_deref())?;
    let loading = output::spinner("loading");
    let model = FittedPipeline::load_with(&args.model, &catalog())?.with_progress(output::progress());
    let input = input::read(&args.input, model.config())?;
    loading.finish_and_clear();
    input.note_ingest();
    let title = format!("Anomalies in {}", args.input.display());
    let omissions = Omission::collect(model.left_out(), model.absences());
    let Some(path) = state else {
        let mut findings = model.detect(&input.panel)?;
        input.locate(&mut findings, model.config(), |_| true)?;
        return output::deliver(findings, input, &model.config().input, &omissions, &args.results, &title);
    };
    let model = Arc::new(model);
    let (mut findings, next) = state::follow(path, &model, &input.panel)?;
    // Only the events of this input are at hand.
    let first = input.panel.iter().filter_map(|(_, frame)| frame.time().first()).min().copied();
    input.locate(&mut findings, model.config(), |incident| first.is_some_and(|first| incident.end > first))?;
    let outcome = output::deliver(findings, input, &model.config().input, &omissions, &args.results, &title)?;
    // Last of all: after a crash the same command gives the same results.
    next.commit()?;
    Ok(outcome)
}
