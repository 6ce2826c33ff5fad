//! `funnelpulse explain`: one hour of one series, seen from every side.

use std::fmt::Write;

use anyhow::{Context, bail};
use funnelpulse::{
    FittedPipeline, Incident, SeriesFindings,
    analytics::short,
    core::{Columns, SeriesKey, Timestamp, hint, nearest_name, parse_timestamp},
};
use ndarray::{ArrayView2, s};
use serde_json::json;

use crate::{
    args::ExplainArgs,
    context::catalog,
    input, output, outputs,
    plot::{self, Legend, Picture, PlotPanel},
};

/// Time before and after the explained row that is drawn, in hours.
const DRAWN_HOURS: (i64, i64) = (7 * 24, 24);

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    outputs::in_place("--plot", args.plot.as_deref())?;
    let time = parse_timestamp(&args.time).context("--time")?;
    let model = FittedPipeline::load_with(&args.model, &catalog())?;
    let read = input::read(&args.input, model.config())?;
    if read.panel.get(&args.series).is_none() {
        bail!("{}: {}", args.input.display(), why_absent(&read, &args.series));
    }
    // All series: what they share is no anomaly of this one.
    let mut findings = model.detect(&read.panel)?;
    read.locate(&mut findings, model.config(), |i| {
        i.series.as_str() == args.series && i.start <= time && time < i.end
    })?;
    let Some(series) = findings.series().iter().find(|s| s.series.as_str() == args.series) else {
        let failures = findings.failures().iter().filter(|f| f.series.as_str() == args.series);
        bail!("{}", failures.map(|f| f.message.as_str()).collect::<Vec<_>>().join("; "));
    };
    let row = series.time.binary_search(&time).ok();
    let row = row.with_context(|| {
        let ends = series.time.first().zip(series.time.last());
        let range = ends.map(|(a, b)| format!(" (its rows run from {a} to {b})")).unwrap_or_default();
        format!("series `{}` has no row at {time}{range}", args.series)
    })?;
    if let Some(path) = &args.plot {
        plot::write(path, &[picture(series, findings.metrics(), row)])?;
    }
    if args.json {
        output::say(serde_json::to_string_pretty(&as_json(series, findings.metrics(), row))?)
    } else {
        output::say(as_text(series, findings.metrics(), row)?)
    }
}

/// The metrics with what was expected of them and the score with its threshold, around the row, which is marked.
fn picture(series: &SeriesFindings, metrics: &Columns, row: usize) -> Picture {
    let at = |hours: i64| Timestamp::from_micros(series.time[row].as_micros() + hours * 3_600 * Timestamp::SECOND);
    let first = series.time.partition_point(|time| *time < at(-DRAWN_HOURS.0));
    let end = series.time.partition_point(|time| *time <= at(DRAWN_HOURS.1));
    let mark = (row - first, (row - first, row - first));
    let part = |values: ArrayView2<'_, f64>, column: usize| values.slice(s![first..end, column]).to_vec();
    let marked = if series.verdicts[row].is_anomaly { "anomaly" } else { "explained row" };
    let legend = Legend { breaks: marked.to_owned(), ..Legend::default() };
    let panel = |(column, name): (usize, &std::sync::Arc<str>)| {
        let [observed, expected, lower, upper] =
            [&series.observed, &series.expected, &series.lower, &series.upper].map(|of| part(of.view(), column));
        PlotPanel {
            title: name.to_string(),
            range: drawn_range([&observed, &expected], [&lower, &upper]),
            observed: Some(observed),
            fitted: Some(expected),
            interval: Some((lower, upper)),
            breaks: vec![mark],
            legend: legend.clone(),
            ..PlotPanel::default()
        }
    };
    let score = PlotPanel {
        title: "score".to_owned(),
        observed: Some(series.verdicts[first..end].iter().map(|verdict| verdict.score).collect()),
        limit: Some(series.verdicts[row].threshold),
        breaks: vec![mark],
        legend: Legend { observed: "score".to_owned(), ..legend.clone() },
        ..PlotPanel::default()
    };
    Picture {
        title: format!("{} at {}", series.series, series.time[row]),
        times: Some(series.time[first..end].to_vec()),
        panels: metrics.iter().enumerate().map(panel).chain([score]).collect(),
    }
}

