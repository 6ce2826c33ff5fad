//! Range-based F1.

use std::ops::Range;

use serde::Serialize;

use super::ranking::Ranking;
use crate::EvalError;

/// The best range-based F1 and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RangeF1 {
    /// F1 of ranges, 0 to 1.
    pub f1: f64,
    /// Rows that score **above** this are flagged.
    pub threshold: f64,
}

/// Weight of touching an anomaly at all, against covering it, in the recall.
const EXISTENCE: f64 = 0.2;

/// Range-based F1 (Tatbul et al. 2018, "Precision and recall for time series") with flat
/// positional bias, cardinality factor 1/x and existence weight 0.2, the best over 100 thresholds
/// spaced evenly between the lowest and the highest score ("R-based-F1" of TSB-AD).
///
/// ```
/// use funnelpulse_eval::metrics::range_f1;
///
/// let best = range_f1(&[false, true, true, false], &[0.0, 1.0, 1.0, 0.2])?;
/// assert_eq!(best.f1, 1.0);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn range_f1(labels: &[bool], scores: &[f64]) -> Result<RangeF1, EvalError> {
    Ok(best(&Ranking::new(labels, scores)?))
}

pub(super) fn best(ranking: &Ranking<'_>) -> RangeF1 {
    let thresholds = ranking.thresholds();
    let mut best = RangeF1 { f1: 0.0, threshold: thresholds[thresholds.len() - 1] };
    for threshold in thresholds {
        let flagged = ranking.runs_above(threshold);
        let recall = range_recall(&ranking.events, &flagged, EXISTENCE);
        let precision = range_recall(&flagged, &ranking.events, 0.0);
        if recall + precision > 0.0 {
            let f1 = 2.0 * recall * precision / (recall + precision);
            if f1 > best.f1 {
                best = RangeF1 { f1, threshold };
            }
        }
    }
    best
}

/// Coverage of `wanted` by `found`; with the two swapped and no weight on existence it is the
/// range-based precision.
fn range_recall(wanted: &[Range<usize>], found: &[Range<usize>], existence: f64) -> f64 {
    if wanted.is_empty() {
        return 0.0;
    }
    let mut total = 0.0;
    let mut first = 0;
    for range in wanted {
        while found.get(first).is_some_and(|f| f.end <= range.start) {
            first += 1;
        }
        let (mut covered, mut pieces) = (0, 0);
        for f in found[first..].iter().take_while(|f| f.start < range.end) {
            covered += f.end.min(range.end) - f.start.max(range.start);
            pieces += 1;
        }
        if pieces > 0 {
            let overlap = covered as f64 / range.len() as f64 / f64::from(pieces);
            total += existence + (1.0 - existence) * overlap;
        }
    }
    total / wanted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_found_in_two_pieces_counts_half_of_what_is_covered() {
        let recall = range_recall(&[10..20, 40..50], &[10..12, 16..20, 60..70], EXISTENCE);
        assert!((recall - 0.5 * (0.2 + 0.8 * 0.3)).abs() < 1e-15);
    }
}
