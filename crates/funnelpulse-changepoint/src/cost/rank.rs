//! Change of distribution, by ranks.

use ndarray::ArrayView2;

use super::{Cost, CostL2, Signal};
use crate::{ChangepointError, linalg};

/// Lung-Yut-Fong, Lévy-Leduc & Cappé (2015): minus the length of a segment times the squared
/// Mahalanobis length of its mean rank. Whatever the scale and however long the tails, a change
/// counts by how it orders the values.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostRank};
/// use ndarray::array;
///
/// let cost = CostRank::new(array![[1.0], [2.0], [1e9], [1e12]].view())?;
/// // Ranks from -1.5 to 1.5, variance 1.25.
/// assert!((cost.cost(0, 2) + 2.0 / 1.25).abs() < 1e-12);
/// assert!(cost.cost(0, 4).abs() < 1e-12);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostRank {
    /// The same up to the segment-free sum of squares: the L2 cost of whitened ranks.
    whitened: CostL2,
    /// Running sum of the squared length of whitened ranks.
    squares: Vec<f64>,
}

impl CostRank {
    /// The cost of `values`, a row per time. Equal values share their mean rank; columns that are
    /// copies of others count once.
    pub fn new(values: ArrayView2<'_, f64>) -> Result<Self, ChangepointError> {
        let mut signal = Signal::new(values)?;
        let (n, d) = (signal.n, signal.d);
        for column in 0..d {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|a, b| signal.values[a * d + column].total_cmp(&signal.values[b * d + column]));
            let mut ranks = vec![0.0; n];
            let mut first = 0;
            while first < n {
                let value = signal.values[order[first] * d + column];
                let ties = order[first..].iter().take_while(|&&i| signal.values[i * d + column] == value).count();
                for &i in &order[first..first + ties] {
                    ranks[i] = first as f64 + (ties as f64 - n as f64) / 2.0;
                }
                first += ties;
            }
            for (i, rank) in ranks.into_iter().enumerate() {
                signal.values[i * d + column] = rank;
            }
        }
        let mut covariance = vec![0.0; d * d];
        for row in signal.values.chunks_exact(d) {
            for i in 0..d {
                for j in 0..d {
                    covariance[i * d + j] += row[i] * row[j] / n as f64;
                }
            }
        }
        let (eigenvalues, vectors) = linalg::symmetric_eigen(covariance, d);
        let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
        let scales: Vec<f64> =
            eigenvalues.iter().map(|&l| if l > 1e-12 * largest { 1.0 / l.sqrt() } else { 0.0 }).collect();
        let mut row_out = vec![0.0; d];
        for row in signal.values.chunks_exact_mut(d) {
            for (k, out) in row_out.iter_mut().enumerate() {
                *out = scales[k] * (0..d).map(|i| vectors[i * d + k] * row[i]).sum::<f64>();
            }
            row.copy_from_slice(&row_out);
        }
        let squares = signal.prefix_sums(1, |row, out| out[0] = row.iter().map(|v| v * v).sum());
        Ok(Self { whitened: CostL2::of(&signal), squares })
    }
}

impl Cost for CostRank {
    fn len(&self) -> usize {
        self.whitened.len()
    }

    fn min_size(&self) -> usize {
        2
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        self.whitened.cost(start, end) - (self.squares[end] - self.squares[start])
    }
}
