//! Detection delay of alarms as they are raised in time.

use std::time::Duration;

use funnelpulse_core::Timestamp;

use crate::EvalError;

/// A row that was flagged, and the moment at which it was: with rows that are judged in the light of later
/// ones, that is not the row's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaisedFlag {
    /// The time of the row.
    pub row: Timestamp,
    /// The end of the data from which it was flagged, at or after `row`.
    pub raised: Timestamp,
}

/// The time from the onset of an event to the first moment at which one of its rows was flagged, `None` where none
/// was. `onset` is the event's start, `end` no longer part of it.
///
/// A detector that looks at hours afterwards flags the first hour of an event once it has seen what followed: the
/// delay counts what it waited for. Compare detectors at the same budget of false alarms.
///
/// ```
/// use std::time::Duration;
///
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_eval::metrics::{RaisedFlag, alarm_delay};
///
/// let hour = |hour: i64| Timestamp::from_seconds(3600 * hour);
/// // Hour 10 was flagged when hour 12 was over, hour 11 at once.
/// let flags = [
///     RaisedFlag { row: hour(10), raised: hour(13) },
///     RaisedFlag { row: hour(11), raised: hour(12) },
/// ];
/// assert_eq!(alarm_delay(hour(10), hour(20), &flags)?, Some(Duration::from_secs(2 * 3600)));
/// assert_eq!(alarm_delay(hour(30), hour(40), &flags)?, None);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::Parameter`] when a flag was raised before its row, or the event ends before it begins.
pub fn alarm_delay(onset: Timestamp, end: Timestamp, flags: &[RaisedFlag]) -> Result<Option<Duration>, EvalError> {
    let length = end.as_micros().saturating_sub(onset.as_micros());
    if length <= 0 {
        return Err(EvalError::parameter("microseconds of the event", length as f64, "above 0"));
    }
    let mut first: Option<i64> = None;
    for flag in flags {
        let waited = flag.raised.as_micros().saturating_sub(flag.row.as_micros());
        if waited < 0 {
            return Err(EvalError::parameter("microseconds from a row to its flag", waited as f64, "0 or more"));
        }
        if flag.row >= onset && flag.row < end {
            let delay = flag.raised.as_micros().saturating_sub(onset.as_micros());
            first = Some(first.map_or(delay, |first| first.min(delay)));
        }
    }
    Ok(first.map(|micros| Duration::from_micros(micros.unsigned_abs())))
}

/// The median delay of the events that were found; `None` where none was. Half of two middle ones each.
///
/// ```
/// use std::time::Duration;
///
/// use funnelpulse_eval::metrics::median_delay;
///
/// let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
/// assert_eq!(median_delay(&[hours(1), None, hours(9), hours(2)]), hours(2));
/// ```
pub fn median_delay(delays: &[Option<Duration>]) -> Option<Duration> {
    let mut found: Vec<Duration> = delays.iter().flatten().copied().collect();
    found.sort_unstable();
    let middle = found.len() / 2;
    match found.len() {
        0 => None,
        number if number % 2 == 1 => Some(found[middle]),
        _ => Some((found[middle - 1] + found[middle]) / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_seconds(3600 * hour)
    }

    fn flag(row: i64, raised: i64) -> RaisedFlag {
        RaisedFlag { row: hour(row), raised: hour(raised) }
    }

    #[test]
    fn what_a_detector_waits_for_counts() {
        let hours = |delay: Option<Duration>| delay.map(|d| d.as_secs() / 3600);
        // Flagged at once, but late in the event; flagged early, but known late.
        let late = alarm_delay(hour(10), hour(20), &[flag(15, 16)]).unwrap();
        let waited = alarm_delay(hour(10), hour(20), &[flag(10, 34)]).unwrap();
        assert_eq!((hours(late), hours(waited)), (Some(6), Some(24)));
        // Neither before nor at the end of the event.
        assert_eq!(alarm_delay(hour(10), hour(20), &[flag(9, 10), flag(20, 21)]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let text = |result: Result<Option<Duration>, EvalError>| result.unwrap_err().to_string();
        assert!(text(alarm_delay(hour(10), hour(20), &[flag(15, 14)])).contains("allowed: 0 or more"));
        assert!(text(alarm_delay(hour(10), hour(10), &[])).contains("allowed: above 0"));
    }

    #[test]
    fn the_median_is_of_the_events_found() {
        let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
        assert_eq!(median_delay(&[None, hours(5), hours(2)]).unwrap().as_secs(), 12_600);
        assert_eq!(median_delay(&[None, None]), None);
    }
}
