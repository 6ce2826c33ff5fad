//! Mean and standard deviation of a stream, without overflow.

use serde::{Deserialize, Serialize};

use crate::scale::Unit;

/// Observations that the spread common to all hours counts for beside an hour's own.
const PRIOR_OBSERVATIONS: f64 = 4.0;
/// Values further than this from the center, in standard deviations, don't count for a robust mean.
const TRIM: f64 = 5.0;

/// The distribution of a bin's next value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prediction {
    /// Its mean, in the column's own units.
    pub(crate) level: f64,
    /// Its center on the scale of comparison.
    pub(crate) center: f64,
    /// Its standard deviation on the scale of comparison.
    pub(crate) deviation: f64,
}

impl Prediction {
    /// The standard deviations of a value on the scale of comparison from the center.
    pub(crate) fn z(&self, transformed: f64) -> f64 {
        ((transformed - self.center) / self.deviation).clamp(-f64::MAX, f64::MAX)
    }
}

/// Welford's running moments (1962), with the root of the sum of squares in place of the sum, so
/// that values up to the largest float have a finite standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    count: u64,
    /// Mean in the column's own units.
    level: f64,
    /// Mean, or median, on the scale of comparison; so is the rest.
    center: f64,
    /// Square root of the sum of squared deviations from the mean.
    root: f64,
}

impl Spread {
    /// Takes in a value, as it is and on the scale of comparison.
    pub(crate) fn push(&mut self, value: f64, transformed: f64) {
        let n = self.count as f64;
        self.count += 1;
        // Halves, so that the distance of two huge values of opposite sign stays finite.
        self.level += 2.0 * ((value / 2.0 - self.level / 2.0) / (n + 1.0));
        let half_delta = transformed / 2.0 - self.center / 2.0;
        self.center += 2.0 * (half_delta / (n + 1.0));
        let step = (2.0 * (half_delta.abs() * (n / (n + 1.0)).sqrt())).min(f64::MAX);
        self.root = self.root.hypot(step).min(f64::MAX);
    }

    /// Median and scaled median absolute deviation of an ascending sample; where more than half of
    /// the values are equal the standard deviation instead of the latter. The level is the mean of
    /// the values within five standard deviations.
    pub(crate) fn robust(ascending: &[f64], unit: Unit) -> Self {
        let n = ascending.len();
        if n == 0 {
            return Self::default();
        }
        let at = |i: usize| unit.transform(ascending[i]);
        let center = if n % 2 == 1 { at(n / 2) } else { at(n / 2 - 1) / 2.0 + at(n / 2) / 2.0 };
        // 1.4826 makes it the standard deviation of a normal distribution.
        let deviation = 1.482_602_218_505_602 * median_distance(n, center, at);
        let deviation = if deviation > 0.0 { deviation } else { Self::plain(ascending, unit).deviation() };
        // Distances rise from the middle on, to either side.
        let limit = TRIM * deviation;
        let first = partition(0, n / 2, |i| center - at(i) > limit);
        let last = partition(n / 2, n, |i| at(i) - center <= limit);
        let level = mean(&ascending[first..last]);
        let root = (deviation * ((n - 1) as f64).sqrt()).min(f64::MAX);
        Self { count: n as u64, level, center, root }
    }

    /// The running moments of a sample.
    fn plain(sample: &[f64], unit: Unit) -> Self {
        let mut plain = Self::default();
        for value in sample {
            plain.push(*value, unit.transform(*value));
        }
        plain
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Sample standard deviation; zero for fewer than two values.
    pub(crate) fn deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.root / ((self.count - 1) as f64).sqrt() }
    }

    /// The distribution of the next value, given the deviation `common` to all bins.
    pub(crate) fn predict(&self, common: f64) -> Prediction {
        let n = self.count as f64;
        let own = self.deviation() * (n / (n + PRIOR_OBSERVATIONS)).sqrt();
        let pooled = own.hypot(common * (PRIOR_OBSERVATIONS / (n + PRIOR_OBSERVATIONS)).sqrt());
        // Rounding noise around a constant is no variation.
        let varies = pooled > 1e-9 * self.center.abs();
        let deviation = if varies { pooled } else { self.center.abs().max(1.0) / n.max(1.0).sqrt() };
        let deviation = (deviation * (1.0 + 1.0 / n.max(1.0)).sqrt()).min(f64::MAX);
        Prediction { level: self.level, center: self.center, deviation }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.level.is_finite() && self.center.is_finite() && self.root.is_finite() && self.root >= 0.0
    }
}

