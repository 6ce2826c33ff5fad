//! `funnelpulse model`.

use anyhow::Context;
use funnelpulse::{FittedPipeline, core::inspect};
use serde_json::json;

use crate::args::{ModelAction, ModelArgs};

pub(crate) fn model(args: &ModelArgs) -> anyhow::Result<()> {
    let ModelAction::Inspect { path, json } = &args.action;
    let file = FittedPipeline::model_file(path);
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let info = inspect(&bytes).with_context(|| file.display().to_string())?;
    let model = FittedPipeline::load(path)?;
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
            "bytes": bytes.len(), "config": model.config(), "series": series,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    println!("{}: a {} of {} series", file.display(), info.kind, model.series().len());
    println!("format {}, written by version {}, {} bytes", info.format_version, info.crate_version, bytes.len());
    println!("\n{:<24}{:>8}  {:<22}{:<22}models", "series", "rows", "first", "last");
    for s in model.series() {
        let models: Vec<String> = s.models.iter().map(|(d, source)| format!("{d}:{source}")).collect();
        println!(
            "{:<24}{:>8}  {:<22}{:<22}{}",
            s.series.to_string(),
            s.rows,
            s.first.to_string(),
            s.last.to_string(),
            models.join(" ")
        );
    }
    println!("\nIts configuration: funnelpulse model inspect {} --json", path.display());
    Ok(())
}
