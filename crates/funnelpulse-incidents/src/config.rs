//! Settings.

use serde::{Deserialize, Serialize};

use crate::{CalendarEntry, IncidentError, calendar::Calendar, clock::Clock, structure::Known};

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
    /// Series from which on what happens to most of them at once is an incident of the site (3 or
    /// more).
    pub min_series: usize,
    /// Hours for which a lasting change is news; then it is the new normal (1 to 8760).
    pub new_normal_hours: u32,
    /// The IANA name of the time zone in which people shop, such as `Europe/Berlin`.
    pub timezone: String,
    /// Holidays, promotions, mailings: their effects are learnt and ordinary.
    pub calendar: Vec<CalendarEntry>,
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
            min_series: 3,
            new_normal_hours: 24,
            timezone: "UTC".to_owned(),
            calendar: Vec::new(),
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
            (self.min_series >= 3, "min_series", self.min_series as f64, "3 or more"),
            (
                (1..=8760).contains(&self.new_normal_hours),
                "new_normal_hours",
                f64::from(self.new_normal_hours),
                "1 to 8760",
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
            None => self.place().map(|_| ()),
        }
    }

    /// The time zone and the calendar.
    pub(crate) fn place(&self) -> Result<(Clock, Calendar), IncidentError> {
        let clock = Clock::new(&self.timezone)?;
        let calendar = Calendar::new(&self.calendar, &clock)?;
        Ok((clock, calendar))
    }

    /// Which steps the table has.
    pub(crate) fn known(&self) -> Known {
        self.columns().map(|column| column.is_some())
    }

    /// The columns in the order of the funnel.
    pub(crate) fn columns(&self) -> [Option<&String>; 4] {
        [self.traffic.as_ref(), self.carts.as_ref(), self.purchases.as_ref(), self.revenue.as_ref()]
    }
}
