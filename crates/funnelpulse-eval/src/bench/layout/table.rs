//! Tables with a column of labels: TSB-AD, `TimeEval`, SKAB and any other file of CSV, JSON lines or Parquet.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use funnelpulse_core::Timestamp;
use funnelpulse_io::{IoError, ReadOptions, Table};
use ndarray::{Array2, Axis, concatenate};

use super::{Place, Suite, SuiteOptions, parent, stem};
use crate::{EvalError, bench::BenchSeries};

/// Names of label columns in the public collections, in lower case and without anything between the words.
const LABELS: [&str; 20] = [
    "label",
    "labels",
    "isanomaly",
    "isanomalous",
    "anomaly",
    "anomalies",
    "anomalylabel",
    "isoutlier",
    "outlier",
    "outliers",
    "isattack",
    "attack",
    "target",
    "class",
    "groundtruth",
    "truth",
    "ytrue",
    "gt",
    "changepoint",
    "changepoints",
];
const TIMES: [&str; 7] = ["timestamp", "datetime", "time", "date", "windowstart", "ds", "index"];
const SERIES: [&str; 2] = ["file", "series"];

/// Lower case, without anything between the words.
fn plain(column: &str) -> String {
    column.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).collect::<String>().to_lowercase()
}

/// True if a column of this name holds labels in one of the public collections. The runner gives no such
/// column to a detector.
///
/// ```
/// use funnelpulse_eval::bench::is_label;
///
/// assert!(is_label("is_anomaly") && is_label("Label") && is_label("changepoint"));
/// assert!(!is_label("value"));
/// ```
pub fn is_label(column: &str) -> bool {
    LABELS.contains(&&*plain(column))
}

fn label_column(columns: &[String], options: &SuiteOptions) -> Option<String> {
    match &options.label_column {
        Some(named) => columns.contains(named).then(|| named.clone()),
        None => columns.iter().find(|c| is_label(c)).cloned(),
    }
}

fn series_column(columns: &[String], options: &SuiteOptions) -> Option<String> {
    match &options.series_column {
        Some(named) => columns.contains(named).then(|| named.clone()),
        None => columns.iter().find(|c| SERIES.contains(&&*plain(c))).cloned(),
    }
}

/// The column of times, where there is one.
pub(super) fn time_column(table: &Table, options: &SuiteOptions) -> Option<String> {
    let usual = || table.columns().iter().find(|c| TIMES.contains(&&*plain(c))).cloned();
    options.time_column.clone().filter(|c| table.has(c)).or_else(usual)
}

/// Adds the series of a file.
pub(super) fn find(root: &Path, file: &Path, options: &Arc<SuiteOptions>, suite: &mut Suite) -> Result<(), EvalError> {
    let wanted = ["csv", "tsv", "jsonl", "ndjson", "parquet", "gz"];
    if !file.extension().is_some_and(|end| wanted.iter().any(|w| end.eq_ignore_ascii_case(w))) || is_training(file) {
        return Ok(());
    }
    let columns = match header(file) {
        Ok(columns) => columns,
        Err(error) => {
            suite.skipped.push((file.to_path_buf(), error.to_string()));
            return Ok(());
        }
    };
    if label_column(&columns, options).is_none() {
        suite.skipped.push((file.to_path_buf(), "there is no column of labels".to_owned()));
        return Ok(());
    }
    if let Some(column) = series_column(&columns, options) {
        return find_many(root, file, &column, options, suite);
    }
    // `TimeEval` has a folder per data set, and its own names for the two files in it.
    let name = stem(file);
    let name = name.strip_suffix(".test").unwrap_or(&name).to_owned();
    let (collection, name) = match name.as_str() {
        "test" | "dataset" | "data" => {
            let folder = parent(root, file);
            let (above, own) = folder.rsplit_once('/').unwrap_or(("", folder.as_str()));
            let above = if above.is_empty() { parent(root, &root.join("x")) } else { above.to_owned() };
            (above, own.to_owned())
        }
        _ => (tsb_collection(&name).unwrap_or_else(|| parent(root, file)), name),
    };
    let training = training_file(file).filter(|_| options.training_files);
    suite.add(Place::Table { path: file.to_path_buf(), training }, collection, name, options);
    Ok(())
}

