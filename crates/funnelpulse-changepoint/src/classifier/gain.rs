//! Log-likelihood ratios of a classifier, and their significance.

use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// Weight of the prior in a likelihood: `exp(-6)`, so that one wrong probability of 0 costs 6 nats at most (Londschien et
/// al. 2023, section 3.3).
const FLOOR: f64 = 0.002_478_752_176_666_358_5;

/// Log-likelihood of a probability ratio.
fn log_ratio(ratio: f64) -> f64 {
    (FLOOR + (1.0 - FLOOR) * ratio).ln()
}

/// The gain of every split of one segment by one classifier: the log-likelihood ratio of "before" for the rows up to the
/// split and "after" for the rest, relative to no split.
#[derive(Debug)]
pub(super) struct Curve {
    /// Per row, how much more likely it is before the break than after it.
    differences: Vec<f64>,
    /// The gain of a split before the first row.
    base: f64,
}

impl Curve {
    /// From the probability of each row to be after the break, by a classifier that was trained without that row on a
    /// break before row `split` (of the segment).
    pub(super) fn new(probabilities: &[f64], split: usize) -> Self {
        let others = (probabilities.len() - 1) as f64;
        let (before, after) = (split as f64, (probabilities.len() - split) as f64);
        let mut base = 0.0;
        let differences = probabilities.iter().enumerate().map(|(row, p)| {
            // Shares of the two classes among the other rows.
            let own = if row < split { (before - 1.0, after) } else { (before, after - 1.0) };
            let (is_before, is_after) = (log_ratio((1.0 - p) * others / own.0), log_ratio(p * others / own.1));
            base += is_after;
            is_before - is_after
        });
        let differences = differences.collect();
        Self { differences, base }
    }

    /// The split from `min_size` to `min_size` before the end with the largest gain, and that gain.
    pub(super) fn best(&self, min_size: usize) -> (usize, f64) {
        let mut best = (min_size, f64::NEG_INFINITY);
        let mut gain = self.base;
        for (row, difference) in self.differences.iter().enumerate() {
            if row >= min_size && row + min_size <= self.differences.len() && gain > best.1 {
                best = (row, gain);
            }
            gain += difference;
        }
        best
    }
}

/// The probability that rows in any order have as large a gain as `curves` have at their best: the share of permutations
/// that do, the order as it is among them. All curves see the same permutation, as their classifiers are not trained again.
pub(super) fn p_value(curves: &[Curve], min_size: usize, permutations: usize, rng: &mut Pcg64) -> f64 {
    let observed = curves.iter().map(|curve| curve.best(min_size).1).fold(f64::NEG_INFINITY, f64::max);
    let n = curves[0].differences.len();
    let mut order: Vec<usize> = (0..n).collect();
    let mut as_large = 1;
    for _ in 0..permutations {
        order.shuffle(rng);
        as_large += usize::from(curves.iter().any(|curve| curve.reaches(observed, &order, min_size)));
    }
    as_large as f64 / (permutations + 1) as f64
}

impl Curve {
    /// True if some split of the rows in another order has this gain.
    fn reaches(&self, gain: f64, order: &[usize], min_size: usize) -> bool {
        let last = order.len() - min_size;
        let mut sum = self.base + order[..min_size - 1].iter().map(|&row| self.differences[row]).sum::<f64>();
        order[min_size - 1..last].iter().any(|&row| {
            sum += self.differences[row];
            sum >= gain
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn gains_are_log_likelihood_ratios() {
        let probabilities = [0.1, 0.3, 0.2, 0.6, 0.9, 0.8, 0.7];
        let curve = Curve::new(&probabilities, 3);
        let gain = |split: usize| {
            let of = |(row, p): (usize, &f64)| {
                let own = if row < 3 { (2.0, 4.0) } else { (3.0, 3.0) };
                log_ratio(if row < split { (1.0 - p) * 6.0 / own.0 } else { p * 6.0 / own.1 })
            };
            probabilities.iter().enumerate().map(of).sum::<f64>()
        };
        let best = (2..=5).max_by(|&a, &b| gain(a).total_cmp(&gain(b))).unwrap();
        let found = curve.best(2);
        assert_eq!(found.0, best);
        assert!((found.1 - gain(best)).abs() < 1e-12);
        // A classifier that knows nothing gives the shares of the classes, and no split has a gain.
        let shares: Vec<f64> = (0..7).map(|row| if row < 3 { 4.0 / 6.0 } else { 3.0 / 6.0 }).collect();
        assert!(Curve::new(&shares, 3).best(2).1.abs() < 1e-12);
    }

    #[test]
    fn p_values_of_noise_are_uniform() {
        let mut rng = Pcg64::seed_from_u64(3);
        let mut below = [0; 4];
        for _ in 0..400 {
            let probabilities: Vec<f64> = (0..60).map(|_| rng.random::<f64>()).collect();
            let curves = [Curve::new(&probabilities, 15), Curve::new(&probabilities, 30)];
            let p = p_value(&curves, 5, 99, &mut rng);
            for (count, bound) in below.iter_mut().zip([0.05, 0.25, 0.5, 0.75]) {
                *count += usize::from(p <= bound);
            }
        }
        for (count, bound) in below.into_iter().zip([0.05, 0.25, 0.5, 0.75]) {
            let share = count as f64 / 400.0;
            assert!((share - bound).abs() < 0.075, "{share} of the p-values up to {bound}");
        }
    }
}
