//! Operational figures: events found or missed, detection delay, false alarms.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use funnelpulse_core::Timestamp;

use super::ranking::{Ranking, check_length, labelled_events, runs};
use crate::EvalError;

/// The rows that score at least `threshold`; NaN is never flagged.
pub fn flags_above(scores: &[f64], threshold: f64) -> Vec<bool> {
    scores.iter().map(|&score| score >= threshold).collect()
}

/// Share of the labelled events in which at least one row is flagged, 0 to 1.
///
/// ```
/// use funnelpulse_eval::metrics::event_recall;
///
/// assert_eq!(event_recall(&[true, true, false, true], &[false, true, false, false])?, 0.5);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn event_recall(labels: &[bool], flags: &[bool]) -> Result<f64, EvalError> {
    let delays = detection_delays(labels, flags)?;
    Ok(delays.iter().flatten().count() as f64 / delays.len() as f64)
}

/// Share of the alarms (runs of flagged rows) that meet a labelled row, 0 to 1; 0 without an alarm.
///
/// ```
/// use funnelpulse_eval::metrics::event_precision;
///
/// assert_eq!(event_precision(&[true, true, false, false], &[false, true, false, true])?, 0.5);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn event_precision(labels: &[bool], flags: &[bool]) -> Result<f64, EvalError> {
    check_length(labels, flags.len(), "flags")?;
    let alarms = runs(flags);
    let right = alarms.iter().filter(|alarm| labels[(*alarm).clone()].contains(&true)).count();
    Ok(if alarms.is_empty() { 0.0 } else { right as f64 / alarms.len() as f64 })
}

/// For every labelled event the rows from its first one to the first flagged one (0 = at once),
/// `None` where it was missed.
///
/// ```
/// use funnelpulse_eval::metrics::detection_delays;
///
/// let delays = detection_delays(&[true, true, false, true], &[false, true, true, false])?;
/// assert_eq!(delays, [Some(1), None]);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn detection_delays(labels: &[bool], flags: &[bool]) -> Result<Vec<Option<usize>>, EvalError> {
    check_length(labels, flags.len(), "flags")?;
    Ok(labelled_events(labels)?.iter().map(|event| first_flag(event, flags)).collect())
}

/// [`detection_delays`] in time: from the time of an event's first row to that of the first flagged one.
pub fn detection_delays_in_time(
    labels: &[bool],
    flags: &[bool],
    times: &[Timestamp],
) -> Result<Vec<Option<Duration>>, EvalError> {
    check_length(labels, flags.len(), "flags")?;
    check_length(labels, times.len(), "times")?;
    let delay = |event: &Range<usize>| {
        let row = event.start + first_flag(event, flags)?;
        let micros = times[row].as_micros().saturating_sub(times[event.start].as_micros());
        Some(Duration::from_micros(micros.max(0).unsigned_abs()))
    };
    Ok(labelled_events(labels)?.iter().map(delay).collect())
}

fn first_flag(event: &Range<usize>, flags: &[bool]) -> Option<usize> {
    flags[event.clone()].iter().position(|&flag| flag)
}

/// Alarms (runs of flagged rows) without a labelled row, per day of `rows_per_day` rows.
///
/// ```
/// use funnelpulse_eval::metrics::false_alarms_per_day;
///
/// let mut flags = [false; 48];
/// (flags[3], flags[4], flags[30]) = (true, true, true);
/// assert_eq!(false_alarms_per_day(&[false; 48], &flags, 24.0)?, 1.0);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn false_alarms_per_day(labels: &[bool], flags: &[bool], rows_per_day: f64) -> Result<f64, EvalError> {
    check_length(labels, flags.len(), "flags")?;
    check_rows_per_day(rows_per_day)?;
    let wrong = runs(flags).into_iter().filter(|alarm| !labels[alarm.clone()].contains(&true)).count();
    Ok(if wrong == 0 { 0.0 } else { wrong as f64 * rows_per_day / labels.len() as f64 })
}

pub(super) fn check_rows_per_day(rows_per_day: f64) -> Result<(), EvalError> {
    if rows_per_day > 0.0 && rows_per_day.is_finite() {
        Ok(())
    } else {
        Err(EvalError::parameter("rows_per_day", rows_per_day, "above 0 and finite"))
    }
}

/// The lowest threshold at which at most a share `rate` (0 to 1) of the normal rows is flagged,
/// when rows that score at least the threshold are flagged. Infinite when even the highest score
/// flags too many.
pub fn threshold_at_fpr(labels: &[bool], scores: &[f64], rate: f64) -> Result<f64, EvalError> {
    at_fpr(&Ranking::new(labels, scores)?, rate)
}

