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

    /// Median and scaled median absolute deviation; where more than half of the values are equal
    /// the standard deviation instead of the latter. The level is the mean of the values within
    /// five standard deviations.
    pub(crate) fn robust(sample: &[f64], unit: Unit) -> Self {
        let mut plain = Self::default();
        let mut transformed: Vec<f64> = sample.iter().map(|v| unit.transform(*v)).collect();
        for (&value, &transformed) in sample.iter().zip(&transformed) {
            plain.push(value, transformed);
        }
        if sample.is_empty() {
            return plain;
        }
        let center = median(&mut transformed);
        let mut distances: Vec<f64> = transformed.iter().map(|v| (v - center).abs().min(f64::MAX)).collect();
        // 1.4826 makes it the standard deviation of a normal distribution.
        let deviation = 1.482_602_218_505_602 * median(&mut distances);
        let deviation = if deviation > 0.0 { deviation } else { plain.deviation() };
        let mut trimmed = Self::default();
        for &value in sample.iter().filter(|v| (unit.transform(**v) - center).abs() <= TRIM * deviation) {
            trimmed.push(value, value);
        }
        let freedom = (plain.count.saturating_sub(1)) as f64;
        let root = (deviation * freedom.sqrt()).min(f64::MAX);
        Self { count: plain.count, level: trimmed.level, center, root }
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

/// The median of a non-empty sample, which it reorders.
fn median(sample: &mut [f64]) -> f64 {
    let (middle, odd) = (sample.len() / 2, sample.len() % 2 == 1);
    let (below, &mut upper, _) = sample.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    lower / 2.0 + upper / 2.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Scale, ZScoreConfig};

    fn linear() -> Unit {
        Unit::choose(&ZScoreConfig { scale: Scale::Linear, ..ZScoreConfig::default() }, vec![-1.0])
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

    #[test]
    fn huge_values_do_not_overflow() {
        let mut spread = Spread::default();
        for value in [1.7e308, -1.7e308, 1.7e308] {
            spread.push(value, value);
        }
        assert!(spread.is_valid() && spread.deviation() > 1e308);
        assert!(Spread::robust(&[1e308, -1e308], linear()).is_valid());
    }

    #[test]
    fn the_median_ignores_a_wild_value() {
        let robust = Spread::robust(&[1.0, 2.0, 3.0, 4.0, 1e9], linear());
        assert_eq!((robust.center, robust.level), (3.0, 2.5));
        assert!(robust.deviation() < 2.0);
    }
}
