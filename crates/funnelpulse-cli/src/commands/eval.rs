//! `funnelpulse eval`: scores against labels.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use funnelpulse::{
    eval::{Evaluation, EvaluationOptions, evaluate, mean, metrics::acf_period},
    io::Table,
};
use serde_json::json;

use crate::args::EvalArgs;

/// Labels and values of one series, in the order of the table.
#[derive(Default)]
struct Labelled {
    labels: Vec<bool>,
    values: Vec<f64>,
}

pub(crate) fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let labelled = read_labels(args)?;
    let mut scores = read_scores(&args.scores)?;
    let mut evaluations: Vec<(String, Evaluation)> = Vec::new();
    let mut without = Vec::new();
    for (name, series) in &labelled {
        let own =
            scores.remove(name).or_else(|| (labelled.len() == 1).then(|| scores.pop_first()).flatten().map(|s| s.1));
        let own = own.with_context(|| format!("{}: there are no scores of series `{name}`", args.scores.display()))?;
        if own.len() != series.labels.len() {
            bail!("series `{name}`: {} scores for {} labels", own.len(), series.labels.len());
        }
        if series.labels.iter().all(|l| *l) || !series.labels.contains(&true) {
            without.push(name.as_str());
            continue;
        }
        let period =
            if series.values.is_empty() { EvaluationOptions::default().window } else { acf_period(&series.values) };
        let options = EvaluationOptions {
            window: args.window.unwrap_or(period),
            rows_per_day: args.rows_per_day,
            ..EvaluationOptions::default()
        };
        let evaluation = evaluate(&series.labels, &own, &options).with_context(|| format!("series `{name}`"))?;
        evaluations.push((name.clone(), evaluation));
    }
    let all: Vec<Evaluation> = evaluations.iter().map(|(_, e)| e.clone()).collect();
    let Some(mean) = mean(&all) else {
        bail!("{}: no series has both normal and labelled rows", args.labels.display());
    };
    if args.json {
        let series: BTreeMap<&str, &Evaluation> = evaluations.iter().map(|(n, e)| (n.as_str(), e)).collect();
        let document = json!({"mean": mean, "series": series, "not_evaluated": without});
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    if !without.is_empty() {
        eprintln!("note: {} series without an anomaly, or of nothing else, are left out", without.len());
    }
    println!("Mean over {} series\n\n{mean}", all.len());
    Ok(())
}

fn read_labels(args: &EvalArgs) -> anyhow::Result<BTreeMap<String, Labelled>> {
    let table = Table::read(&args.labels)?;
    let pick = |named: &Option<String>, usual: &[&str]| {
        named.clone().or_else(|| usual.iter().find(|c| table.has(c)).map(ToString::to_string))
    };
    let labels = table.f64_column(&args.label_column)?;
    if let Some(row) = labels.iter().position(|l| *l != 0.0 && *l != 1.0) {
        let (file, column, label) = (args.labels.display(), &args.label_column, labels[row]);
        bail!("{file}: row {}, column `{column}`: a label is 0 or 1, found {label}", row + 1);
    }
    let names = match pick(&args.series_column, &["series", "file", "brand"]) {
        Some(column) => table.string_column(&column)?.into_iter().map(Option::unwrap_or_default).collect(),
        None => vec![String::new(); labels.len()],
    };
    let values = pick(&args.value_column, &["data", "value"]).map(|c| table.f64_column(&c)).transpose()?;
    let mut series: BTreeMap<String, Labelled> = BTreeMap::new();
    for (row, name) in names.into_iter().enumerate() {
        let entry = series.entry(name).or_default();
        entry.labels.push(labels[row] == 1.0);
        entry.values.extend(values.as_ref().map(|v| v[row]));
    }
    Ok(series)
}

fn read_scores(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let table = Table::read(path)?;
    let scores = table.f64_column("score")?;
    let names = table.string_column("series")?;
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, score) in names.into_iter().zip(scores) {
        series.entry(name.unwrap_or_default()).or_default().push(score);
    }
    Ok(series)
}
