//! Errors.

/// Errors of searches and detectors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangepointError {
    /// A hyper-parameter is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A value that a cost can't take.
    #[error("row {row}, column {column}: {value} is not allowed ({allowed})")]
    Value {
        /// The row, from zero.
        row: usize,
        /// The column, from zero.
        column: usize,
        /// The value.
        value: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// The signal has a shape that the cost or the search can't take.
    #[error("{what} takes {allowed}, not {columns}")]
    Columns {
        /// The cost or search.
        what: &'static str,
        /// Columns there are.
        columns: usize,
        /// The allowed range.
        allowed: &'static str,
    },
    /// Two arguments that must be equally long are not.
    #[error("{what} has {found} entries, {expected} are needed (one per row)")]
    Length {
        /// The argument.
        what: &'static str,
        /// Entries there are.
        found: usize,
        /// Entries needed.
        expected: usize,
    },
    /// Too few rows for even one segment, or for as many as were asked for.
    #[error("{rows} usable rows, {needed} are needed for {segments} segments of the shortest length allowed")]
    TooShort {
        /// Rows there are.
        rows: usize,
        /// Rows needed.
        needed: usize,
        /// Segments asked for.
        segments: usize,
    },
    /// The data don't fit, or the operation is not supported.
    #[error(transparent)]
    Core(#[from] funnelpulse_core::Error),
}

impl ChangepointError {
    pub(crate) fn config(name: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self::Config { name, value: value.to_string(), allowed }
    }
}

/// Checks a penalty: finite and not negative.
pub(crate) fn check_penalty(penalty: f64) -> Result<(), ChangepointError> {
    if penalty.is_finite() && penalty >= 0.0 {
        Ok(())
    } else {
        Err(ChangepointError::config("penalty", penalty, "0 or more, finite"))
    }
}

/// Checks a length or a number that must not be zero.
pub(crate) fn check_positive(name: &'static str, value: usize) -> Result<(), ChangepointError> {
    if value > 0 { Ok(()) } else { Err(ChangepointError::config(name, value, "1 or more")) }
}
