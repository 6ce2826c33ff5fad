//! Priorities, and anomalies in words.

use std::fmt;

use funnelpulse_core::{AlarmBudget, AnomalyType, SeriesKey, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Factor, Impact, short};

/// Settings of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// Accepted number of false alarms, for example `1 per series per week` or `3 per day`; it
    /// sets the threshold. `off`: `ensemble.threshold` decides.
    #[schemars(with = "String")]
    pub budget: AlarmBudget,
    /// An hour whose revenue is off by at least this much, in the currency of the data, is raised
    /// one priority.
    pub urgent_revenue: f64,
    /// Contributing metrics named in a notice, 1 to 100.
    pub max_factors: usize,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_analytics::AlertConfig;
///
/// let config = AlertConfig {
///     budget: "3 per day".parse()?,
///     urgent_revenue: 1000.0,
///     ..AlertConfig::default()
/// };
/// assert!(config.validate().is_ok());
/// # Ok::<(), funnelpulse_core::ParseBudgetError>(())
/// ```
impl Default for AlertConfig {
    fn default() -> Self {
        Self { budget: AlarmBudget::default(), urgent_revenue: 100.0, max_factors: 3 }
    }
}

/// A setting that makes no sense.
///
/// ```
/// use funnelpulse_analytics::AlertConfig;
///
/// let error = AlertConfig { max_factors: 0, ..AlertConfig::default() }.validate().unwrap_err();
/// assert_eq!((error.name, error.allowed), ("max_factors", "1 to 100"));
/// ```
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{name} = {value} is out of range ({allowed})")]
#[non_exhaustive]
pub struct AlertError {
    /// The field.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The allowed range.
    pub allowed: &'static str,
}

impl AlertConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), AlertError> {
        if self.urgent_revenue.is_nan() || self.urgent_revenue < 0.0 {
            return Err(AlertError { name: "urgent_revenue", value: self.urgent_revenue, allowed: "0 or more" });
        }
        if !(1..=100).contains(&self.max_factors) {
            return Err(AlertError { name: "max_factors", value: self.max_factors as f64, allowed: "1 to 100" });
        }
        Ok(())
    }
}

/// The urgency; [`P1`](Priority::P1) is now.
///
/// ```
/// use funnelpulse_analytics::Priority;
///
/// // The most urgent comes first.
/// assert!(Priority::P1 < Priority::P2);
/// assert_eq!(Priority::P1.to_string(), "P1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Now.
    P1,
    /// Within the hour.
    P2,
    /// Today.
    P3,
    /// When there is time.
    P4,
}

impl Priority {
    /// The priority of a severity, raised one step when revenue is off by `urgent_revenue` or more.
    ///
    /// ```
    /// use funnelpulse_analytics::{AlertConfig, Impact, Priority};
    /// use funnelpulse_core::Severity;
    ///
    /// let config = AlertConfig { urgent_revenue: 100.0, ..AlertConfig::default() };
    /// let impact = |revenue| Impact { revenue: Some(revenue), lost_conversions: None };
    /// assert_eq!(Priority::of(Severity::High, impact(-20.0), &config), Priority::P2);
    /// assert_eq!(Priority::of(Severity::High, impact(-250.0), &config), Priority::P1);
    /// ```
    pub fn of(severity: Severity, impact: Impact, config: &AlertConfig) -> Self {
        let urgent = impact.revenue.is_some_and(|r| r.abs() >= config.urgent_revenue);
        match (severity, urgent) {
            (Severity::Critical, _) | (Severity::High, true) => Self::P1,
            (Severity::High, false) | (Severity::Medium, true) => Self::P2,
            (Severity::Medium, false) | (Severity::Low, true) => Self::P3,
            (Severity::Low, false) => Self::P4,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        })
    }
}

/// One anomaly in words.
///
/// ```
/// use funnelpulse_analytics::{AlertConfig, Impact, Notice};
/// use funnelpulse_core::{AnomalyType, Severity, Timestamp};
///
/// let (hour, impact) = (Timestamp::from_seconds(3600), Impact::default());
/// let (low, pattern) = (Severity::Low, AnomalyType::Pattern);
/// let notice =
///     Notice::new(&AlertConfig::default(), "shop-a".into(), hour, low, pattern, impact, &[]);
/// assert_eq!(notice.title, "P4 low pattern in shop-a at 1970-01-01T01:00:00Z");
/// assert_eq!(notice.message, "No single metric stands out; their combination does.");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// Names the series and the hour: the same anomaly found twice has the same id.
    pub id: String,
    /// The urgency.
    pub priority: Priority,
    /// The series.
    pub series: SeriesKey,
    /// Start of the hour, RFC 3339 in UTC.
    pub time: String,
    /// The severity.
    pub severity: Severity,
    /// Of what kind.
    #[serde(rename = "type")]
    pub anomaly_type: AnomalyType,
    /// One line.
    pub title: String,
    /// The factors and the impact, in a sentence or two.
    pub message: String,
    /// Its impact.
    pub impact: Impact,
}

impl Notice {
    /// Writes the words.
    pub fn new(
        config: &AlertConfig,
        series: SeriesKey,
        time: Timestamp,
        severity: Severity,
        anomaly_type: AnomalyType,
        impact: Impact,
        factors: &[Factor],
    ) -> Self {
        let priority = Priority::of(severity, impact, config);
        let named: Vec<String> = factors.iter().take(config.max_factors).map(Factor::to_string).collect();
        let mut message = match named.len() {
            0 => "No single metric stands out; their combination does.".to_owned(),
            _ => format!("{}.", named.join(", ")),
        };
        if let Some(revenue) = impact.revenue {
            let side = if revenue < 0.0 { "below" } else { "above" };
            message = format!("{message} Revenue is {} {side} what was expected.", short(revenue.abs()));
        }
        Self {
            id: format!("{series}@{time}"),
            title: format!("{priority} {severity} {anomaly_type} in {series} at {time}"),
            time: time.to_string(),
            message,
            priority,
            series,
            severity,
            anomaly_type,
            impact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_raises_the_priority_by_one() {
        let config = AlertConfig::default();
        let impact = |revenue| Impact { revenue: Some(revenue), lost_conversions: None };
        assert_eq!(Priority::of(Severity::Medium, impact(-99.0), &config), Priority::P3);
        assert_eq!(Priority::of(Severity::Medium, impact(-100.0), &config), Priority::P2);
        assert_eq!(Priority::of(Severity::Critical, Impact::default(), &config), Priority::P1);
        assert_eq!(Priority::of(Severity::Low, Impact::default(), &config), Priority::P4);
    }

    #[test]
    fn notices_are_json_with_a_stable_id() {
        let alert = |severity| {
            let time = Timestamp::from_seconds(0);
            let config = AlertConfig::default();
            Notice::new(&config, "a".into(), time, severity, AnomalyType::Spike, Impact::default(), &[])
        };
        assert_eq!(alert(Severity::Low).id, alert(Severity::Critical).id);
        let json = serde_json::to_value(alert(Severity::Low)).unwrap();
        assert_eq!(json["id"], "a@1970-01-01T00:00:00Z");
        assert_eq!(json["type"], "spike");
        assert_eq!(json["priority"], "P4");
        assert_eq!(json["impact"]["revenue"], serde_json::Value::Null);
    }

    #[test]
    fn settings_are_checked() {
        let error = AlertConfig { max_factors: 0, ..Default::default() }.validate().unwrap_err();
        assert_eq!(error.to_string(), "max_factors = 0 is out of range (1 to 100)");
        assert!(AlertConfig { urgent_revenue: f64::NAN, ..Default::default() }.validate().is_err());
    }
}
