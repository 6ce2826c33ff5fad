//! The common part of all metrics: checked input, runs of true rows, rows in order of their score.

use std::{borrow::Cow, ops::Range};

use crate::EvalError;

/// The maximal runs of `true`, in order.
///
/// ```
/// use funnelpulse_eval::metrics::runs;
///
/// assert_eq!(runs(&[true, false, true, true]), [0..1, 2..4]);
/// ```
pub fn runs(flags: &[bool]) -> Vec<Range<usize>> {
    runs_where(flags.len(), |row| flags[row])
}

pub(super) fn runs_where(rows: usize, flag: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = None;
    for row in 0..rows {
        match (flag(row), start) {
            (true, None) => start = Some(row),
            (false, Some(first)) => {
                runs.push(first..row);
                start = None;
            }
            _ => {}
        }
    }
    runs.extend(start.map(|first| first..rows));
    runs
}

pub(super) fn check_length(labels: &[bool], other: usize, what: &'static str) -> Result<(), EvalError> {
    if labels.len() == other { Ok(()) } else { Err(EvalError::Length { labels: labels.len(), other, what }) }
}

/// The labelled events; an error when there is none or nothing else.
pub(super) fn labelled_events(labels: &[bool]) -> Result<Vec<Range<usize>>, EvalError> {
    let events = runs(labels);
    match events.as_slice() {
        [] => Err(EvalError::NoAnomaly { rows: labels.len() }),
        [only] if *only == (0..labels.len()) => Err(EvalError::NoNormal { rows: labels.len() }),
        _ => Ok(events),
    }
}

/// `scores` with NaN replaced by the lowest one.
pub(super) fn clean_scores(scores: &[f64]) -> Result<Cow<'_, [f64]>, EvalError> {
    if let Some((row, &value)) = scores.iter().enumerate().find(|(_, s)| s.is_infinite()) {
        return Err(EvalError::InfiniteScore { row, value });
    }
    if !scores.iter().any(|s| s.is_nan()) {
        return Ok(Cow::Borrowed(scores));
    }
    let lowest = scores.iter().copied().fold(f64::NAN, f64::min);
    if lowest.is_nan() {
        return Err(EvalError::NoScores { rows: scores.len() });
    }
    Ok(Cow::Owned(scores.iter().map(|&s| if s.is_nan() { lowest } else { s }).collect()))
}

/// Checked labels and scores of one series.
pub(super) struct Ranking<'a> {
    pub(super) labels: &'a [bool],
    pub(super) scores: Cow<'a, [f64]>,
    pub(super) events: Vec<Range<usize>>,
    /// Rows, highest score first.
    pub(super) order: Vec<usize>,
    pub(super) positives: usize,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(labels: &'a [bool], scores: &'a [f64]) -> Result<Self, EvalError> {
        check_length(labels, scores.len(), "scores")?;
        let events = labelled_events(labels)?;
        let scores = clean_scores(scores)?;
        let mut order: Vec<usize> = (0..labels.len()).collect();
        // The row as second key makes an unstable sort reproducible; ties are never split anyway.
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let positives = events.iter().map(ExactSizeIterator::len).sum();
        Ok(Self { labels, scores, events, order, positives })
    }

    pub(super) fn rows(&self) -> usize {
        self.labels.len()
    }

    /// For every distinct score from the highest on: the score, and how many labelled rows and
    /// how many rows at all score at least as much.
    pub(super) fn steps(&self) -> impl Iterator<Item = (f64, usize, usize)> + '_ {
        let mut hits = 0;
        self.order.iter().enumerate().filter_map(move |(rank, &row)| {
            hits += usize::from(self.labels[row]);
            let score = self.scores[row];
            let last_of_score = self.order.get(rank + 1).is_none_or(|&next| self.scores[next] != score);
            last_of_score.then_some((score, hits, rank + 1))
        })
    }

    /// The thresholds that TSB-AD searches: 100, evenly spaced from the lowest to the highest score.
    pub(super) fn thresholds(&self) -> Vec<f64> {
        const COUNT: usize = 100;
        let (highest, lowest) = (self.scores[self.order[0]], self.scores[self.order[self.rows() - 1]]);
        let step = (highest - lowest) / (COUNT - 1) as f64;
        let mut thresholds: Vec<f64> = (0..COUNT).map(|i| i as f64 * step + lowest).collect();
        thresholds[COUNT - 1] = highest;
        thresholds
    }

    /// Runs of rows that score above `threshold`.
    pub(super) fn runs_above(&self, threshold: f64) -> Vec<Range<usize>> {
        runs_where(self.rows(), |row| self.scores[row] > threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_no_metric_is_defined_for() {
        let message =
            |labels: &[bool], scores: &[f64]| Ranking::new(labels, scores).map(|_| ()).unwrap_err().to_string();
        assert_eq!(message(&[true], &[1.0, 2.0]), "1 label, but 2 scores");
        assert!(message(&[false, false], &[1.0, 2.0]).starts_with("none of the 2 rows"));
        assert!(message(&[true, true], &[1.0, 2.0]).starts_with("all 2 rows are labelled"));
        assert!(message(&[], &[]).starts_with("none of the 0 rows"));
        assert!(message(&[true, false], &[1.0, f64::INFINITY]).starts_with("row 1: score inf"));
        assert_eq!(message(&[true, false], &[f64::NAN, f64::NAN]), "all 2 scores are NaN");
    }

    #[test]
    fn nan_is_the_lowest_score_and_ties_are_one_step() {
        let ranking = Ranking::new(&[true, false, true, false], &[f64::NAN, 2.0, 5.0, 2.0]).unwrap();
        assert_eq!(ranking.scores, [2.0, 2.0, 5.0, 2.0].as_slice());
        assert_eq!(ranking.steps().collect::<Vec<_>>(), [(5.0, 1, 1), (2.0, 2, 4)]);
    }
}
