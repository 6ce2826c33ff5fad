//! What can be wrong.

use funnelpulse_core::{CalendarError, FrameError};

/// Why a model could not be configured, fitted or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncidentError {
    /// A setting is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range.
        allowed: &'static str,
    },
    /// The top of the funnel is not named.
    #[error("traffic: no column is named, the first step of the funnel is needed")]
    NoTraffic,
    /// One column has two parts.
    #[error("column `{column}` is named for two steps of the funnel")]
    Twice {
        /// The column.
        column: String,
    },
    /// The time zone is not known.
    #[error("timezone: `{name}` is no IANA time zone, such as `Europe/Berlin`")]
    TimeZone {
        /// The name.
        name: String,
    },
    /// An entry of the calendar cannot be used.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// A column is missing from the data.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// There is nothing to learn from.
    #[error("no series has {needed} hours with visits; the longest has {longest}")]
    TooShort {
        /// Hours that a series needs.
        needed: usize,
        /// Hours of the longest series.
        longest: usize,
    },
    /// Rows are further apart than an hour.
    #[error("rows are {hours:.1} hours apart in the middle, at most one hour is possible")]
    TooCoarse {
        /// Median distance of rows, hours.
        hours: f64,
    },
    /// The panel spans more hours than can be held.
    #[error("rows span {hours} hours, at most {allowed} are possible")]
    TooLong {
        /// Hours from the first to the last row.
        hours: i64,
        /// Hours that are possible.
        allowed: i64,
    },
}
