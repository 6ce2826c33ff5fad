//! The distance of a vector of reconstruction errors from the usual ones.

use serde::{Deserialize, Serialize};

/// Spreads below are taken for this: half a percent of the spread of the column itself.
const SMALLEST: f64 = 5e-3;
/// Share of the identity that is mixed into correlations, so that metrics that never differed may.
const SHRINK: f64 = 0.05;

/// Spread of errors by position and column, and their correlation: errors are divided by the spread at
/// their position, then decorrelated by the inverse square root of the correlation matrix, which keeps
/// every whitened error as close to the error of its own column as can be (ZCA-cor; Kessy, Lewin &
/// Strimmer 2018).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Whitening {
    /// Positions x columns.
    spread: Vec<f64>,
    /// Columns x columns, symmetric.
    root: Vec<f64>,
}

impl Whitening {
    /// Learns from windows of errors (`positions x columns` each, NaN where missing).
    pub(crate) fn learn<'a>(errors: impl Iterator<Item = &'a [f64]> + Clone, positions: usize, columns: usize) -> Self {
        let mut spread = Vec::with_capacity(positions * columns);
        for at in 0..positions * columns {
            let mut sizes: Vec<f64> = errors.clone().map(|e| e[at].abs()).filter(|e| !e.is_nan()).collect();
            sizes.sort_unstable_by(f64::total_cmp);
            spread.push(typical(&sizes).max(SMALLEST));
        }
        let mut root = vec![0.0; columns * columns];
        let (mut sums, mut counts) = (vec![0.0; columns * columns], vec![0.0_f64; columns * columns]);
        for window in errors {
            for (error, spread) in window.chunks_exact(columns).zip(spread.chunks_exact(columns)) {
                // Far errors say little about what is usual.
                let z = |c: usize| (error[c] / spread[c]).clamp(-3.0, 3.0);
                for a in 0..columns {
                    for b in 0..=a {
                        let product = z(a) * z(b);
                        if !product.is_nan() {
                            sums[a * columns + b] += product;
                            counts[a * columns + b] += 1.0;
                        }
                    }
                }
            }
        }
        let second = |a: usize, b: usize| sums[a * columns + b] / counts[a * columns + b].max(1.0);
        for a in 0..columns {
            for b in 0..=a {
                let scale = (second(a, a) * second(b, b)).sqrt();
                let correlation = if a == b {
                    1.0
                } else if scale > 0.0 {
                    (1.0 - SHRINK) * (second(a, b) / scale).clamp(-1.0, 1.0)
                } else {
                    0.0
                };
                (root[a * columns + b], root[b * columns + a]) = (correlation, correlation);
            }
        }
        Self { spread, root: inverse_root(root, columns) }
    }

    /// Squared whitened errors of each column, into `squares`, from errors at `position`; NaN counts as none.
    pub(crate) fn squares(&self, position: usize, errors: &[f64], squares: &mut [f64]) {
        let columns = errors.len();
        let spread = &self.spread[position * columns..][..columns];
        let known = |c: usize| if errors[c].is_nan() { 0.0 } else { errors[c] / spread[c] };
        for (a, square) in squares.iter_mut().enumerate() {
            let root = &self.root[a * columns..][..columns];
            *square = (0..columns).map(|b| root[b] * known(b)).sum::<f64>().powi(2);
        }
    }

    pub(crate) fn is_valid(&self, positions: usize, columns: usize) -> bool {
        self.spread.len() == positions * columns
            && self.root.len() == columns * columns
            && self.spread.iter().all(|s| *s >= SMALLEST && *s < 1e120)
            && self.root.iter().all(|r| r.is_finite() && r.abs() < 1e6)
    }
}

/// Standard deviation about zero of sorted sizes of errors, from those that are not in the largest tenth, as
/// if the errors were normal: anomalies among the rows they are learnt from make no difference.
fn typical(sorted: &[f64]) -> f64 {
    /// Root mean square of the nine tenths of a standard normal that lie nearest to zero.
    const KEPT: f64 = 0.789_8;
    let kept = &sorted[..(sorted.len() * 9).div_ceil(10)];
    let mean = kept.iter().map(|e| e.min(1e50).powi(2)).sum::<f64>() / kept.len().max(1) as f64;
    mean.sqrt() / KEPT
}

/// Inverse square root of a symmetric positive definite matrix, by Jacobi's method.
fn inverse_root(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    for _ in 0..50 {
        let off: f64 = (0..n).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| matrix[a * n + b].powi(2)).sum();
        if off < 1e-24 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, n, p, q);
            }
        }
    }
    let mut root = vec![0.0; n * n];
    for k in 0..n {
        // Shrinking bounds eigenvalues away from zero, but for missing pairs of columns.
        let factor = 1.0 / matrix[k * n + k].max(1e-3).sqrt();
        for a in 0..n {
            for b in 0..n {
                root[a * n + b] += factor * vectors[a * n + k] * vectors[b * n + k];
            }
        }
    }
    root
}

fn rotate(matrix: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let off = matrix[p * n + q];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (a, b) = (matrix[k * n + p], matrix[k * n + q]);
        (matrix[k * n + p], matrix[k * n + q]) = (c * a - s * b, s * a + c * b);
    }
    for k in 0..n {
        let (a, b) = (matrix[p * n + k], matrix[q * n + k]);
        (matrix[p * n + k], matrix[q * n + k]) = (c * a - s * b, s * a + c * b);
        let (a, b) = (vectors[k * n + p], vectors[k * n + q]);
        (vectors[k * n + p], vectors[k * n + q]) = (c * a - s * b, s * a + c * b);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn whitened_errors_have_unit_variance() {
        let mut rng = Pcg64::seed_from_u64(1);
        let mut normal = || -> f64 { rng.sample(StandardNormal) };
        let windows: Vec<Vec<f64>> = (0..4000)
            .map(|_| {
                let common = normal();
                [1.0, 7.0].iter().flat_map(|s| [s * common, s * (common + normal()), 3.0 * normal()]).collect()
            })
            .collect();
        let whitening = Whitening::learn(windows.iter().map(Vec::as_slice), 2, 3);
        assert!(whitening.is_valid(2, 3));
        let mut means = [0.0; 3];
        let mut squares = [0.0; 3];
        for window in &windows {
            whitening.squares(1, &window[3..], &mut squares);
            for (mean, square) in means.iter_mut().zip(&squares) {
                *mean += square / windows.len() as f64;
            }
        }
        assert!(means.iter().all(|m| (0.85..1.15).contains(m)), "{means:?}");
        // What breaks the correlation is odder than what is as large but keeps to it.
        let total = |errors: [f64; 3]| {
            let mut squares = [0.0; 3];
            whitening.squares(0, &errors, &mut squares);
            squares.iter().sum::<f64>()
        };
        assert!(total([2.0, -2.0, 0.0]) > 2.0 * total([2.0, 2.0, 0.0]));
        assert_eq!(total([f64::NAN; 3]), 0.0);
    }

    #[test]
    fn errors_that_never_were_are_bounded() {
        let zeros = [0.0; 4];
        let whitening = Whitening::learn([&zeros[..]; 3].into_iter(), 2, 2);
        let mut squares = [0.0; 2];
        whitening.squares(0, &[1e100, 0.0], &mut squares);
        assert!(whitening.is_valid(2, 2) && squares[0].is_finite() && squares[0] > squares[1]);
    }
}
