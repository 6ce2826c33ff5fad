//! Runs as a table, one row each.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    error::ArrowError,
};

use super::{BenchMetric, Run};
use crate::EvalError;

/// A row per run: data set, series, detector, how it ended, rows, columns, seconds, peak memory in MiB, metrics.
///
/// # Errors
/// Never for fewer than 2^31 bytes of names.
pub fn runs_to_batch(runs: &[Run]) -> Result<RecordBatch, ArrowError> {
    let text =
        |of: &dyn Fn(&Run) -> Option<String>| -> ArrayRef { Arc::new(runs.iter().map(of).collect::<StringArray>()) };
    let count = |of: &dyn Fn(&Run) -> Option<usize>| -> ArrayRef {
        Arc::new(runs.iter().map(|run| of(run).map(|n| n as u64)).collect::<UInt64Array>())
    };
    let number =
        |of: &dyn Fn(&Run) -> Option<f64>| -> ArrayRef { Arc::new(runs.iter().map(of).collect::<Float64Array>()) };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("collection", text(&|run| Some(run.collection.clone()))),
        ("series", text(&|run| Some(run.series.clone()))),
        ("detector", text(&|run| Some(run.detector.clone()))),
        ("status", text(&|run| Some(run.status.as_str().to_owned()))),
        ("message", text(&|run| run.message.clone())),
        ("rows", count(&|run| Some(run.rows))),
        ("columns", count(&|run| Some(run.columns))),
        ("anomalous_rows", count(&|run| run.evaluation.as_ref().map(|e| e.anomalous_rows))),
        ("events", count(&|run| run.evaluation.as_ref().map(|e| e.events))),
        ("seconds", number(&|run| Some(run.seconds))),
        ("peak_mib", number(&|run| run.peak_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)))),
    ];
    for metric in BenchMetric::ALL {
        columns.push((metric.as_str(), number(&|run| run.evaluation.as_ref().map(|e| metric.of(e)))));
    }
    columns.push(("nab", number(&|run| run.evaluation.as_ref().map(|e| e.nab))));
    columns.push(("event_recall", number(&|run| run.evaluation.as_ref().map(|e| e.event_recall))));
    columns.push(("event_precision", number(&|run| run.evaluation.as_ref().map(|e| e.event_precision))));
    columns.push(("detection_delay", number(&|run| run.evaluation.as_ref().and_then(|e| e.detection_delay))));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
}

/// The runs in the folder of a benchmark, also of one that did not end.
///
/// # Errors
/// A folder without runs.
pub fn read_runs(folder: &Path) -> Result<Vec<Run>, EvalError> {
    let path = folder.join("runs.jsonl");
    let text = std::fs::read_to_string(&path).map_err(|error| EvalError::suite(&path, error))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
