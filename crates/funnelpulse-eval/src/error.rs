//! Errors of measuring and generating.

use funnelpulse_core::{FrameError, counted};

/// Errors of this crate. Rows count from zero.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Two inputs that go row by row differ in length.
    #[error("{}, but {other} {what}", counted(*labels, "label", "labels"))]
    Length {
        /// Number of labels.
        labels: usize,
        /// Number of the others.
        other: usize,
        /// The name of the others.
        what: &'static str,
    },
    /// No row is labelled anomalous, so nothing can be recalled.
    #[error("none of the {rows} rows is labelled as an anomaly; the metric needs at least one")]
    NoAnomaly {
        /// Number of rows.
        rows: usize,
    },
    /// Every row is labelled anomalous, so there are no normal rows to compare with.
    #[error("all {rows} rows are labelled as anomalies; the metric needs at least one normal row")]
    NoNormal {
        /// Number of rows.
        rows: usize,
    },
    /// A score is infinite.
    #[error("row {row}: score {value} is not finite (a row without a score has NaN)")]
    InfiniteScore {
        /// The row.
        row: usize,
        /// The score.
        value: f64,
    },
    /// Every score is NaN.
    #[error("all {rows} scores are NaN")]
    NoScores {
        /// Number of rows.
        rows: usize,
    },
    /// An anomaly window is empty, reaches past the last row or overlaps the one before it.
    #[error("window {index} (rows {start} to {end}) must be non-empty, in order and within {rows} rows")]
    Window {
        /// Position of the window.
        index: usize,
        /// Its first row.
        start: usize,
        /// The row after its last one.
        end: usize,
        /// Number of rows.
        rows: usize,
    },
    /// A break is not after the one before it and within the rows.
    #[error("break {index} at row {at} must be after row {before} and below {rows}")]
    Break {
        /// Position of the break.
        index: usize,
        /// Its row.
        at: usize,
        /// The row of the break before, 0 for the first.
        before: usize,
        /// Number of rows.
        rows: usize,
    },
    /// A parameter is outside its range.
    #[error("`{field}` is {value}, allowed: {allowed}")]
    Parameter {
        /// Name of the parameter.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A file or folder of a benchmark can't be used.
    #[error("{path}: {reason}")]
    Suite {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder or file has no series that detectors can be judged on.
    #[error(
        "{path}: {reason}; looked for CSV, TSV and Parquet files with a column of 0/1 labels, called label, is_anomaly, \
         anomaly or the like (TSB-AD, TimeEval, SKAB and others), .npz files with X and y (ADBench), and data/ with \
         labels/combined_windows.json (NAB)"
    )]
    NoSeries {
        /// The folder or file.
        path: String,
        /// What is wrong with what is there.
        reason: String,
    },
    /// Generated or given data is not a valid frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl EvalError {
    #[cfg(feature = "bench")]
    pub(crate) fn suite(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Suite { path: path.display().to_string(), reason: reason.to_string() }
    }

    pub(crate) fn parameter(field: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self::Parameter { field, value: value.to_string(), allowed }
    }
}
