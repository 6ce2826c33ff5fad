//! The impact of an hour.

use serde::{Deserialize, Serialize};

use crate::Deviation;

/// The metrics of conversions and of revenue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImpactConfig {
    /// The metric that counts conversions.
    pub conversions: String,
    /// The metric that adds up revenue.
    pub revenue: String,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_analytics::{Deviation, Impact, ImpactConfig};
///
/// let config = ImpactConfig { conversions: "orders".into(), ..ImpactConfig::default() };
/// let impact = Impact::assess(&config, &[Deviation::new("orders", 4.0, 10.0, -2.0)]);
/// assert_eq!((impact.lost_conversions, impact.revenue), (Some(6.0), None));
/// ```
impl Default for ImpactConfig {
    fn default() -> Self {
        Self { conversions: "purchases".into(), revenue: "revenue".into() }
    }
}

/// Revenue and conversions of an anomalous row above or below their expected values.
///
/// The reference is the expected value, not the observed one: a full outage with
/// zero purchases at zero revenue loses everything that was expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Impact {
    /// Revenue above (positive) or below (negative) the expectation, in the currency of the data.
    /// `None` when the table has no revenue or nothing was expected of it.
    pub revenue: Option<f64>,
    /// Conversions below (positive) or above (negative) the expectation.
    pub lost_conversions: Option<f64>,
}

impl Impact {
    /// The impact of a row whose metrics are `deviations`.
    ///
    /// ```
    /// use funnelpulse_analytics::{Deviation, Impact, ImpactConfig};
    ///
    /// let purchases = Deviation::new("purchases", 4.0, 10.0, -2.0);
    /// let row = [purchases, Deviation::new("revenue", 40.0, 100.0, -2.0)];
    /// let impact = Impact::assess(&ImpactConfig::default(), &row);
    /// assert_eq!((impact.revenue, impact.lost_conversions), (Some(-60.0), Some(6.0)));
    /// ```
    pub fn assess(config: &ImpactConfig, deviations: &[Deviation]) -> Self {
        let difference = |name: &str| deviations.iter().find(|d| &*d.metric == name).and_then(Deviation::difference);
        Self {
            revenue: difference(&config.revenue),
            // Subtracting from zero keeps an exact hit from becoming minus zero.
            lost_conversions: difference(&config.conversions).map(|d| 0.0 - d),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_without_money_have_no_impact() {
        let row = [Deviation::new("requests", 3.0, 30.0, -5.0)];
        assert_eq!(Impact::assess(&ImpactConfig::default(), &row), Impact::default());
        let config = ImpactConfig { conversions: "requests".into(), ..Default::default() };
        assert_eq!(Impact::assess(&config, &row).lost_conversions, Some(27.0));
    }

    #[test]
    fn a_missing_hour_is_not_a_loss() {
        let row = [Deviation::new("revenue", f64::NAN, 30.0, f64::NAN)];
        assert_eq!(Impact::assess(&ImpactConfig::default(), &row).revenue, None);
    }
}
