//! Units in which a series is compared with itself.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// Scaled values beyond are cut off before the network sees them: its gates are saturated long before.
const FAR: f64 = 10.0;
/// Errors beyond count as this much, so that their squares stay finite.
const FARTHEST: f64 = 1e100;

/// Median and spread of each column of one series, learnt on its training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) center: Vec<f64>,
    pub(crate) spread: Vec<f64>,
}

impl Scale {
    /// The interquartile range in units of a normal distribution's standard deviation. Where half the values
    /// are the same, their mean absolute deviation from the median; for constant columns and such
    /// without values, 1.
    pub(crate) fn learn(values: ArrayView2<'_, f64>) -> Self {
        let mut scale = Self { center: Vec::new(), spread: Vec::new() };
        for column in values.columns() {
            let mut sorted: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let at = |q: f64| sorted.get((q * (sorted.len().max(1) - 1) as f64).round() as usize).copied();
            let center = at(0.5).unwrap_or(0.0);
            let usable = |spread: &f64| spread.is_finite() && *spread > 1e-290;
            let quartiles = at(0.75).zip(at(0.25)).map(|(high, low)| (high - low) / 1.349);
            let mean = || {
                let n = sorted.len() as f64;
                Some(sorted.iter().map(|v| (v - center).abs() / n).sum::<f64>() * 1.2533)
            };
            let spread = quartiles.filter(usable).or_else(|| mean().filter(usable)).unwrap_or(1.0);
            scale.center.push(center);
            scale.spread.push(spread);
        }
        scale
    }

    /// A value in units of its column's spread.
    pub(crate) fn apply(&self, column: usize, value: f64) -> f64 {
        let scaled = value / self.spread[column] - self.center[column] / self.spread[column];
        scaled.clamp(-FARTHEST, FARTHEST)
    }

    /// What the network reads for a scaled value; 0, the median, where it is missing.
    pub(crate) fn input(scaled: f64) -> f32 {
        if scaled.is_nan() { 0.0 } else { scaled.clamp(-FAR, FAR) as f32 }
    }

    /// Back to the units of the series.
    pub(crate) fn undo(&self, column: usize, scaled: f64) -> f64 {
        (scaled * self.spread[column] + self.center[column]).clamp(-f64::MAX, f64::MAX)
    }

    /// How little another series' scale resembles this one: mean over columns of the distance of the
    /// medians in spreads and of the logarithms of the spreads.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        let columns = self.center.len().max(1) as f64;
        let column = |c: usize| {
            let shift = (self.center[c] / self.spread[c] - other.center[c] / self.spread[c]).abs();
            shift.min(1e6) + (self.spread[c].ln() - other.spread[c].ln()).abs()
        };
        (0..self.center.len()).map(column).sum::<f64>() / columns
    }

    pub(crate) fn is_valid(&self, columns: usize) -> bool {
        let lengths = self.center.len() == columns && self.spread.len() == columns;
        lengths && self.center.iter().all(|v| v.is_finite()) && self.spread.iter().all(|v| v.is_finite() && *v > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn spreads_are_robust_and_never_zero() {
        let mut values = Array2::from_shape_fn((101, 1), |(i, _)| i as f64);
        values[[100, 0]] = 1e9;
        let scale = Scale::learn(values.view());
        assert_eq!(scale.center, [50.0]);
        assert!((scale.spread[0] - 50.0 / 1.349).abs() < 1e-9);
        let odd = array![[5.0, f64::NAN, 1e-320, 0.0], [5.0, f64::NAN, 2e-320, 0.0], [5.0, f64::NAN, 0.0, 9.0]];
        let scale = Scale::learn(odd.view());
        assert!(scale.is_valid(4));
        assert_eq!(scale.spread[..3], [1.0; 3]);
        assert_eq!(scale.undo(0, scale.apply(0, 7.0)), 7.0);
        assert_eq!(scale.distance(&scale), 0.0);
        assert!(Scale::learn(Array2::zeros((0, 2)).view()).is_valid(2));
    }
}
