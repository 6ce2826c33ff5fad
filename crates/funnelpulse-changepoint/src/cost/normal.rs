//! Change of mean or variance.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::ChangepointError;

/// Added to every variance, so that constant segments have a finite cost.
const RIDGE: f64 = 1e-6;

/// Twice the negative log-likelihood of a normal distribution with the segment's own mean and
/// covariance, without constants: `L ln det(cov + 1e-6 I)`, the covariance with divisor `L` (in
/// more than one column `L - 1`, as numpy and so ruptures have it).
///
/// The added 1e-6 is in squared units of the data: scale columns to a spread of about one.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostNormal};
/// use ndarray::array;
///
/// let cost = CostNormal::new(array![[0.0], [2.0], [0.0], [2.0]].view())?;
/// assert!((cost.cost(0, 4) - 4.0 * (1.0f64 + 1e-6).ln()).abs() < 1e-12);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostNormal {
    n: usize,
    d: usize,
    /// Running sums per row: each column, then the lower triangle of products.
    sums: Vec<f64>,
}

impl CostNormal {
    /// The cost of `values`, a row per time.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::new(values)?.center();
        let d = signal.d;
        let sums = signal.prefix_sums(d + d * (d + 1) / 2, |row, out| {
            out[..d].copy_from_slice(row);
            let mut at = d;
            for i in 0..d {
                for j in 0..=i {
                    out[at] = row[i] * row[j];
                    at += 1;
                }
            }
        });
        Ok(Self { n: signal.n, d, sums })
    }
}

impl Cost for CostNormal {
    fn len(&self) -> usize {
        self.n
    }

    fn min_size(&self) -> usize {
        2
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let (d, width) = (self.d, self.d + self.d * (self.d + 1) / 2);
        let (a, b) = (&self.sums[start * width..][..width], &self.sums[end * width..][..width]);
        let length = (end - start) as f64;
        if d == 1 {
            let mean = (b[0] - a[0]) / length;
            return length * (((b[1] - a[1]) / length - mean * mean).max(0.0) + RIDGE).ln();
        }
        let mut at = d;
        let mut covariance = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..=i {
                let product = (b[at] - a[at]) - (b[i] - a[i]) * (b[j] - a[j]) / length;
                covariance[i * d + j] = product / (length - 1.0) + if i == j { RIDGE } else { 0.0 };
                at += 1;
            }
        }
        length * ln_det(&mut covariance, d)
    }

    /// With divisor `L - 1` in more than one column it need not be.
    fn is_subadditive(&self) -> bool {
        self.d == 1
    }
}

/// Logarithm of the determinant of a covariance (lower triangle, destroyed) by Cholesky's
/// decomposition; pivots that rounding has taken below the ridge count as the ridge.
fn ln_det(lower: &mut [f64], d: usize) -> f64 {
    let mut sum = 0.0;
    for i in 0..d {
        for j in 0..i {
            let dot: f64 = (0..j).map(|k| lower[i * d + k] * lower[j * d + k]).sum();
            lower[i * d + j] = (lower[i * d + j] - dot) / lower[j * d + j];
        }
        let pivot = lower[i * d + i] - (0..i).map(|k| lower[i * d + k].powi(2)).sum::<f64>();
        let pivot = pivot.max(RIDGE);
        lower[i * d + i] = pivot.sqrt();
        sum += pivot.ln();
    }
    sum
}
