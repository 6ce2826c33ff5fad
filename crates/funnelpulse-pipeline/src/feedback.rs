//! Answers to alarms.

use funnelpulse_core::{SeriesKey, Timestamp};

/// An answer to an alarm: a period of a series was an incident, or it was not.
///
/// [`Pipeline::fit_with_feedback`](crate::Pipeline::fit_with_feedback) learns from such answers
/// which detectors to believe.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_pipeline::Feedback;
///
/// let start = Timestamp::from_seconds(100 * 3600);
/// let end = start.offset(Timestamp::HOUR);
/// let outage = Feedback { series: "runail".into(), start, end, is_incident: true };
/// let model = pipeline()?.fit_with_feedback(&shop(120), &[outage])?;
/// assert!(model.failures().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The series.
    pub series: SeriesKey,
    /// Start of the period.
    pub start: Timestamp,
    /// End of the period, which is not part of it.
    pub end: Timestamp,
    /// True if it was an incident; a false alarm otherwise.
    pub is_incident: bool,
}
