//! The layout of the Numenta Anomaly Benchmark: one CSV file per series, all anomaly windows in one JSON file.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use funnelpulse_core::{Timestamp, parse_timestamp};
use funnelpulse_io::Table;

use super::{Place, Suite, SuiteOptions, collect, parent, stem, table};
use crate::{EvalError, bench::BenchSeries};

/// First and last time of an anomaly window, both part of it.
pub(super) type Window = (Timestamp, Timestamp);

/// The share of a series that NAB gives to detectors for learning, up to so many rows.
const PROBATION: (f64, usize) = (0.15, 750);

pub(super) fn find(
    root: &Path,
    windows: &Path,
    options: &Arc<SuiteOptions>,
    suite: &mut Suite,
) -> Result<(), EvalError> {
    let text = std::fs::read_to_string(windows).map_err(|error| EvalError::suite(windows, error))?;
    let all: BTreeMap<String, Vec<[String; 2]>> =
        serde_json::from_str(&text).map_err(|error| EvalError::suite(windows, error))?;
    let data = if root.join("data").is_dir() { root.join("data") } else { root.to_path_buf() };
    let mut files = Vec::new();
    collect(&data, &mut files).map_err(|error| EvalError::suite(&data, error))?;
    for file in files {
        let key = file.strip_prefix(&data).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let Some(own) = all.get(&key) else {
            suite.skipped.push((file, "it has no entry in the file of windows".to_owned()));
            continue;
        };
        let time = |text: &String| {
            parse_timestamp(text).map_err(|error| EvalError::suite(windows, format!("`{key}`: {error}")))
        };
        let own =
            own.iter().map(|[start, end]| Ok((time(start)?, time(end)?))).collect::<Result<Vec<_>, EvalError>>()?;
        suite.add(
            Place::Nab { path: file.clone(), windows: Arc::new(own) },
            parent(&data, &file),
            stem(&file),
            options,
        );
    }
    Ok(())
}

pub(super) fn load(
    path: &Path,
    windows: &[Window],
    (collection, name): (String, String),
    options: &SuiteOptions,
) -> Result<BenchSeries, EvalError> {
    let table = Table::read(path).map_err(|error| EvalError::suite(path, error))?;
    let time = table::time_column(&table, options).unwrap_or_else(|| "timestamp".to_owned());
    let times = table.time_column(&time).map_err(|error| EvalError::suite(path, error))?;
    let labels: Vec<bool> =
        times.iter().map(|t| windows.iter().any(|(start, end)| (start..=end).contains(&t))).collect();
    let (columns, values) = table::values(&table, options, &labels, path)?;
    let train_rows = Some(((labels.len() as f64 * PROBATION.0) as usize).min(PROBATION.1)).filter(|rows| *rows > 0);
    Ok(BenchSeries {
        collection,
        name,
        columns,
        values,
        times: Some(times).filter(|times| table::increasing(times)),
        labels,
        train_rows,
        unevaluated: 0,
        ordered: true,
    })
}