fn header(file: &Path) -> Result<Vec<String>, IoError> {
    let mut columns = Vec::new();
    Table::scan(file, &ReadOptions::default(), |piece| {
        columns = piece.columns().to_vec();
        Ok(ControlFlow::Break(()))
    })?;
    Ok(columns)
}

fn is_training(file: &Path) -> bool {
    let name = stem(file).to_lowercase();
    name.strip_suffix(".train").is_some() || name == "train" || name.starts_with("train_")
}

/// The training file beside a test file of `TimeEval`.
fn training_file(file: &Path) -> Option<PathBuf> {
    let (name, end) = (stem(file), file.extension()?.to_string_lossy().into_owned());
    let beside = |name: String| Some(file.with_file_name(format!("{name}.{end}"))).filter(|path| path.is_file());
    match name.strip_suffix(".test") {
        Some(own) => beside(format!("{own}.train")),
        None if name == "test" => beside("train_no_anomaly".to_owned()).or_else(|| beside("train".to_owned())),
        None => None,
    }
}

/// The data set in a file name of TSB-AD, `001_NAB_id_1_Facility_tr_1007_1st_2014`.
fn tsb_collection(name: &str) -> Option<String> {
    let mut parts = name.split('_');
    let number = parts.next()?;
    let collection = parts.next()?;
    let is_name = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && parts.next()? == "id";
    is_name.then(|| collection.to_owned())
}

/// The rows for learning in a file name of TSB-AD.
fn tsb_training(name: &str) -> Option<usize> {
    let (_, rest) = name.rsplit_once("_tr_")?;
    rest.split(['_', '.']).next()?.parse().ok()
}

/// The series of a file with many of them.
fn find_many(
    root: &Path,
    file: &Path,
    column: &str,
    options: &Arc<SuiteOptions>,
    suite: &mut Suite,
) -> Result<(), EvalError> {
    let table = Table::read(file).map_err(|error| EvalError::suite(file, error))?;
    let names = table.string_column(column).map_err(|error| EvalError::suite(file, error))?;
    let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, name) in names.into_iter().enumerate() {
        rows.entry(name.unwrap_or_default()).or_default().push(row);
    }
    let whole = whole(file, &table, (parent(root, file), String::new()), options)?;
    for (name, rows) in rows {
        let stem = name.strip_suffix(".csv").unwrap_or(&name).to_owned();
        let collection = tsb_collection(&stem).unwrap_or_else(|| super::stem(file));
        let series = BenchSeries {
            collection: collection.clone(),
            name: stem.clone(),
            columns: whole.columns.clone(),
            values: whole.values.select(Axis(0), &rows),
            times: whole
                .times
                .as_ref()
                .map(|times| rows.iter().map(|&row| times[row]).collect::<Vec<_>>())
                .filter(|times| increasing(times)),
            labels: rows.iter().map(|&row| whole.labels[row]).collect(),
            train_rows: tsb_training(&stem).filter(|k| *k > 0 && *k <= rows.len()),
            unevaluated: 0,
            ordered: true,
        };
        suite.add(Place::Loaded(Arc::new(series)), collection, stem, options);
    }
    Ok(())
}

/// Reads the series of a file, after the rows of a training file where there is one.
pub(super) fn load(
    path: &Path,
    training: Option<&Path>,
    names: (String, String),
    options: &SuiteOptions,
) -> Result<BenchSeries, EvalError> {
    let read = |path: &Path| Table::read(path).map_err(|error| EvalError::suite(path, error));
    let mut series = whole(path, &read(path)?, names, options)?;
    series.train_rows = tsb_training(&series.name).filter(|k| *k > 0 && *k <= series.labels.len());
    series.times = series.times.filter(|times| increasing(times));
    let Some(training) = training else { return Ok(series) };
    // Columns by name, since the two files need not agree in their order.
    let same = SuiteOptions { columns: series.columns.clone(), ..options.clone() };
    let before = whole(training, &read(training)?, (String::new(), String::new()), &same)?;
    let rows = before.labels.len();
    series.values = concatenate(Axis(0), &[before.values.view(), series.values.view()])
        .map_err(|error| EvalError::suite(training, error))?;
    series.labels = [before.labels, series.labels].concat();
    series.times = before.times.zip(series.times).map(|(a, b)| [a, b].concat());
    // Files that both count from the same time have no common clock.
    series.times = series.times.filter(|times| increasing(times));
    (series.train_rows, series.unevaluated) = (Some(rows), rows);
    Ok(series)
}

