//! Weights that keep abnormal days out of the structure.

use crate::grid::DAY;

/// Counts added to both sums, so that few counts make no large residual.
const PRIOR_COUNTS: f64 = 12.0;
/// Residuals beyond this many spreads lose weight.
const REACH: f64 = 1.5;
/// The spread is at least this (log scale).
const LEAST_SPREAD: f64 = 0.03;
/// Standard deviations per median absolute deviation of a normal distribution.
const MAD: f64 = 1.4826;

/// Log residual of the 24 hours around each hour.
pub(crate) fn residuals(value: &[f64], expected: &[f64], weight: &[f64]) -> Vec<f64> {
    let sums = |of: &dyn Fn(usize) -> f64| {
        let mut sums = Vec::with_capacity(value.len() + 1);
        sums.push(0.0);
        (0..value.len()).for_each(|h| sums.push(sums[h] + of(h)));
        sums
    };
    let (x, m) = (sums(&|h| weight[h] * value[h]), sums(&|h| weight[h] * expected[h]));
    let residual = |hour: usize| {
        let (from, to) = (hour.saturating_sub(DAY / 2), (hour + DAY / 2).min(value.len()));
        ((x[to] - x[from] + PRIOR_COUNTS) / (m[to] - m[from] + PRIOR_COUNTS)).ln()
    };
    (0..value.len()).map(residual).collect()
}

/// The spread of residuals in hours with weight.
pub(crate) fn spread(residuals: &[f64], weight: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().zip(weight).filter(|(_, w)| **w > 0.0).map(|(r, _)| r.abs()).collect();
    if sizes.is_empty() {
        return LEAST_SPREAD;
    }
    let middle = sizes.len() / 2;
    MAD * *sizes.select_nth_unstable_by(middle, f64::total_cmp).1 + LEAST_SPREAD
}

/// The weight of a residual: one up to two spreads, then falling with the square.
pub(crate) fn weight(residual: f64, spread: f64) -> f64 {
    (REACH * spread / residual.abs().max(1e-12)).min(1.0).powi(2)
}
