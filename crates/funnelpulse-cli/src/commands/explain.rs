//! `funnelpulse explain`: one hour of one series, seen from every side.

use anyhow::{Context, bail};
use funnelpulse::{
    FittedPipeline, SeriesFindings,
    analytics::short,
    core::{Columns, Panel, parse_timestamp},
};
use serde_json::json;

use crate::{args::ExplainArgs, input};

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let model = FittedPipeline::load(&args.model)?;
    let read = input::read(&args.input, model.config())?;
    let time = parse_timestamp(&args.time)?;
    let frame = read.panel.get(&args.series);
    let frame = frame.with_context(|| format!("{}: there is no series `{}`", args.input.display(), args.series))?;
    let mut panel = Panel::new(read.panel.columns().clone());
    panel.insert(args.series.as_str(), frame.clone())?;
    let findings = model.detect(&panel)?;
    let Some(series) = findings.series().first() else {
        bail!("{}", findings.failures().iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; "));
    };
    let row = series.time.binary_search(&time).ok();
    let row = row.with_context(|| {
        let ends = series.time.first().zip(series.time.last());
        let range = ends.map(|(a, b)| format!(" (its rows run from {a} to {b})")).unwrap_or_default();
        format!("series `{}` has no row at {time}{range}", args.series)
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&as_json(series, findings.metrics(), row))?);
    } else {
        print_text(series, findings.metrics(), row);
    }
    Ok(())
}

fn as_json(series: &SeriesFindings, metrics: &Columns, row: usize) -> serde_json::Value {
    // JSON has no NaN: serde_json writes null, which is what a missing value is.
    let metric = |(i, name): (usize, &std::sync::Arc<str>)| {
        json!({
            "metric": name,
            "observed": series.observed[[row, i]],
            "expected": series.expected[[row, i]],
            "z": series.z[[row, i]],
        })
    };
    let model =
        |m: &funnelpulse::ModelScores| json!({"detector": m.detector, "source": m.source, "score": m.scores[row]});
    let verdict = series.verdicts[row];
    let anomaly = series.anomalies.iter().find(|a| a.row == row);
    json!({
        "series": series.series,
        "time": series.time[row].to_string(),
        "is_anomaly": verdict.is_anomaly,
        "score": verdict.score,
        "threshold": verdict.threshold,
        "confidence": verdict.confidence,
        "metrics": metrics.iter().enumerate().map(metric).collect::<Vec<_>>(),
        "models": series.models.iter().map(model).collect::<Vec<_>>(),
        "factors": anomaly.map(|a| &a.factors),
        "alert": anomaly.map(|a| &a.alert),
    })
}

fn print_text(series: &SeriesFindings, metrics: &Columns, row: usize) {
    let verdict = series.verdicts[row];
    match series.anomalies.iter().find(|a| a.row == row) {
        Some(anomaly) => println!("{}\n{}", anomaly.alert.title, anomaly.alert.message),
        None => println!("Nothing unusual in {} at {}.", series.series, series.time[row]),
    }
    println!(
        "\nscore {:.3} against a threshold of {:.3}, confidence {:.2}",
        verdict.score, verdict.threshold, verdict.confidence
    );
    println!("\n{:<22}{:>12}{:>12}{:>10}", "metric", "observed", "expected", "z");
    for (i, name) in metrics.iter().enumerate() {
        let number = |v: f64| if v.is_nan() { "-".to_owned() } else { short(v) };
        println!(
            "{name:<22}{:>12}{:>12}{:>10}",
            number(series.observed[[row, i]]),
            number(series.expected[[row, i]]),
            number(series.z[[row, i]])
        );
    }
    println!("\n{:<22}{:>12}{:>12}", "detector", "model", "score");
    for model in &series.models {
        println!("{:<22}{:>12}{:>12.3}", model.detector, model.source, model.scores[row]);
    }
}
