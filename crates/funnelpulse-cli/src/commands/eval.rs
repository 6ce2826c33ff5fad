//! `funnelpulse eval`: scores against labels.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use funnelpulse::{
    eval::{
        Evaluation, EvaluationOptions,
        bench::{Suite, SuiteOptions, is_label},
        evaluate, mean,
        metrics::acf_period,
    },
    io::{ReadOptions, Table},
};
use serde_json::json;

use crate::{
    args::EvalArgs,
    input::{rows_by_series, series_names},
    output,
};

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
    if args.labels.is_dir() {
        return read_suite(args);
    }
    let table = Table::read(&args.labels)?;
    let pick = |named: &Option<String>, usual: &[&str]| {
        named.clone().or_else(|| usual.iter().find(|c| table.has(c)).map(ToString::to_string))
    };
    let usual = || table.columns().iter().filter(|_| !table.has("label")).find(|c| is_label(c)).cloned();
    let column = args.label_column.clone().or_else(usual).unwrap_or_else(|| "label".to_owned());
    let labels = table.f64_column(&column)?;
    if let Some(row) = labels.iter().position(|l| *l != 0.0 && *l != 1.0) {
        let (file, label) = (args.labels.display(), labels[row]);
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

/// A folder of labelled series, in any layout that `bench` reads.
fn read_suite(args: &EvalArgs) -> anyhow::Result<BTreeMap<String, Labelled>> {
    let options = SuiteOptions {
        label_column: args.label_column.clone(),
        series_column: args.series_column.clone(),
        columns: args.value_column.iter().cloned().collect(),
        ..SuiteOptions::default()
    };
    let suite = Suite::find(&args.labels, &options)?;
    let mut all = BTreeMap::new();
    for source in &suite.series {
        let series = source.load()?;
        let own = Labelled { labels: series.labels.clone(), values: series.values.column(0).to_vec() };
        if all.insert(source.name().to_owned(), own).is_some() {
            bail!("{}: two series are called `{}`", args.labels.display(), source.name());
        }
    }
    Ok(all)
}

/// Scores of a file, or of all files of a folder: each with its series, or by its name the scores of one.
fn read_scores(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    if !path.is_dir() {
        return read_file(path);
    }
    let mut all = BTreeMap::new();
    let options = ReadOptions { file_column: Some(FILE_COLUMN.to_owned()), ..ReadOptions::default() };
    let table = Table::read_with(path, &options)?;
    if table.has("series") && table.has("row") {
        for (file, _) in table.files() {
            for (name, scores) in read_file(file)? {
                // What scored one file alone calls the series by that file.
                let name =
                    Path::new(&name).file_stem().map_or(name.clone(), |stem| stem.to_string_lossy().into_owned());
                insert(&mut all, path, name, scores)?;
            }
        }
        return Ok(all);
    }
    let scores = table.f64_column("score")?;
    for (name, rows) in rows_by_series(&table, Some(FILE_COLUMN))? {
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        insert(&mut all, path, name, rows.into_iter().map(|row| scores[row]).collect())?;
    }
    Ok(all)
}

/// The column that names the file of each row.
const FILE_COLUMN: &str = "file of the scores";

fn insert(all: &mut BTreeMap<String, Vec<f64>>, path: &Path, name: String, scores: Vec<f64>) -> anyhow::Result<()> {
    match all.insert(name.clone(), scores) {
        Some(_) => bail!("{}: there are two sets of scores of series `{name}`", path.display()),
        None => Ok(()),
    }
}

fn read_file(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
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