/// Event recall at [`threshold_at_fpr`]: what is found with a fixed budget of false alarms.
///
/// ```
/// use funnelpulse_eval::metrics::event_recall_at_fpr;
///
/// let labels = [true, false, true, false, false];
/// assert_eq!(event_recall_at_fpr(&labels, &[9.0, 1.0, 2.0, 3.0, 0.0], 0.01)?, 0.5);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn event_recall_at_fpr(labels: &[bool], scores: &[f64], rate: f64) -> Result<f64, EvalError> {
    recall_at_fpr(&Ranking::new(labels, scores)?, rate)
}

pub(super) fn at_fpr(ranking: &Ranking<'_>, rate: f64) -> Result<f64, EvalError> {
    if !(0.0..=1.0).contains(&rate) {
        return Err(EvalError::parameter("false positive rate", rate, "0 to 1"));
    }
    let allowed = rate * (ranking.rows() - ranking.positives) as f64;
    let within = ranking.steps().take_while(|(_, hits, flagged)| (flagged - hits) as f64 <= allowed);
    Ok(within.last().map_or(f64::INFINITY, |(score, ..)| score))
}

pub(super) fn recall_at_fpr(ranking: &Ranking<'_>, rate: f64) -> Result<f64, EvalError> {
    let threshold = at_fpr(ranking, rate)?;
    event_recall(ranking.labels, &flags_above(&ranking.scores, threshold))
}

/// Event recall per kind of anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct KindRecall<K> {
    /// Recall and number of events of every kind.
    pub kinds: BTreeMap<K, (f64, usize)>,
    /// Mean over kinds: every kind counts the same, however rare.
    pub macro_recall: f64,
}

/// Event recall per kind over one or more series. `series` yields the kind of every row (`None` =
/// normal) and its flag; consecutive rows of the same kind are one event.
///
/// ```
/// use funnelpulse_eval::metrics::event_recall_by_kind;
///
/// let kinds = [Some("spike"), None, Some("outage"), Some("outage"), None, Some("spike")];
/// let flags = [true, false, false, true, false, false];
/// let recall = event_recall_by_kind([(&kinds[..], &flags[..])])?;
/// assert_eq!(recall.kinds["spike"], (0.5, 2));
/// assert_eq!(recall.macro_recall, 0.75);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn event_recall_by_kind<'a, K: Ord + Clone + 'a>(
    series: impl IntoIterator<Item = (&'a [Option<K>], &'a [bool])>,
) -> Result<KindRecall<K>, EvalError> {
    let mut counts: BTreeMap<K, (usize, usize)> = BTreeMap::new();
    let mut rows = 0;
    for (kinds, flags) in series {
        if kinds.len() != flags.len() {
            return Err(EvalError::Length { labels: kinds.len(), other: flags.len(), what: "flags" });
        }
        rows += kinds.len();
        let mut start = 0;
        for event in kinds.chunk_by(|a, b| a == b) {
            if let Some(kind) = &event[0] {
                let (found, all) = counts.entry(kind.clone()).or_default();
                *found += usize::from(flags[start..start + event.len()].contains(&true));
                *all += 1;
            }
            start += event.len();
        }
    }
    if counts.is_empty() {
        return Err(EvalError::NoAnomaly { rows });
    }
    let kinds: BTreeMap<K, (f64, usize)> =
        counts.into_iter().map(|(kind, (found, all))| (kind, (found as f64 / all as f64, all))).collect();
    let macro_recall = kinds.values().map(|(recall, _)| recall).sum::<f64>() / kinds.len() as f64;
    Ok(KindRecall { kinds, macro_recall })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_in_time_counts_missing_rows() {
        let times = [0, 3600, 4 * 3600].map(Timestamp::from_seconds);
        let delays = detection_delays_in_time(&[false, true, true], &[true, false, true], &times).unwrap();
        assert_eq!(delays, [Some(Duration::from_secs(3 * 3600))]);
    }

    #[test]
    fn the_false_positive_budget_is_kept_with_ties() {
        let labels = [true, false, false, false, false];
        let scores = [2.0, 3.0, 3.0, 1.0, 0.0];
        assert_eq!(threshold_at_fpr(&labels, &scores, 0.25).unwrap(), f64::INFINITY);
        assert_eq!(threshold_at_fpr(&labels, &scores, 0.5).unwrap(), 2.0);
        assert_eq!(event_recall_at_fpr(&labels, &scores, 0.25).unwrap(), 0.0);
        assert!(threshold_at_fpr(&labels, &scores, 1.5).unwrap_err().to_string().contains("allowed: 0 to 1"));
    }
}
