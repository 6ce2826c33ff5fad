//! The threshold of a node along a direction.

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::Split;

/// A place to divide projected rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// Rows at `threshold` or above go right.
    pub(super) threshold: f32,
    /// Larger is better; only comparable within one criterion.
    pub(super) gain: f64,
    /// Share of the range that lies left.
    pub(super) share: f64,
}

/// Divides `projections` (not all the same, sorted for all but [`Split::Extended`]).
pub(super) fn place(split: Split, projections: &[f32], rng: &mut Pcg64) -> Place {
    match split {
        Split::Standard | Split::Extended => uniform(projections, rng),
        Split::PooledGain => {
            // The standard deviations of the two sides, weighted by their rows (Cortes 2021).
            best(projections, |left, right, n| -(left.rows * left.deviation() + right.rows * right.deviation()) / n)
        }
        // Liu, Ting & Zhou 2010, equation 1.
        Split::AveragedGain => best(projections, |left, right, _| -0.5 * (left.deviation() + right.deviation())),
        Split::Density => densest(projections),
    }
}

fn uniform(projections: &[f32], rng: &mut Pcg64) -> Place {
    let low = projections.iter().copied().fold(f32::INFINITY, f32::min);
    let high = projections.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let u: f32 = rng.random();
    let threshold = low * (1.0 - u) + high * u;
    let threshold = if threshold > low && threshold <= high { threshold } else { high };
    Place { threshold, gain: 0.0, share: share(low, threshold, high) }
}

/// Sums over the rows of one side, about the mean of the node.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    rows: f64,
    sum: f64,
    squares: f64,
}

impl Side {
    fn deviation(self) -> f64 {
        let mean = self.sum / self.rows;
        (self.squares / self.rows - mean * mean).max(0.0).sqrt()
    }
}

/// The place of the largest `gain(left, right, rows)`.
fn best(sorted: &[f32], gain: impl Fn(Side, Side, f64) -> f64) -> Place {
    let n = sorted.len() as f64;
    let mean = sorted.iter().map(|&p| f64::from(p)).sum::<f64>() / n;
    let squares: f64 = sorted.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum();
    let mut left = Side::default();
    choose(
        sorted,
        |i| {
            let p = f64::from(sorted[i]) - mean;
            left = Side { rows: left.rows + 1.0, sum: left.sum + p, squares: left.squares + p * p };
            let right = Side { rows: n - left.rows, sum: -left.sum, squares: squares - left.squares };
            (left, right)
        },
        |(left, right)| gain(left, right, n),
    )
}

/// Largest expected density, relative to the node's, over the rows of both sides.
fn densest(sorted: &[f32]) -> Place {
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let n = sorted.len() as f64;
    choose(
        sorted,
        |i| i,
        |i| {
            let volume = share(low, between(sorted[i], sorted[i + 1]), high).clamp(1e-9, 1.0 - 1e-9);
            let rows = (i + 1) as f64 / n;
            rows * rows / volume + (1.0 - rows).powi(2) / (1.0 - volume)
        },
    )
}

/// The best place between two different neighbours; `advance` sees every row, `gain` every place.
fn choose<S>(sorted: &[f32], mut advance: impl FnMut(usize) -> S, gain: impl Fn(S) -> f64) -> Place {
    let (mut found, mut at) = (f64::NEG_INFINITY, 0);
    for i in 0..sorted.len() - 1 {
        let state = advance(i);
        if sorted[i] < sorted[i + 1] {
            let gain = gain(state);
            if gain > found {
                (found, at) = (gain, i);
            }
        }
    }
    let threshold = between(sorted[at], sorted[at + 1]);
    Place { threshold, gain: found, share: share(sorted[0], threshold, sorted[sorted.len() - 1]) }
}

/// The middle of two different values, above the lower.
fn between(low: f32, high: f32) -> f32 {
    let middle = low / 2.0 + high / 2.0;
    if middle > low && middle <= high { middle } else { high }
}

fn share(low: f32, threshold: f32, high: f32) -> f64 {
    (f64::from(threshold) - f64::from(low)) / (f64::from(high) - f64::from(low))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn placed(split: Split, sorted: &[f32]) -> f32 {
        place(split, sorted, &mut Pcg64::seed_from_u64(1)).threshold
    }

    #[test]
    fn gain_divides_two_groups_between_them() {
        let two_groups = [0.0, 0.1, 0.2, 0.3, 5.0, 5.1, 5.2];
        for split in [Split::PooledGain, Split::AveragedGain] {
            let threshold = placed(split, &two_groups);
            assert!(threshold > 0.3 && threshold <= 5.0, "{split:?} {threshold}");
        }
    }

    #[test]
    fn places_are_the_brute_force_optimum() {
        let mut sorted: Vec<f32> = (0..40).map(|i| (i as f32).powf(1.3) + (i as f32 * 0.7).sin() * 0.4).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let deviation = |part: &[f32]| {
            let n = part.len() as f64;
            let mean = part.iter().map(|&p| f64::from(p)).sum::<f64>() / n;
            (part.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum::<f64>() / n).sqrt()
        };
        let pooled = |cut: usize| {
            let (left, right) = sorted.split_at(cut);
            -(left.len() as f64 * deviation(left) + right.len() as f64 * deviation(right))
        };
        let averaged = |cut: usize| -deviation(&sorted[..cut]) - deviation(&sorted[cut..]);
        let density = |cut: usize| {
            let (rows, range) = (cut as f64 / 40.0, f64::from(sorted[39] - sorted[0]));
            let volume = f64::from(f32::midpoint(sorted[cut - 1], sorted[cut]) - sorted[0]) / range;
            rows * rows / volume + (1.0 - rows).powi(2) / (1.0 - volume)
        };
        let best = |gain: &dyn Fn(usize) -> f64| (1..40).max_by(|&a, &b| gain(a).total_cmp(&gain(b))).unwrap();
        let cases = [
            (Split::PooledGain, best(&pooled)),
            (Split::AveragedGain, best(&averaged)),
            (Split::Density, best(&density)),
        ];
        for (split, cut) in cases {
            let threshold = placed(split, &sorted);
            assert!(threshold > sorted[cut - 1] && threshold <= sorted[cut], "{split:?} {threshold} {cut}");
        }
    }

    #[test]
    fn neighbours_in_floating_point_are_divided() {
        let low = 1.0f32;
        let high = f32::from_bits(low.to_bits() + 1);
        for split in [Split::Extended, Split::PooledGain, Split::AveragedGain, Split::Density] {
            assert_eq!(placed(split, &[low, low, high]), high, "{split:?}");
        }
    }
}
