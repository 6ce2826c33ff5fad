//! Areas under the curves of rows.

use super::ranking::Ranking;
use crate::EvalError;

/// Area under the receiver operating characteristic: the chance that a random anomalous row
/// scores higher than a random normal one, ties counting half (0.5 = guessing, 1 = perfect).
///
/// ```
/// use funnelpulse_eval::metrics::auc_roc;
///
/// assert_eq!(auc_roc(&[false, true, false, true], &[0.1, 0.4, 0.3, 0.2])?, 0.75);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn auc_roc(labels: &[bool], scores: &[f64]) -> Result<f64, EvalError> {
    Ok(roc(&Ranking::new(labels, scores)?))
}

/// Area under the precision-recall curve as the average precision, without interpolation
/// (guessing gives the share of anomalous rows, 1 = perfect).
///
/// ```
/// use funnelpulse_eval::metrics::auc_pr;
///
/// assert_eq!(auc_pr(&[false, true, false, true], &[0.1, 0.4, 0.3, 0.2])?, (1.0 + 2.0 / 3.0) / 2.0);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn auc_pr(labels: &[bool], scores: &[f64]) -> Result<f64, EvalError> {
    Ok(average_precision(&Ranking::new(labels, scores)?))
}

pub(super) fn roc(ranking: &Ranking<'_>) -> f64 {
    let (mut area, mut last_hits, mut last_misses) = (0.0, 0, 0);
    for (_, hits, flagged) in ranking.steps() {
        let misses = flagged - hits;
        area += (misses - last_misses) as f64 * (hits + last_hits) as f64 / 2.0;
        (last_hits, last_misses) = (hits, misses);
    }
    area / (ranking.positives as f64 * (ranking.rows() - ranking.positives) as f64)
}

pub(super) fn average_precision(ranking: &Ranking<'_>) -> f64 {
    let (mut area, mut last_hits) = (0.0, 0);
    for (_, hits, flagged) in ranking.steps() {
        area += (hits - last_hits) as f64 * hits as f64 / flagged as f64;
        last_hits = hits;
    }
    area / ranking.positives as f64
}
