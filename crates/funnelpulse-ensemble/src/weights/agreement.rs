//! The common factor of detectors.

use crate::Vote;

const ROUNDS: usize = 100;
/// Loadings that are possible; at one, nothing else would count.
const HIGHEST: f64 = 0.95;
/// Fewest rows on which two detectors are compared.
const MIN_ROWS: f64 = 50.0;

/// The weight of each detector in the best estimate of the common factor, the mean being one;
/// `None` where fewer than three can be compared.
pub(super) fn factor_weights(names: &[&str], history: &[&[Vote]]) -> Option<Vec<f64>> {
    let n = names.len();
    let mut correlation = vec![vec![0.0; n]; n];
    let mut compared = vec![false; n];
    for i in 0..n {
        for j in 0..i {
            if let Some(r) = pearson(names[i], names[j], history) {
                // Detectors that disagree have nothing in common.
                correlation[i][j] = r.max(0.0);
                correlation[j][i] = correlation[i][j];
                compared[i] = true;
                compared[j] = true;
            }
        }
    }
    if compared.iter().filter(|c| **c).count() < 3 {
        return None;
    }
    let loadings = loadings(&correlation);
    let weight = |loading: f64| loading / (1.0 - loading * loading);
    let mean = loadings.iter().map(|a| weight(*a)).sum::<f64>() / n as f64;
    (mean > 0.0).then(|| loadings.iter().map(|a| weight(*a) / mean).collect())
}

/// Loadings of one factor: the leading eigenvector of the correlations, whose diagonal is in turn
/// what the factor explains.
fn loadings(correlation: &[Vec<f64>]) -> Vec<f64> {
    let n = correlation.len();
    let mut loadings = vec![0.5; n];
    for _ in 0..ROUNDS {
        let product = |i: usize| {
            let others: f64 = (0..n).filter(|j| *j != i).map(|j| correlation[i][j] * loadings[j]).sum();
            others + loadings[i].powi(3)
        };
        let next: Vec<f64> = (0..n).map(product).collect();
        let length = loadings.iter().map(|a| a * a).sum::<f64>();
        if length <= 1e-12 {
            break;
        }
        loadings = next.iter().map(|a| (a / length).clamp(0.0, HIGHEST)).collect();
    }
    loadings
}

/// The correlation of two detectors' scores over all rows that both have.
fn pearson(a: &str, b: &str, history: &[&[Vote]]) -> Option<f64> {
    let of = |votes: &[Vote], name: &str| votes.iter().position(|v| v.detector() == name);
    let pairs = || {
        history.iter().filter_map(|votes| Some((&votes[of(votes, a)?], &votes[of(votes, b)?]))).flat_map(|(a, b)| {
            a.scores().iter().zip(b.scores()).filter(|(a, b)| !a.is_nan() && !b.is_nan()).map(|(a, b)| (*a, *b))
        })
    };
    let (mut n, mut x, mut y) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        n += 1.0;
        x += a;
        y += b;
    }
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        let (dx, dy) = (a - x / n, b - y / n);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let varies = |squares: f64| squares > 1e-12 * n;
    (n >= MIN_ROWS && varies(xx) && varies(yy)).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// Votes with these loadings on one factor.
    fn votes(loadings: &[f64], rows: usize, seed: u64) -> Vec<Vote> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let factor: Vec<f64> = (0..rows).map(|_| rng.random::<f64>() - 0.5).collect();
        let one = |(i, a): (usize, &f64)| {
            let own = (1.0 - a * a).sqrt();
            let scores: Array1<f64> = factor.iter().map(|f| 0.5 + a * f + own * (rng.random::<f64>() - 0.5)).collect();
            Vote::new(format!("d{i}"), scores)
        };
        loadings.iter().enumerate().map(one).collect()
    }

    #[test]
    fn loadings_are_recovered() {
        let truth = [0.9, 0.7, 0.5, 0.0];
        let (one, two) = (votes(&truth, 20_000, 1), votes(&truth, 20_000, 2));
        let weights = factor_weights(&["d0", "d1", "d2", "d3"], &[&one, &two]).unwrap();
        let expected: Vec<f64> = truth.iter().map(|a| a / (1.0 - a * a)).collect();
        for i in 1..3 {
            let (ratio, right) = (weights[i] / weights[0], expected[i] / expected[0]);
            assert!((ratio / right).ln().abs() < 0.25, "{i}: {ratio} and {right}");
        }
        assert!(weights[3] < 0.05, "{weights:?}");
    }

    #[test]
    fn two_detectors_constants_and_no_rows_say_nothing() {
        assert_eq!(factor_weights(&["d0", "d1"], &[&votes(&[0.9, 0.9], 500, 3)]), None);
        assert_eq!(factor_weights(&[], &[]), None);
        let constant: Vec<Vote> = (0..3).map(|i| Vote::new(format!("d{i}"), Array1::from_elem(100, 0.3))).collect();
        assert_eq!(factor_weights(&["d0", "d1", "d2"], &[&constant]), None);
        assert_eq!(factor_weights(&["d0", "d1", "d2"], &[&votes(&[0.9, 0.9, 0.9], 20, 4)]), None);
    }
}
