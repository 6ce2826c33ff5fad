//! `funnelpulse detect`: score a table with a trained model.

use funnelpulse::FittedPipeline;

use crate::{Outcome, args::DetectArgs, input, output};

pub(crate) fn detect(args: &DetectArgs) -> anyhow::Result<Outcome> {
    let loading = output::spinner("loading");
    let model = FittedPipeline::load(&args.model)?;
    let read = input::read(&args.input, model.config())?;
    loading.finish_and_clear();
    let mut findings = model.detect(&read.panel)?;
    findings.add_failures(read.failures);
    let title = format!("Anomalies in {}", args.input.display());
    output::deliver(&findings, &args.results, read.rows, read.ingest.as_ref(), &title)
}
