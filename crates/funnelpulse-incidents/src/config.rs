//! Settings.

use serde::{Deserialize, Serialize};

use crate::IncidentError;

/// Settings of an [`IncidentDetector`](crate::IncidentDetector).
///
/// ```
/// use funnelpulse_incidents::{IncidentConfig, IncidentDetector};
///
/// let config = IncidentConfig { incidents_per_year: 0.0, ..IncidentConfig::funnel() };
/// let error = IncidentDetector::new(config).unwrap_err();
/// assert_eq!(error.to_string(), "incidents_per_year = 0 is out of range (above 0, at most 1000)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentConfig {
    /// The column that counts visits, the top of the funnel; needed.
    pub traffic: Option<String>,
    /// The column that counts what is put into carts.
    pub carts: Option<String>,
    /// The column that counts purchases.
    pub purchases: Option<String>,
    /// The column that adds up revenue.
    pub revenue: Option<String>,
    /// Incidents that a series has in a year, before any data are seen (above 0, at most 1000).
    pub incidents_per_year: f64,
    /// How far the normal level of a step wanders in a day: standard deviation of its logarithm
    /// (0.001 to 1).
    pub level_sd_per_day: f64,
    /// Series from which on what they share is taken as the site's and not as each one's own (3
    /// or more). The level of fewer may wander as far as a site's, three times as far in a day: it
    /// holds the holidays.
    pub min_series: usize,
    /// Hours after which another level is the new normal (24 to 8760).
    pub new_normal_hours: u32,
}

/// No columns yet, an incident a month.
impl Default for IncidentConfig {
    fn default() -> Self {
        Self {
            traffic: None,
            carts: None,
            purchases: None,
            revenue: None,
            incidents_per_year: 12.0,
            level_sd_per_day: 0.03,
            min_series: 3,
            new_normal_hours: 168,
        }
    }
}

impl IncidentConfig {
    /// The columns of a shop's hourly table: `views`, `carts`, `purchases`, `revenue`.
    pub fn funnel() -> Self {
        let name = |name: &str| Some(name.to_owned());
        Self {
            traffic: name("views"),
            carts: name("carts"),
            purchases: name("purchases"),
            revenue: name("revenue"),
            ..Self::default()
        }
    }

    /// Checks every field.
    pub fn validate(&self) -> Result<(), IncidentError> {
        let checks = [
            (
                self.incidents_per_year > 0.0 && self.incidents_per_year <= 1000.0,
                "incidents_per_year",
                self.incidents_per_year,
                "above 0, at most 1000",
            ),
            ((0.001..=1.0).contains(&self.level_sd_per_day), "level_sd_per_day", self.level_sd_per_day, "0.001 to 1"),
            (self.min_series >= 3, "min_series", self.min_series as f64, "3 or more"),
            (
                (24..=8760).contains(&self.new_normal_hours),
                "new_normal_hours",
                f64::from(self.new_normal_hours),
                "24 to 8760",
            ),
        ];
        if let Some((_, name, value, allowed)) = checks.into_iter().find(|(right, ..)| !right) {
            return Err(IncidentError::Config { name, value, allowed });
        }
        if self.traffic.is_none() {
            return Err(IncidentError::NoTraffic);
        }
        let names: Vec<&String> = self.columns().into_iter().flatten().collect();
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            Some((_, twice)) => Err(IncidentError::Twice { column: (*twice).clone() }),
            None => Ok(()),
        }
    }

    /// The columns in the order of [`Step`](crate::grid::Step).
    pub(crate) fn columns(&self) -> [Option<&String>; 4] {
        [self.traffic.as_ref(), self.carts.as_ref(), self.purchases.as_ref(), self.revenue.as_ref()]
    }
}
