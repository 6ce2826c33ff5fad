//! `funnelpulse eval`: scores against labels.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use funnelpulse::{
    eval::{Evaluation, EvaluationOptions, evaluate, mean, metrics::acf_period},
    io::Table,
};
use serde_json::json;

use crate::{args::EvalArgs, input::series_names, output};

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
        // One series needs no name to be matched.
        let only = labelled.len() == 1 && scores.len() == 1;
        let own = scores.remove(name).or_else(|| only.then(|| scores.pop_first()).flatten().map(|s| s.1));
        let own = own.with_context(|| format!("{}: there are no scores of series `{name}`", args.scores.display()))?;
        if own.len() != series.labels.len() {
            let (file, scores, labels) = (args.scores.display(), own.len(), series.labels.len());
            bail!("{file}: series `{name}`: {scores} scores for {labels} labels");
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
        let evaluation = evaluate(&series.labels, &own, &options)
            .with_context(|| format!("{}: series `{name}`", args.scores.display()))?;
        evaluations.push((name.clone(), evaluation));
    }
    if !scores.is_empty() {
        output::note(format_args!("note: {} series of scores have no labels", scores.len()));
    }
    let all: Vec<Evaluation> = evaluations.iter().map(|(_, e)| e.clone()).collect();
    let Some(mean) = mean(&all) else {
        bail!("{}: no series has both normal and labelled rows", args.labels.display());
    };
    if args.json {
        let series: BTreeMap<&str, &Evaluation> = evaluations.iter().map(|(n, e)| (n.as_str(), e)).collect();
        let document = json!({"mean": mean, "series": series, "not_evaluated": without});
        return output::say(serde_json::to_string_pretty(&document)?);
    }
    if !without.is_empty() {
        output::note(format_args!(
            "note: {} series without an anomaly, or of nothing else, are left out",
            without.len()
        ));
    }
    output::say(format_args!("Mean over {} series\n\n{mean}", all.len()))
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
        Some(column) => series_names(&table, &column)?,
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
    let names = series_names(&table, "series")?;
    let numbers = table.f64_column("row")?;
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (i, ((name, score), number)) in names.into_iter().zip(scores).zip(numbers).enumerate() {
        let scores = series.entry(name).or_default();
        if number != scores.len() as f64 {
            let (file, row, expected) = (path.display(), i + 1, scores.len());
            bail!(
                "{file}: row {row}, column `row`: rows of a series count up from 0, expected {expected}, found {number}"
            );
        }
        scores.push(score);
    }
    Ok(series)
}
