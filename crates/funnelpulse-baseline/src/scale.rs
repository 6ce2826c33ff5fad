//! The scale on which the values of a column are compared.

use serde::{Deserialize, Serialize};

use crate::{Scale, ZScoreConfig};

/// A column's scale, chosen from its history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// `u` of `ln(1 + value / u)`; `None` on a linear scale.
    log: Option<f64>,
    /// The column was never negative, so its interval is not either.
    nonnegative: bool,
}

impl Unit {
    /// Counts as they are.
    #[cfg(test)]
    pub(crate) const LINEAR_COUNT: Self = Self { log: None, nonnegative: true };

    /// Chooses by the values of the history in ascending order, none of them NaN.
    pub(crate) fn choose(config: &ZScoreConfig, values: &[f64]) -> Self {
        let nonnegative = values.first().is_some_and(|v| *v >= 0.0);
        let log = match config.scale {
            Scale::Linear => false,
            Scale::Log => true,
            Scale::Auto => config.robust && nonnegative && is_skewed(values),
        };
        let positive = &values[values.partition_point(|v| *v <= 0.0)..];
        let unit = positive.get(positive.len() / 2).copied().unwrap_or(1.0);
        Self { log: log.then_some(unit.max(f64::MIN_POSITIVE)), nonnegative }
    }

    /// A value on this scale.
    pub(crate) fn transform(self, value: f64) -> f64 {
        match self.log {
            None => value,
            Some(unit) => {
                let ratio = value.abs() / unit;
                // value / unit may overflow although its logarithm does not.
                let log = if ratio.is_infinite() { value.abs().ln() - unit.ln() } else { ratio.ln_1p() };
                log.copysign(value)
            }
        }
    }

    /// A value in the column's own units.
    pub(crate) fn invert(self, transformed: f64) -> f64 {
        let value = match self.log {
            None => transformed,
            Some(unit) => (transformed.abs().exp_m1() * unit).copysign(transformed).clamp(-f64::MAX, f64::MAX),
        };
        if self.nonnegative { value.max(0.0) } else { value }
    }

    /// The change on this scale per change of a value.
    pub(crate) fn slope(self, value: f64) -> f64 {
        self.log.map_or(1.0, |unit| 1.0 / (unit + value.abs()))
    }

    /// True of a logarithmic scale.
    pub(crate) fn is_log(self) -> bool {
        self.log.is_some()
    }

    /// True where the history has no negative value.
    pub(crate) fn nonnegative(self) -> bool {
        self.nonnegative
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.log.is_none_or(|unit| unit > 0.0 && unit.is_finite())
    }
}

/// True if the right tail of ascending values is over twice as long as the left one.
fn is_skewed(ascending: &[f64]) -> bool {
    let quantile = |p: f64| ascending[((ascending.len() - 1) as f64 * p).round() as usize];
    !ascending.is_empty() && quantile(0.95) - quantile(0.5) > 2.0 * (quantile(0.5) - quantile(0.05))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(scale: Scale, values: &[f64]) -> Unit {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Unit::choose(&ZScoreConfig { scale, ..ZScoreConfig::default() }, &values)
    }

    #[test]
    fn auto_takes_logarithms_of_skewed_counts_only() {
        let skewed: Vec<f64> = (0..100).map(|i| f64::from(i).powi(3)).collect();
        assert!(unit(Scale::Auto, &skewed).log.is_some());
        let even: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(unit(Scale::Auto, &even).log, None);
        let negative: Vec<f64> = skewed.iter().map(|v| v - 1.0).collect();
        assert_eq!(unit(Scale::Auto, &negative).log, None);
        assert_eq!(unit(Scale::Auto, &[]).log, None);
    }

    proptest! {
        #[test]
        fn inverting_undoes_transforming(value in -1e9..1e9f64, median in 1e-3..1e3f64) {
            let unit = Unit { log: Some(median), nonnegative: false };
            let back = unit.invert(unit.transform(value));
            prop_assert!((back - value).abs() <= 1e-9 * value.abs().max(median), "{value} {back}");
        }
    }
}
