//! Errors of configurations and data.

/// Errors of configuring, fitting or applying a model. Rows count from zero.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeasonalError {
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
    /// A name can't be given to a component.
    #[error("component name `{name}`: {reason}")]
    Name {
        /// The name.
        name: String,
        /// The problem.
        reason: &'static str,
    },
    /// Two settings exclude one another.
    #[error("{what} is not supported")]
    Combination {
        /// The settings.
        what: &'static str,
    },
    /// Arrays that belong together differ in length.
    #[error("{name} has {found} values for {expected} times")]
    Length {
        /// The array.
        name: String,
        /// Its length.
        found: usize,
        /// Number of times.
        expected: usize,
    },
    /// A covariate that the model needs was not given.
    #[error("covariate `{name}` is missing")]
    MissingCovariate {
        /// The covariate.
        name: String,
    },
    /// A value can't be used.
    #[error("row {row}, `{name}`: {value} is not allowed ({allowed})")]
    Value {
        /// The row.
        row: usize,
        /// The array.
        name: String,
        /// The value.
        value: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// Times are not strictly increasing.
    #[error("row {row}: time {time} does not come after the row above")]
    Time {
        /// The row.
        row: usize,
        /// Its time.
        time: funnelpulse_core::Timestamp,
    },
    /// A changepoint lies outside the history.
    #[error("changepoint {time} lies outside the history")]
    Changepoint {
        /// The changepoint.
        time: funnelpulse_core::Timestamp,
    },
    /// A cross-validation without a cut-off.
    #[error("no cut-off: initial and horizon span {needed} microseconds, the history {history}")]
    NoCutoff {
        /// Shortest history with one, in microseconds.
        needed: i64,
        /// Length of the history in microseconds.
        history: i64,
    },
    /// No coefficients could be computed.
    #[error("no optimum: {reason}")]
    NoOptimum {
        /// The problem.
        reason: &'static str,
    },
    /// An entry of the calendar or the time zone can't be used.
    #[error(transparent)]
    Calendar(#[from] funnelpulse_core::CalendarError),
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] funnelpulse_core::Error),
}

impl SeasonalError {
    /// The same about another row.
    pub(crate) fn with_row(mut self, place: impl FnOnce(usize) -> usize) -> Self {
        if let Self::Value { row, .. } | Self::Time { row, .. } = &mut self {
            *row = place(*row);
        }
        self
    }
}
