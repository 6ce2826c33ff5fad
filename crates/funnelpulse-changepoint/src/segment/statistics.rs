//! What changed at a break.

use ndarray::{Array1, ArrayView2};

use super::{Break, Direction, Level};
use crate::noise::Ar1;

/// Rows over which a break's place is uncertain, in units of the long-run variance over the squared
/// change: the 97.5 % quantile of Bai's (1997) distribution.
const BAI: f64 = 11.03;

/// Levels of segments, and how sure they are.
pub(super) struct Statistics<'a> {
    values: ArrayView2<'a, f64>,
    /// Long-run variance of each column.
    variances: Vec<f64>,
}

impl<'a> Statistics<'a> {
    pub(super) fn new(values: ArrayView2<'a, f64>) -> Self {
        let variances = values.columns().into_iter().map(|c| Ar1::fit(c).long_run_variance()).collect();
        Self { values, variances }
    }

    pub(super) fn all(&self, breaks: &[usize]) -> Vec<Break> {
        let n = self.values.nrows();
        let bound = |i: usize| if i == 0 { 0 } else { breaks.get(i - 1).copied().unwrap_or(n) };
        (1..=breaks.len()).map(|i| self.one(bound(i - 1), bound(i), bound(i + 1))).collect()
    }

    fn mean(&self, column: usize, start: usize, end: usize) -> f64 {
        let part: Array1<f64> = self.values.column(column).iter().skip(start).take(end - start).copied().collect();
        part.sum() / (end - start) as f64
    }

    /// The break `at` between the segments `start..at` and `at..end`.
    fn one(&self, start: usize, at: usize, end: usize) -> Break {
        let (left, right) = ((at - start) as f64, (end - at) as f64);
        let column = |column: usize| {
            let (before, after) = (self.mean(column, start, at), self.mean(column, at, end));
            let variance = self.variances[column];
            let error = (variance / left + variance / right).sqrt();
            // Without noise every change is sure, and no change is none.
            let z = if after == before { 0.0 } else { (after - before) / error.max(f64::MIN_POSITIVE) };
            (column, before, after, z)
        };
        let all = (0..self.values.ncols()).map(column);
        let (column, before, after, z) =
            all.max_by(|a, b| a.3.abs().total_cmp(&b.3.abs())).expect("a series has columns");
        let base = if before == 0.0 { after } else { before };
        let magnitude = if base == 0.0 { 0.0 } else { (after - before) / base.abs() };
        // The cumulated sum at the break, a bridge of Brownian motion without one.
        let bridge = z.abs() * (left * right).sqrt() / (left + right);
        let p_value = (kolmogorov(bridge) * self.values.ncols() as f64).min(1.0);
        let variance = self.variances[column];
        let spread = if after == before { f64::INFINITY } else { BAI * variance / (after - before).powi(2) };
        // Saturates where the change is lost in the noise.
        let margin = spread as usize;
        let interval = (
            at.saturating_sub(margin.saturating_add(1)).max(start),
            at.saturating_add(margin).saturating_add(1).min(end - 1),
        );
        Break {
            index: at,
            time: None,
            interval,
            column,
            direction: if after >= before { Direction::Increase } else { Direction::Decrease },
            magnitude,
            p_value,
            before: Level { mean: before, standard_error: (variance / left).sqrt() },
            after: Level { mean: after, standard_error: (variance / right).sqrt() },
        }
    }
}

/// Probability that the largest absolute value of a Brownian bridge exceeds `x`.
fn kolmogorov(x: f64) -> f64 {
    if x < 0.3 {
        return 1.0;
    }
    let terms = (1..=20).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * x * x).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}
