//! Errors.

use funnelpulse_core::{CalendarError, FrameError, Timestamp};

/// Errors of a specification or of computing features.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// A field of a specification or configuration has a value that is not allowed.
    #[error("{field} = {value} is not allowed: {allowed}")]
    InvalidField {
        /// The field, for example `rolling_days`.
        field: &'static str,
        /// The value.
        value: String,
        /// The allowed range.
        allowed: String,
    },
    /// A metric is named that the specification does not have.
    #[error("{field} names `{name}`, which is not a metric (there are: {available})")]
    UnknownMetric {
        /// The field that names it.
        field: &'static str,
        /// The name.
        name: String,
        /// The names that are there, comma separated.
        available: String,
    },
    /// A metric is not written as one.
    #[error("metric `{name}`: {reason}")]
    Metric {
        /// The metric.
        name: String,
        /// The problem.
        reason: &'static str,
    },
    /// A row is not later than the row before it.
    #[error("time {time} does not come after {previous} of the row before")]
    NotLater {
        /// The time of the row.
        time: Timestamp,
        /// The time of the row before.
        previous: Timestamp,
    },
    /// A row has the wrong number of values.
    #[error("row has {found} values, expected {expected}: {columns}")]
    RowLength {
        /// Values there are.
        found: usize,
        /// Values expected.
        expected: usize,
        /// The columns expected, comma separated.
        columns: String,
    },
    /// An entry of the calendar or the time zone can't be used.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// The input is not a valid frame or lacks a column.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl FeatureError {
    pub(crate) fn field(field: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::InvalidField { field, value: value.to_string(), allowed: allowed.into() }
    }
}
