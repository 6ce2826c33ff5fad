//! Best F1 of rows.

use serde::Serialize;

use super::ranking::Ranking;
use crate::EvalError;

/// The best F1 and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BestF1 {
    /// F1 of rows, 0 to 1.
    pub f1: f64,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
    /// Rows that score at least this much are flagged.
    pub threshold: f64,
}

/// The best F1 of rows over all thresholds ("Standard-F1" of TSB-AD).
///
/// As there, the denominator carries an extra 1e-5, so that figures compare with published ones:
/// perfect scores give 0.999995.
///
/// ```
/// use funnelpulse_eval::metrics::best_f1;
///
/// let best = best_f1(&[false, true, false, true], &[0.1, 0.4, 0.3, 0.2])?;
/// assert_eq!((best.threshold, best.recall), (0.2, 1.0));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn best_f1(labels: &[bool], scores: &[f64]) -> Result<BestF1, EvalError> {
    Ok(best(&Ranking::new(labels, scores)?))
}

pub(super) fn best(ranking: &Ranking<'_>) -> BestF1 {
    let mut best = BestF1 { f1: -1.0, precision: 0.0, recall: 0.0, threshold: f64::NAN };
    for (threshold, hits, flagged) in ranking.steps() {
        let precision = hits as f64 / flagged as f64;
        let recall = hits as f64 / ranking.positives as f64;
        let f1 = 2.0 * precision * recall / (precision + recall + 1e-5);
        if f1 > best.f1 {
            best = BestF1 { f1, precision, recall, threshold };
        }
    }
    best
}
