//! What people say of alarms.

use funnelpulse_core::{SeriesKey, Timestamp};

/// An answer to an alarm: whether a time of a series was an incident.
///
/// [`Pipeline::fit_with_feedback`](crate::Pipeline::fit_with_feedback) learns from such answers which
/// detectors to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The series.
    pub series: SeriesKey,
    /// The first hour that is meant.
    pub start: Timestamp,
    /// The end, no longer part of it.
    pub end: Timestamp,
    /// Whether it was an incident; a false alarm otherwise.
    pub is_incident: bool,
}
