//! Change of level or slope.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::ChangepointError;

/// Sum of squared distances from the segment's own straight line in time, over all columns.
/// Lines of neighbouring segments need not meet.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostLinearTrend};
/// use ndarray::array;
///
/// let cost = CostLinearTrend::new(array![[0.0], [2.0], [4.0], [1.0]].view())?;
/// assert!(cost.cost(0, 3).abs() < 1e-12);
/// assert!(cost.cost(1, 4) > 1.0);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostLinearTrend {
    n: usize,
    d: usize,
    /// Running sums of each column, of time times column, of the squared length of rows.
    sums: Vec<f64>,
}

impl CostLinearTrend {
    /// The cost of `values`, a row per time; rows are evenly spaced.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::new(values)?.center();
        let (n, d) = (signal.n, signal.d);
        let width = 2 * d + 1;
        let mut sums = vec![0.0; (n + 1) * width];
        for (i, row) in signal.values.chunks_exact(d).enumerate() {
            let time = i as f64 - (n as f64 - 1.0) / 2.0;
            let (before, after) = sums[i * width..].split_at_mut(width);
            for (j, &v) in row.iter().enumerate() {
                after[j] = before[j] + v;
                after[d + j] = before[d + j] + time * v;
            }
            after[2 * d] = before[2 * d] + row.iter().map(|v| v * v).sum::<f64>();
        }
        Ok(Self { n, d, sums })
    }
}

impl Cost for CostLinearTrend {
    fn len(&self) -> usize {
        self.n
    }

    fn min_size(&self) -> usize {
        2
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let width = 2 * self.d + 1;
        let (a, b) = (&self.sums[start * width..][..width], &self.sums[end * width..][..width]);
        let length = (end - start) as f64;
        let middle = (start + end) as f64 / 2.0 - 0.5 - (self.n as f64 - 1.0) / 2.0;
        let time_squares = length * (length * length - 1.0) / 12.0;
        let mut cost = b[2 * self.d] - a[2 * self.d];
        for j in 0..self.d {
            let sum = b[j] - a[j];
            let product = b[self.d + j] - a[self.d + j] - middle * sum;
            cost -= sum * sum / length + product * product / time_squares;
        }
        cost.max(0.0)
    }
}