/// The values that a panel shows: those of the lines, and of the expected range what is at most as far from them as they
/// are from each other. The range of a rate of few events would leave nothing of the lines to be seen.
fn drawn_range(lines: [&[f64]; 2], interval: [&[f64]; 2]) -> Option<(f64, f64)> {
    let ends = |values: [&[f64]; 2]| {
        let known = values.into_iter().flatten().copied().filter(|value| value.is_finite());
        known.fold(None, |ends: Option<(f64, f64)>, value| {
            ends.map_or(Some((value, value)), |(low, high)| Some((low.min(value), high.max(value))))
        })
    };
    let (low, high) = ends(lines)?;
    let (lowest, highest) = ends(interval).unwrap_or((low, high));
    let height = high - low;
    Some((low.min(lowest.max(low - height)), high.max(highest.min(high + height))))
}

/// Left out when the table was read, or not in it; then a few that are.
fn why_absent(read: &input::Input, series: &str) -> String {
    const SHOWN: usize = 5;
    if let Some(failure) = read.failures.iter().find(|f| f.series.as_str() == series) {
        return format!("series `{series}` can't be used: {}", failure.message);
    }
    if let Some(name) = nearest_name(read.panel.keys().map(SeriesKey::as_str), series) {
        return format!("there is no series `{series}`{}", hint(Some(name)));
    }
    let mut some: Vec<&str> = read.panel.keys().take(SHOWN).map(SeriesKey::as_str).collect();
    if read.panel.len() > SHOWN {
        some.push("...");
    }
    format!("there is no series `{series}` (there are: {})", some.join(", "))
}

fn incident_at(series: &SeriesFindings, row: usize) -> Option<&Incident> {
    series.incidents.iter().find(|i| (i.rows.0..=i.rows.1).contains(&row))
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
        "alert": anomaly.map(|a| &a.notice),
        "incident": incident_at(series, row),
    })
}

fn as_text(series: &SeriesFindings, metrics: &Columns, row: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let verdict = series.verdicts[row];
    match series.anomalies.iter().find(|a| a.row == row) {
        Some(anomaly) => writeln!(text, "{}\n{}", anomaly.notice.title, anomaly.notice.message)?,
        None => writeln!(text, "Nothing unusual in {} at {}.", series.series, series.time[row])?,
    }
    if let Some(incident) = incident_at(series, row) {
        writeln!(text, "{}", incident.summary)?;
        if let Some(place) = &incident.place {
            writeln!(text, "Where: {place}")?;
        }
        if !incident.stages.is_empty() {
            writeln!(text, "\nchange of revenue by stage")?;
        }
        for (stage, part) in &incident.stages {
            let sign = if *part > 0.0 { "+" } else { "" };
            writeln!(text, "{stage:<22}{:>12}", format!("{sign}{}", short(*part)))?;
        }
    }
    writeln!(
        text,
        "\nscore {:.3} against a threshold of {:.3}, confidence {:.2}",
        verdict.score, verdict.threshold, verdict.confidence
    )?;
    writeln!(text, "\n{:<22}{:>12}{:>12}{:>10}", "metric", "observed", "expected", "z")?;
    for (i, name) in metrics.iter().enumerate() {
        let number = |v: f64| if v.is_nan() { "-".to_owned() } else { short(v) };
        let [observed, expected, z] = [&series.observed, &series.expected, &series.z].map(|m| number(m[[row, i]]));
        writeln!(text, "{name:<22}{observed:>12}{expected:>12}{z:>10}")?;
    }
    write!(text, "\n{:<22}{:>12}{:>12}", "detector", "model", "score")?;
    for model in &series.models {
        write!(text, "\n{:<22}{:>12}{:>12.3}", model.detector, model.source, model.scores[row])?;
    }
    Ok(text)
}
