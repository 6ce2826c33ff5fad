//! Settings of the generator.

use funnelpulse_core::{Timestamp, parse_timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnomalyKind, Difficulty, Variety};
use crate::EvalError;

/// Parameters of the generator.
///
/// ```
/// use funnelpulse_eval::generator::GeneratorConfig;
///
/// let config = GeneratorConfig { brands: 0, ..GeneratorConfig::default() };
/// assert_eq!(config.validate().unwrap_err().to_string(), "`brands` is 0, allowed: 1 to 10000");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Number of brands; the first is the biggest. A brand does not change when others are added.
    pub brands: usize,
    /// Number of days.
    pub days: usize,
    /// Seed: the same one gives the same data, bit for bit.
    pub seed: u64,
    /// The size of the anomalies.
    pub difficulty: Difficulty,
    /// The variety of the anomalies.
    pub variety: Variety,
    /// First hour, UTC.
    pub start: String,
    /// Share of the hours of each brand that lie in an anomaly (0 to 0.3).
    pub anomaly_share: f64,
    /// The named kinds of anomaly to plant, each as often as the others.
    pub kinds: Vec<AnomalyKind>,
    /// Days at the start without an anomaly, to learn from; at most half of all days.
    pub quiet_days: usize,
    /// Incidents that hit every brand at once, checkout and tracking outages in turn, as far as
    /// there is room (0 to 100). They come on top of `anomaly_share`.
    pub site_wide_incidents: usize,
    /// Share of the hours without data because the feed is down (0 to 0.2), about half of them
    /// for all brands at once.
    pub missing_share: f64,
    /// True if there also is traffic without a brand: a series `(none)`, twice as big as the first brand.
    pub unbranded: bool,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            brands: 40,
            days: 150,
            seed: 42,
            difficulty: Difficulty::Medium,
            variety: Variety::Tabulated,
            start: "2019-10-01".to_owned(),
            anomaly_share: 0.03,
            kinds: AnomalyKind::ALL.to_vec(),
            quiet_days: 28,
            site_wide_incidents: 0,
            missing_share: 0.005,
            unbranded: false,
        }
    }
}

impl GeneratorConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), EvalError> {
        let checks = [
            ((1..=10_000).contains(&self.brands), "brands", self.brands.to_string(), "1 to 10000"),
            ((1..=3_650).contains(&self.days), "days", self.days.to_string(), "1 to 3650"),
            ((0.0..=0.3).contains(&self.anomaly_share), "anomaly_share", self.anomaly_share.to_string(), "0 to 0.3"),
            ((0.0..=0.2).contains(&self.missing_share), "missing_share", self.missing_share.to_string(), "0 to 0.2"),
            (self.site_wide_incidents <= 100, "site_wide_incidents", self.site_wide_incidents.to_string(), "0 to 100"),
            (!self.kinds.is_empty() || self.anomaly_share == 0.0, "kinds", "empty".to_owned(), "at least one kind"),
        ];
        for (right, field, value, allowed) in checks {
            if !right {
                return Err(EvalError::parameter(field, value, allowed));
            }
        }
        self.start().map(|_| ())
    }

    pub(super) fn start(&self) -> Result<Timestamp, EvalError> {
        let start = parse_timestamp(&self.start)?;
        let years = parse_timestamp("1900-01-01")?..parse_timestamp("2200-01-01")?;
        if start.floor_to(Timestamp::HOUR) == start && years.contains(&start) {
            Ok(start)
        } else {
            Err(EvalError::parameter("start", &self.start, "a whole hour between the years 1900 and 2200"))
        }
    }

    pub(super) fn hours(&self) -> usize {
        self.days * 24
    }
}
