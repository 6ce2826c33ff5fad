//! The score of the Numenta Anomaly Benchmark.

use std::ops::Range;

use serde::Serialize;

use super::ranking::clean_scores;
use crate::EvalError;

/// Share of the rows at the start of a series that is not judged, and its cap in rows.
const PROBATION: (f64, f64) = (0.15, 0.15 * 5000.0);

/// The weights of hits, false alarms and misses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NabProfile {
    /// Weight of an anomaly that is found.
    pub true_positive: f64,
    /// Cost of a false alarm.
    pub false_positive: f64,
    /// Cost of an anomaly that is missed.
    pub false_negative: f64,
}

impl NabProfile {
    /// The standard profile.
    pub const STANDARD: Self = Self { true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 };
    /// False alarms cost twice as much.
    pub const REWARD_LOW_FP_RATE: Self = Self { true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 };
    /// Misses cost twice as much.
    pub const REWARD_LOW_FN_RATE: Self = Self { true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 };
}

/// One series of a corpus.
#[derive(Clone, Debug)]
pub struct NabSeries<'a> {
    /// Score of every row.
    pub scores: &'a [f64],
    /// Rows of the anomaly windows: in order, apart, none empty. [`runs`](super::runs) makes them from labels.
    pub windows: Vec<Range<usize>>,
}

/// The score of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NabScore {
    /// 100 = every anomaly found at once without a false alarm, 0 = as good as never flagging.
    pub score: f64,
    /// Rows that score at least this much are flagged; `None` when never flagging is best.
    pub threshold: Option<f64>,
}

/// Score of a corpus (Lavin and Ahmad 2015, "Evaluating real-time anomaly detection algorithms:
/// the Numenta Anomaly Benchmark", section III) at the threshold that is best for all its series
/// together, as in that benchmark.
///
/// The earliest flagged row of a window earns a sigmoid reward; flagged rows outside cost more
/// the farther they are behind a window. The first 15 % of a series (at most 750 rows) are not judged.
///
/// ```
/// use funnelpulse_eval::metrics::{NabProfile, NabSeries, nab_score};
///
/// let mut scores = [0.0; 100];
/// scores[50] = 1.0;
/// let corpus = [NabSeries { scores: &scores, windows: vec![50..60] }];
/// let found = nab_score(&corpus, NabProfile::STANDARD)?;
/// assert!(found.score > 99.0);
/// assert_eq!(found.threshold, Some(1.0));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn nab_score(corpus: &[NabSeries<'_>], profile: NabProfile) -> Result<NabScore, EvalError> {
    let mut rows = Vec::new();
    let (mut windows, mut judged_windows) = (0, 0);
    for series in corpus {
        check_windows(series)?;
        let scores = clean_scores(series.scores)?;
        let places = places(series, windows);
        judged_windows += series.windows.iter().filter(|w| w.end > probation(scores.len())).count();
        windows += series.windows.len();
        rows.extend(scores.iter().copied().zip(places).skip(probation(scores.len())));
    }
    if windows == 0 {
        return Err(EvalError::NoAnomaly { rows: corpus.iter().map(|s| s.scores.len()).sum() });
    }
    // A stable sort: rows of equal score are only compared as a group.
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(sweep(&rows, windows, judged_windows, profile))
}

/// Lowers the threshold from the highest score on and keeps the best total.
fn sweep(rows: &[(f64, Place)], windows: usize, judged_windows: usize, profile: NabProfile) -> NabScore {
    let never = -profile.false_negative * judged_windows as f64;
    let mut reward: Vec<Option<f64>> = vec![None; windows];
    let (mut total, mut best, mut threshold) = (never, never, None);
    for (i, (score, place)) in rows.iter().enumerate() {
        total += match place.window.map(|window| &mut reward[window]) {
            None => place.weight * profile.false_positive,
            Some(earned) => match *earned {
                None => {
                    *earned = Some(place.weight);
                    place.weight * profile.true_positive + profile.false_negative
                }
                Some(before) => {
                    *earned = Some(place.weight.max(before));
                    (place.weight - before).max(0.0) * profile.true_positive
                }
            },
        };
        let last_of_score = rows.get(i + 1).is_none_or(|next| next.0 != *score);
        if last_of_score && total > best {
            (best, threshold) = (total, Some(*score));
        }
    }
    NabScore { score: 100.0 * (best - never) / (profile.true_positive * windows as f64 - never), threshold }
}

/// The gain (inside a window, 0 to 1) or cost (outside, -1 to 0) of flagging a row, before weights.
struct Place {
    weight: f64,
    window: Option<usize>,
}

fn places(series: &NabSeries<'_>, first_window: usize) -> Vec<Place> {
    let n = series.scores.len();
    let highest = sigmoid(-1.0);
    let mut places: Vec<Place> = (0..n).map(|_| Place { weight: -1.0, window: None }).collect();
    for (k, window) in series.windows.iter().enumerate() {
        let width = window.len() as f64;
        for row in window.clone() {
            let weight = sigmoid(-((window.end - row) as f64) / width) / highest;
            places[row] = Place { weight, window: Some(first_window + k) };
        }
        let next = series.windows.get(k + 1).map_or(n, |w| w.start);
        for (distance, place) in (1..).zip(&mut places[window.end..next]) {
            place.weight = sigmoid(f64::from(distance) / (width - 1.0));
        }
    }
    places
}

/// 1 far before the end of a window, 0 at it, -1 from three widths behind it on.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

fn probation(rows: usize) -> usize {
    (PROBATION.0 * rows as f64).floor().min(PROBATION.1).ceil() as usize
}

fn check_windows(series: &NabSeries<'_>) -> Result<(), EvalError> {
    let rows = series.scores.len();
    let mut free = 0;
    for (index, window) in series.windows.iter().enumerate() {
        if window.is_empty() || window.start < free || window.end > rows {
            return Err(EvalError::Window { index, start: window.start, end: window.end, rows });
        }
        free = window.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_flagging_can_be_best() {
        let scores: Vec<f64> = (0..100).map(f64::from).rev().collect();
        let corpus = [NabSeries { scores: &scores, windows: vec![97..98, 99..100] }];
        assert_eq!(nab_score(&corpus, NabProfile::STANDARD).unwrap(), NabScore { score: 0.0, threshold: None });
    }

    #[test]
    fn refuses_windows_that_overlap_or_reach_out() {
        for pairs in [&[(5, 5)][..], &[(2, 6), (5, 8)], &[(5, 11)]] {
            let windows = pairs.iter().map(|&(start, end)| start..end).collect();
            let corpus = [NabSeries { scores: &[0.0; 10], windows }];
            assert!(matches!(nab_score(&corpus, NabProfile::STANDARD), Err(EvalError::Window { .. })));
        }
    }
}