/// All rows of a table as one series.
fn whole(
    path: &Path,
    table: &Table,
    (collection, name): (String, String),
    options: &SuiteOptions,
) -> Result<BenchSeries, EvalError> {
    let missing = || EvalError::suite(path, "there is no column of labels");
    let label = label_column(table.columns(), options).ok_or_else(missing)?;
    let labels = table.f64_column(&label).map_err(|error| EvalError::suite(path, error))?;
    let labels = as_labels(&labels, path)?;
    let times = time_column(table, options).and_then(|c| table.time_column(&c).ok());
    let (columns, values) = values(table, options, &labels, path)?;
    let (train_rows, unevaluated, ordered) = (None, 0, true);
    Ok(BenchSeries { collection, name, columns, values, times, labels, train_rows, unevaluated, ordered })
}

/// Labels out of numbers, which have to be 0 and 1.
pub(super) fn as_labels(numbers: &[f64], path: &Path) -> Result<Vec<bool>, EvalError> {
    match numbers.iter().position(|l| *l != 0.0 && *l != 1.0) {
        Some(row) => {
            let reason = format!("row {}: a label is 0 or 1, found {}", row + 1, numbers[row]);
            Err(EvalError::suite(path, reason))
        }
        None => Ok(numbers.iter().map(|l| *l == 1.0).collect()),
    }
}

/// The columns that a detector may see, and their values.
pub(super) fn values(
    table: &Table,
    options: &SuiteOptions,
    labels: &[bool],
    path: &Path,
) -> Result<(Vec<String>, Array2<f64>), EvalError> {
    let wrong = |error: IoError| EvalError::suite(path, error);
    let mut columns = options.columns.clone();
    if columns.is_empty() {
        let numeric = table.numeric_columns();
        let is_other = |c: &String| {
            [label_column(&numeric, options), series_column(&numeric, options), time_column(table, options)]
                .into_iter()
                .any(|named| named.as_ref() == Some(c))
        };
        columns = numeric.iter().filter(|c| !is_label(c) && !is_other(c)).cloned().collect();
    }
    let mut kept = Vec::new();
    let mut data = Vec::new();
    for column in columns {
        let values = table.f64_column(&column).map_err(wrong)?;
        let chosen = !options.columns.is_empty();
        // A copy of the labels under any name stays out, also one that was asked for.
        let says = |label: f64| values.iter().zip(labels).all(|(v, l)| (*v == label) == *l);
        let copy = labels.contains(&true) && (says(1.0) || says(0.0));
        if !copy && (chosen || !counts_rows(&values)) {
            // Names are passed on as a list with commas.
            kept.push(column.replace(',', "_"));
            data.push(values);
        }
    }
    if kept.is_empty() {
        return Err(EvalError::suite(path, "there is no column of values"));
    }
    let values = Array2::from_shape_fn((labels.len(), kept.len()), |(row, column)| data[column][row]);
    Ok((kept, values))
}

/// True if values are numbers of rows, of one series or of several after another: each is one more than the
/// one before, or starts again.
fn counts_rows(values: &[f64]) -> bool {
    let first = values.first().copied().unwrap_or(f64::NAN);
    values.len() > 2
        && (first == 0.0 || first == 1.0)
        && values[1] == first + 1.0
        && values.windows(2).all(|pair| pair[1] == pair[0] + 1.0 || pair[1] == first)
}

/// Times that a detector can use: strictly increasing.
pub(super) fn increasing(times: &[Timestamp]) -> bool {
    times.windows(2).all(|pair| pair[0] < pair[1])
}