/// The median of `|at(i) - center|` for `i < n`, where `at` rises and `center` is its median: the
/// values nearest to it are neighbours.
fn median_distance(n: usize, center: f64, at: impl Fn(usize) -> f64) -> f64 {
    let farthest_of_nearest = |count: usize| {
        let first = partition(0, n - count, |i| center - at(i) > at(i + count) - center);
        (center - at(first)).max(at(first + count - 1) - center).min(f64::MAX)
    };
    let upper = farthest_of_nearest(n / 2 + 1);
    if n % 2 == 1 { upper } else { farthest_of_nearest(n / 2) / 2.0 + upper / 2.0 }
}

/// The first place from `low` on where `holds` does not, at most `high`; it holds up to there.
fn partition(mut low: usize, mut high: usize, holds: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// The mean, also where the sum overflows.
fn mean(sample: &[f64]) -> f64 {
    let sum: f64 = sample.iter().sum();
    let n = sample.len().max(1) as f64;
    if sum.is_finite() { sum / n } else { sample.iter().map(|v| v / n).sum() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Scale, ZScoreConfig};

    fn linear() -> Unit {
        Unit::choose(&ZScoreConfig { scale: Scale::Linear, ..ZScoreConfig::default() }, &[-1.0])
    }

    proptest! {
        #[test]
        fn moments_match_two_passes(values in prop::collection::vec(-1e3..1e3f64, 2..50), shift in -1e9..1e9f64) {
            let mut spread = Spread::default();
            for v in &values { spread.push(v + shift, v + shift); }
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            prop_assert!((spread.center - shift - mean).abs() < 1e-5);
            prop_assert!((spread.deviation() - std).abs() < 1e-5 * std.max(1.0));
        }
    }

    /// The definition: medians by sorting.
    fn by_sorting(sample: &[f64]) -> (f64, f64, f64) {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let n = values.len();
            if n % 2 == 1 { values[n / 2] } else { f64::midpoint(values[n / 2 - 1], values[n / 2]) }
        };
        let center = median(sample.to_vec());
        let deviation = 1.482_602_218_505_602 * median(sample.iter().map(|v| (v - center).abs()).collect());
        let near = sample.iter().filter(|v| (**v - center).abs() <= TRIM * deviation);
        (center, deviation, near.clone().sum::<f64>() / near.count() as f64)
    }

    proptest! {
        #[test]
        fn robust_moments_are_those_of_the_definition(
            mut sample in prop::collection::vec(prop_oneof![-1e3..1e3f64, -1.0..1.0f64], 1..60),
        ) {
            let (center, deviation, level) = by_sorting(&sample);
            sample.sort_by(f64::total_cmp);
            let spread = Spread::robust(&sample, linear());
            prop_assert_eq!(spread.center, center);
            if deviation > 0.0 {
                prop_assert!((spread.deviation() - deviation).abs() <= 1e-12 * deviation);
                prop_assert!((spread.level - level).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn huge_values_do_not_overflow() {
        let mut spread = Spread::default();
        for value in [1.7e308, -1.7e308, 1.7e308] {
            spread.push(value, value);
        }
        assert!(spread.is_valid() && spread.deviation() > 1e308);
        assert!(Spread::robust(&[-1e308, 1e308], linear()).is_valid());
    }

    #[test]
    fn the_median_ignores_a_wild_value() {
        let robust = Spread::robust(&[1.0, 2.0, 3.0, 4.0, 1e9], linear());
        assert_eq!((robust.center, robust.level), (3.0, 2.5));
        assert!(robust.deviation() < 2.0);
    }
}
