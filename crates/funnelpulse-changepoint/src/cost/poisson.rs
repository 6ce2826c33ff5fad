//! Change of a rate of counts.

use ndarray::{ArrayView1, ArrayView2};

use super::{Cost, Signal};
use crate::ChangepointError;

/// Twice the negative log-likelihood of Poisson counts with the segment's own rate, without terms
/// that don't depend on the segmentation: `-2 X ln(X / E)`, `X` the counts and `E` the exposure
/// (rows, unless given). Columns are summed.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostPoisson};
/// use ndarray::array;
///
/// let cost = CostPoisson::new(array![[3.0], [5.0], [0.0]].view())?;
/// assert_eq!(cost.cost(0, 2), -2.0 * 8.0 * 4.0f64.ln());
/// assert_eq!(cost.cost(2, 3), 0.0);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostPoisson {
    d: usize,
    counts: Vec<f64>,
    exposure: Vec<f64>,
}

impl CostPoisson {
    /// The cost of counts, a row per time; they need not be whole.
    pub fn new(counts: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::nonnegative(counts)?;
        let exposure = (0..=signal.n).map(|i| i as f64).collect();
        Ok(Self::of(&signal, exposure))
    }

    /// The cost of counts that come from a varying exposure, positive and one per row.
    pub fn with_exposure(counts: ArrayView2<'_, f64>, exposure: ArrayView1<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::nonnegative(counts)?;
        Ok(Self::of(&signal, running_exposure(exposure, signal.n)?))
    }

    fn of(signal: &Signal, exposure: Vec<f64>) -> Self {
        Self { d: signal.d, counts: signal.prefix_sums(signal.d, |row, out| out.copy_from_slice(row)), exposure }
    }
}

/// Running sums of a positive exposure.
pub(crate) fn running_exposure(exposure: ArrayView1<'_, f64>, n: usize) -> Result<Vec<f64>, ChangepointError> {
    if exposure.len() != n {
        return Err(ChangepointError::Length { what: "exposure", found: exposure.len(), expected: n });
    }
    let mut sums = vec![0.0];
    for (row, &value) in exposure.iter().enumerate() {
        if !(value > 0.0 && value <= super::signal::LARGEST) {
            return Err(ChangepointError::Value { row, column: 0, value, allowed: "an exposure above 0, to 1e100" });
        }
        sums.push(sums[row] + value);
    }
    Ok(sums)
}

impl Cost for CostPoisson {
    fn len(&self) -> usize {
        self.exposure.len() - 1
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let exposure = self.exposure[end] - self.exposure[start];
        let (a, b) = (&self.counts[start * self.d..][..self.d], &self.counts[end * self.d..][..self.d]);
        let term = |x: f64| if x > 0.0 { -2.0 * x * (x / exposure).ln() } else { 0.0 };
        a.iter().zip(b).map(|(a, b)| term(b - a)).sum()
    }
}
