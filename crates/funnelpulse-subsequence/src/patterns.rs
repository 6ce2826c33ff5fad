//! The recurring patterns of a column.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{SubsequenceConfig, scale::FARTHEST};

const MAX_ROUNDS: usize = 15;
/// Squared distance between windows that differ by rounding only.
const SAME: f64 = 1e-12;

/// A window less the mean of its present values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    values: Vec<f64>,
    mean: f64,
    present: usize,
}

impl Window {
    /// False when half of the values or more are missing.
    pub(crate) fn read(&mut self, values: &[f64]) -> bool {
        let (mut sum, mut present) = (0.0, 0);
        for value in values.iter().filter(|v| !v.is_nan()) {
            sum += value;
            present += 1;
        }
        if 2 * present <= values.len() {
            return false;
        }
        let mean = sum / present as f64;
        self.values.clear();
        self.values.extend(values.iter().map(|v| v - mean));
        (self.mean, self.present) = (mean, present);
        true
    }

    fn squared_distance(&self, pattern: &[f64]) -> f64 {
        if self.present == self.values.len() {
            return squared_distance(&self.values, pattern);
        }
        self.values.iter().zip(pattern).filter(|(v, _)| !v.is_nan()).map(|(v, p)| (v - p).powi(2)).sum()
    }
}

/// In eight sums, for the compiler to vectorise.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The nearest pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    /// Root mean square distance per row.
    pub(crate) distance: f64,
    /// The last value of the pattern.
    pub(crate) last: f64,
}

/// Normal patterns: centres of windows that are met again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Patterns {
    length: usize,
    /// One after the other.
    centres: Vec<f64>,
}

impl Patterns {
    /// Groups windows (k-means from k-means++ seeds; Lloyd 1982, Arthur & Vassilvitskii 2007) and
    /// keeps the groups that are not rare. `None` without a window.
    pub(crate) fn learn(windows: &[Window], config: &SubsequenceConfig) -> Option<Self> {
        let length = windows.first()?.values.len();
        let mut learner = Learner { windows, length, groups: vec![0; windows.len()] };
        let mut centres = learner.seeds(config.patterns.min(windows.len().div_ceil(3)), config.seed);
        let mut sizes = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let moved = learner.assign(&centres);
            sizes = learner.update(&mut centres);
            if !moved {
                break;
            }
        }
        let needed = (config.min_share * windows.len() as f64).max(2.0);
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let is_normal = |size: usize| size as f64 >= needed || size == largest;
        let normal = centres.chunks_exact(length).zip(&sizes).filter(|(_, size)| is_normal(**size));
        Some(Self { length, centres: normal.flat_map(|(centre, _)| centre).copied().collect() })
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn len(&self) -> usize {
        self.centres.len() / self.length
    }

    pub(crate) fn nearest(&self, window: &Window) -> Nearest {
        let mut nearest = (f64::INFINITY, &self.centres[..self.length]);
        for centre in self.centres.chunks_exact(self.length) {
            let distance = window.squared_distance(centre);
            if distance < nearest.0 {
                nearest = (distance, centre);
            }
        }
        let (squared, centre) = nearest;
        Nearest { distance: (squared / window.present as f64).sqrt(), last: centre[self.length - 1] + window.mean }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let (length, values) = (self.length, self.centres.len());
        length >= 4
            && values >= length
            && values.is_multiple_of(length)
            && self.centres.iter().all(|c| c.abs() <= 2.0 * FARTHEST)
    }
}

struct Learner<'a> {
    windows: &'a [Window],
    length: usize,
    /// Of each window.
    groups: Vec<usize>,
}

impl Learner<'_> {
    /// Windows that are far from each other: each drawn with a probability proportional to its
    /// squared distance from those before.
    fn seeds(&self, count: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut centres = Vec::with_capacity(count * self.length);
        let mut far = vec![f64::INFINITY; self.windows.len()];
        let mut chosen = rng.random_range(0..self.windows.len());
        loop {
            let start = centres.len();
            // A missing value is taken for the mean of its window.
            centres.extend(self.windows[chosen].values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }));
            let total: f64 = self
                .windows
                .iter()
                .zip(&mut far)
                .map(|(window, far)| {
                    *far = far.min(window.squared_distance(&centres[start..]));
                    *far
                })
                .sum();
            if centres.len() >= count * self.length || total <= SAME * self.windows.len() as f64 {
                return centres;
            }
            let mut left = rng.random::<f64>() * total;
            let drawn = far.iter().position(|far| {
                left -= far;
                left < 0.0
            });
            chosen = drawn.unwrap_or(self.windows.len() - 1);
        }
    }

    /// Puts every window into the group of the nearest centre; false when none has moved.
    fn assign(&mut self, centres: &[f64]) -> bool {
        let mut moved = false;
        for (window, group) in self.windows.iter().zip(&mut self.groups) {
            let mut nearest = (f64::INFINITY, 0);
            for (index, centre) in centres.chunks_exact(self.length).enumerate() {
                let distance = window.squared_distance(centre);
                if distance < nearest.0 {
                    nearest = (distance, index);
                }
            }
            moved |= *group != nearest.1;
            *group = nearest.1;
        }
        moved
    }

    /// Moves every centre to the mean of its group; sizes of the groups.
    fn update(&self, centres: &mut [f64]) -> Vec<usize> {
        let groups = centres.len() / self.length;
        let mut sizes = vec![0; groups];
        let mut sums = vec![0.0; centres.len()];
        let mut counts = vec![0_u32; centres.len()];
        for (window, &group) in self.windows.iter().zip(&self.groups) {
            sizes[group] += 1;
            let places = group * self.length..(group + 1) * self.length;
            for ((sum, count), value) in sums[places.clone()].iter_mut().zip(&mut counts[places]).zip(&window.values) {
                if !value.is_nan() {
                    *sum += value;
                    *count += 1;
                }
            }
        }
        for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(counts) {
            if count > 0 {
                *centre = sum / f64::from(count);
            }
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(values: &[f64]) -> Window {
        let mut window = Window::default();
        assert!(window.read(values));
        window
    }

    #[test]
    fn rare_patterns_are_not_normal() {
        let shape = |i: usize, bump: f64| window(&[i as f64, i as f64 + 1.0 + bump, i as f64, i as f64, i as f64]);
        let windows: Vec<Window> = (0..100).map(|i| shape(i, if i == 40 { 50.0 } else { 0.0 })).collect();
        let patterns = Patterns::learn(&windows, &SubsequenceConfig::default()).unwrap();
        assert_eq!(patterns.len(), 1, "the level does not count, the bump is met once");
        let far = patterns.nearest(&windows[40]).distance;
        assert!((far - (50.0_f64.powi(2) * 0.8 / 5.0).sqrt()).abs() < 1e-6, "{far}");
        assert!((patterns.nearest(&windows[7]).last - 7.0).abs() < 1e-9);
    }

    #[test]
    fn missing_values_are_left_out() {
        let full = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let patterns = Patterns::learn(&[window(&full), window(&full)], &SubsequenceConfig::default()).unwrap();
        let gap = window(&[0.0, 1.0, f64::NAN, f64::NAN, 0.0, 1.0]);
        assert!(patterns.nearest(&gap).distance < 1e-12);
        assert!(!Window::default().read(&[0.0, f64::NAN, f64::NAN, 1.0]));
    }
}
