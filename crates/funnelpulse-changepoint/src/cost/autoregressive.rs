//! Change of an autoregressive model.

use ndarray::ArrayView2;

use super::{Cost, Signal};
use crate::{ChangepointError, linalg};

/// Sum of squared residuals of an autoregression with intercept, fitted to the segment; the lags
/// of its first rows are those of the signal, from before the segment. The first `order` rows of
/// the signal, which have no lags, are taken to be equal to the row after them, as in ruptures.
/// One column.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostAutoregressive};
/// use ndarray::Array2;
///
/// // A decaying signal follows its last value exactly.
/// let values = Array2::from_shape_fn((30, 1), |(i, _)| 0.8f64.powi(i as i32));
/// let cost = CostAutoregressive::new(values.view(), 1)?;
/// assert!(cost.cost(5, 30) < 1e-9);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostAutoregressive {
    n: usize,
    /// Regressors: lags and the intercept.
    d: usize,
    /// Running sums: lower triangle of products of regressors, regressors times value, value squared.
    sums: Vec<f64>,
}

impl CostAutoregressive {
    /// The cost of `values`, one column, with `order` lags (1 to 50, fewer than there are rows).
    pub fn new(values: ArrayView2<'_, f64>, order: usize) -> Result<Self, ChangepointError> {
        let signal = Signal::new(values)?.center();
        signal.require("the autoregressive cost", 1, "1 column")?;
        if !(1..=50).contains(&order) {
            return Err(ChangepointError::config("order", order, "1 to 50"));
        }
        if signal.n <= order {
            return Err(ChangepointError::TooShort { rows: signal.n, needed: order + 1, segments: 1 });
        }
        let (n, d) = (signal.n, order + 1);
        let y = |i: usize| signal.values[i.max(order)];
        let width = d * (d + 1) / 2 + d + 1;
        let mut sums = vec![0.0; (n + 1) * width];
        let mut regressors = vec![1.0; d];
        for i in 0..n {
            // The intercept comes first: it never lacks information, so the others give way to it.
            let from = i.max(order) - order;
            regressors[1..].copy_from_slice(&signal.values[from..from + order]);
            let (before, after) = sums[i * width..].split_at_mut(width);
            let mut terms = Vec::with_capacity(width);
            for (j, a) in regressors.iter().enumerate() {
                terms.extend(regressors[..=j].iter().map(|b| a * b));
            }
            terms.extend(regressors.iter().map(|r| r * y(i)));
            terms.push(y(i) * y(i));
            for ((after, before), term) in after.iter_mut().zip(before).zip(terms) {
                *after = *before + term;
            }
        }
        Ok(Self { n, d, sums })
    }
}

impl Cost for CostAutoregressive {
    fn len(&self) -> usize {
        self.n
    }

    fn min_size(&self) -> usize {
        self.d + 1
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let (d, triangle) = (self.d, self.d * (self.d + 1) / 2);
        let width = triangle + d + 1;
        let (a, b) = (&self.sums[start * width..][..width], &self.sums[end * width..][..width]);
        let mut matrix = vec![0.0; d * d];
        let mut at = 0;
        for i in 0..d {
            for j in 0..=i {
                matrix[i * d + j] = b[at] - a[at];
                at += 1;
            }
        }
        let mut right: Vec<f64> = (triangle..triangle + d).map(|k| b[k] - a[k]).collect();
        let total = b[width - 1] - a[width - 1];
        (total - linalg::explained(&mut matrix, &mut right, d)).max(0.0)
    }
}
