//! `funnelpulse model`.

use std::fmt::Write;

use anyhow::Context;
use funnelpulse::{FittedPipeline, core::inspect};
use serde_json::json;

use crate::{
    args::{ModelAction, ModelArgs},
    context::catalog,
    output,
};

pub(crate) fn model(args: &ModelArgs) -> anyhow::Result<()> {
    let ModelAction::Inspect { path, json } = &args.action;
    let file = FittedPipeline::model_file(path);
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let info = inspect(&bytes).with_context(|| file.display().to_string())?;
    let model = FittedPipeline::load_with(path, &catalog())?;
    if *json {
        let series: Vec<_> = model
            .series()
            .map(|s| {
                let models: Vec<_> =
                    s.models.iter().map(|(d, source)| json!({"detector": d, "source": source})).collect();
                json!({
                    "series": s.series, "rows": s.rows, "first": s.first.to_string(), "last": s.last.to_string(),
                    "models": models,
                })
            })
            .collect();
        let document = json!({
            "kind": info.kind, "format_version": info.format_version, "crate_version": info.crate_version,
            "payload_version": info.payload_version,
            "bytes": bytes.len(), "config": model.config(), "series": series,
            "threshold": model.threshold(), "weights": model.weights(),
        });
        return output::say(serde_json::to_string_pretty(&document)?);
    }
    let mut text = String::new();
    writeln!(text, "{}: a {} of {} series", file.display(), info.kind, model.series().len())?;
    let (format, payload, crate_version) = (info.format_version, info.payload_version, info.crate_version);
    writeln!(
        text,
        "format {format}, written by version {crate_version}, payload version {payload}, {} bytes",
        bytes.len()
    )?;
    let detectors = model.config().pipeline.detectors.iter();
    let weights: Vec<String> = detectors.filter_map(|d| Some(format!("{d} {:.3}", model.weights().get(d)?))).collect();
    writeln!(text, "threshold {:.3}; weights: {}", model.threshold(), weights.join(", "))?;
    writeln!(text, "\n{:<24}{:>8}  {:<22}{:<22}models", "series", "rows", "first", "last")?;
    for s in model.series() {
        let models: Vec<String> = s.models.iter().map(|(d, source)| format!("{d}:{source}")).collect();
        let (series, first, last) = (s.series.to_string(), s.first.to_string(), s.last.to_string());
        writeln!(text, "{series:<24}{:>8}  {first:<22}{last:<22}{}", s.rows, models.join(" "))?;
    }
    write!(text, "\nIts configuration: funnelpulse model inspect {} --json", path.display())?;
    output::say(text)
}
