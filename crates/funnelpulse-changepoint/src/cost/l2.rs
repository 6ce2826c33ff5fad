//! Change of the mean.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::ChangepointError;

/// Sum of squared distances from the segment's mean, over all columns.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostL2};
/// use ndarray::array;
///
/// let cost = CostL2::new(array![[1.0, 0.0], [3.0, 0.0], [3.0, 4.0]].view())?;
/// assert!((cost.cost(0, 2) - 2.0).abs() < 1e-12);
/// assert!((cost.cost(1, 3) - 8.0).abs() < 1e-12);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostL2 {
    d: usize,
    /// Running sums of the centred columns.
    sums: Vec<f64>,
    /// Running sum of the squared length of rows.
    squares: Vec<f64>,
}

impl CostL2 {
    /// The cost of `values`, a row per time.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        Ok(Self::of(&Signal::new(values)?.center()))
    }

    /// The cost of the rows scaled to length one: rows differ by direction only. A row of zeros
    /// stays one.
    pub fn cosine(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let mut signal = Signal::new(values)?;
        for row in signal.values.chunks_exact_mut(signal.d) {
            let length = row.iter().fold(0.0_f64, |sum, v| sum.hypot(*v));
            if length > 0.0 {
                for v in row.iter_mut() {
                    *v /= length;
                }
            }
        }
        Ok(Self::of(&signal.center()))
    }

    pub(super) fn of(signal: &Signal) -> Self {
        let sums = signal.prefix_sums(signal.d, |row, out| out.copy_from_slice(row));
        let squares = signal.prefix_sums(1, |row, out| out[0] = row.iter().map(|v| v * v).sum());
        Self { d: signal.d, sums, squares }
    }
}

impl Cost for CostL2 {
    fn len(&self) -> usize {
        self.squares.len() - 1
    }

    #[inline]
    fn cost(&self, start: usize, end: usize) -> f64 {
        let (a, b) = (&self.sums[start * self.d..][..self.d], &self.sums[end * self.d..][..self.d]);
        let square: f64 = a.iter().zip(b).map(|(a, b)| (b - a) * (b - a)).sum();
        (self.squares[end] - self.squares[start] - square / (end - start) as f64).max(0.0)
    }
}
