//! Standard units.

use serde::{Deserialize, Serialize};

/// Values farther out count as this many standard deviations, so that squares stay finite.
pub(crate) const FARTHEST: f64 = 1e9;

/// Mean and standard deviation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) level: f64,
    pub(crate) spread: f64,
}

impl Scale {
    /// Of the present values; `None` without any.
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let present = values.filter(|v| !v.is_nan());
        let largest = present.clone().map(f64::abs).fold(0.0, f64::max);
        let count = present.clone().count() as f64;
        if count == 0.0 {
            return None;
        }
        if largest == 0.0 {
            return Some(Self { level: 0.0, spread: 1.0 });
        }
        // In units of the largest value: squares of huge values overflow.
        let mean = present.clone().map(|v| v / largest).sum::<f64>() / count;
        let variance = present.map(|v| (v / largest - mean).powi(2)).sum::<f64>() / count;
        let (level, spread) = (mean * largest, variance.sqrt() * largest);
        // A constant: any change is one of the order of its level.
        let spread = if variance.sqrt() > 1e-9 * mean.abs() { spread } else { level.abs() };
        Some(Self { level, spread: spread.max(f64::MIN_POSITIVE) })
    }

    /// In standard deviations from the mean; NaN stays.
    pub(crate) fn standardise(self, value: f64) -> f64 {
        ((value - self.level) / self.spread).clamp(-FARTHEST, FARTHEST)
    }

    pub(crate) fn restore(self, standardised: f64) -> f64 {
        let value = standardised * self.spread + self.level;
        if value.is_finite() { value } else { f64::NAN }
    }

    pub(crate) fn is_valid(self) -> bool {
        self.level.is_finite() && self.spread.is_finite() && self.spread > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_stay_finite() {
        for values in [&[1e308, -1e308][..], &[5e-324, 1e-323], &[7.0, 7.0], &[0.0]] {
            let scale = Scale::of(values.iter().copied()).unwrap();
            assert!(scale.is_valid(), "{values:?}: {scale:?}");
            assert!(values.iter().all(|&v| scale.standardise(v).abs() < 10.0), "{values:?}: {scale:?}");
            assert_eq!(scale.standardise(f64::MAX).abs().min(FARTHEST), scale.standardise(f64::MAX).abs());
        }
        assert!(Scale::of([f64::NAN].into_iter()).is_none());
    }
}
