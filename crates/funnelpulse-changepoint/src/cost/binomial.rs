//! Change of a proportion.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::ChangepointError;

/// Twice the negative log-likelihood of binomial counts with the segment's own proportion, without
/// terms that don't depend on the segmentation. An hour with few views weighs little, one with
/// many a lot.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostBinomial};
/// use ndarray::array;
///
/// // Purchases and views.
/// let cost = CostBinomial::new(array![[1.0, 4.0], [3.0, 4.0], [0.0, 0.0]].view())?;
/// assert!((cost.cost(0, 3) + 2.0 * 8.0 * 0.5f64.ln()).abs() < 1e-12);
/// assert_eq!(cost.cost(2, 3), 0.0);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostBinomial {
    /// Running sums of successes and trials, side by side.
    sums: Vec<f64>,
}

impl CostBinomial {
    /// The cost of `values`, a row per time with two columns: successes, and trials, of which
    /// there are at least as many.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::nonnegative(values)?;
        signal.require("the binomial cost", 2, "2 columns (successes, trials)")?;
        if let Some(row) = signal.values.chunks_exact(2).position(|r| r[0] > r[1]) {
            let value = signal.values[2 * row];
            return Err(ChangepointError::Value { row, column: 0, value, allowed: "at most the trials in column 1" });
        }
        Ok(Self { sums: signal.prefix_sums(2, |row, out| out.copy_from_slice(row)) })
    }
}

impl Cost for CostBinomial {
    fn len(&self) -> usize {
        self.sums.len() / 2 - 1
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let successes = self.sums[2 * end] - self.sums[2 * start];
        let trials = self.sums[2 * end + 1] - self.sums[2 * start + 1];
        let term = |x: f64| if x > 0.0 { -2.0 * x * (x / trials).ln() } else { 0.0 };
        term(successes) + term(trials - successes)
    }
}
