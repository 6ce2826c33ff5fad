//! Change of the mean.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::{ChangepointError, linalg::symmetric_eigen};

/// Directions with less than this share of the largest variance hold nothing but rounding.
const LEAST_VARIANCE: f64 = 1e-12;

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

    /// The cost of squared Mahalanobis distances: differences are measured in units of the covariance of all rows (divisor
    /// `n - 1`), so that scales don't matter and columns that move together count once. It is the cost `mahalanobis` of
    /// ruptures. Directions in which nothing varies count nothing.
    ///
    /// ```
    /// use funnelpulse_changepoint::cost::{Cost, CostL2};
    /// use ndarray::array;
    ///
    /// // The second column is the first in other units: it adds nothing.
    /// let one = array![[1.0], [3.0], [2.0], [7.0]];
    /// let two = array![[1.0, 100.0], [3.0, 300.0], [2.0, 200.0], [7.0, 700.0]];
    /// let (a, b) = (CostL2::mahalanobis(one.view())?, CostL2::mahalanobis(two.view())?);
    /// assert!((a.cost(0, 3) - b.cost(0, 3)).abs() < 1e-9);
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn mahalanobis(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let mut signal = Signal::new(values)?.center();
        let (n, d) = (signal.n, signal.d);
        // Columns at one scale first: variances of very different size would lose the small ones.
        for column in 0..d {
            let values = || signal.values.iter().skip(column).step_by(d);
            let spread = values().fold(0.0_f64, |sum, v| sum.hypot(*v)) / (n.max(2) as f64 - 1.0).sqrt();
            let scale = if spread > 0.0 { 1.0 / spread } else { 0.0 };
            signal.values.iter_mut().skip(column).step_by(d).for_each(|v| *v *= scale);
        }
        let mut covariance = vec![0.0; d * d];
        for row in signal.values.chunks_exact(d) {
            for (i, left) in row.iter().enumerate() {
                for (j, right) in row.iter().enumerate() {
                    covariance[i * d + j] += left * right / (n.max(2) as f64 - 1.0);
                }
            }
        }
        let (variances, directions) = symmetric_eigen(covariance, d);
        let least = LEAST_VARIANCE * variances.iter().copied().fold(0.0, f64::max);
        let mut rotated = vec![0.0; d];
        for row in signal.values.chunks_exact_mut(d) {
            for (k, (value, variance)) in rotated.iter_mut().zip(&variances).enumerate() {
                let projection: f64 = row.iter().enumerate().map(|(i, v)| v * directions[i * d + k]).sum();
                *value = if *variance > least { projection / variance.sqrt() } else { 0.0 };
            }
            row.copy_from_slice(&rotated);
        }
        Ok(Self::of(&signal))
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
