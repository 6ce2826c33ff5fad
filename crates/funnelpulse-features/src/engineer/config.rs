//! Which features.

use funnelpulse_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::statistical::SUFFIXES;
use crate::FeatureError;

/// Which columns to make.
///
/// ```
/// use funnelpulse_features::FeatureConfig;
///
/// let config: FeatureConfig = toml::from_str("timezone = 'Europe/Berlin'\nmetrics = ['conversion_rate']")?;
/// config.validate()?;
/// assert_eq!(config.rolling_days, [7, 30]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Hour, day and month of the window.
    pub time: bool,
    /// The rates of the panel specification.
    pub rates: bool,
    /// Windows of rolling mean and standard deviation, in days, 1 to 3660 each.
    pub rolling_days: Vec<u32>,
    /// Distances of lags, in hours, 1 to 87840 each.
    pub lag_hours: Vec<u32>,
    /// Z-score, percentile rank, minimum and maximum against the past.
    pub statistical: bool,
    /// Length of that past, in days, 1 to 3660; all of it by default. A limit also
    /// bounds the memory of an endless stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistical_days: Option<u32>,
    /// The metrics that get rolling, lag and statistical columns: stored ones or rates. By default
    /// all stored metrics, and `conversion_rate` where there is one. Name a few when a table is
    /// wide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<String>>,
    /// Pairs of metrics or time features whose product becomes a column. By default, of the
    /// following, those that the table has: conversion rate with weekend and with business hours,
    /// views with average order value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interactions: Option<Vec<[String; 2]>>,
    /// The IANA time zone whose clock the time features read.
    pub timezone: String,
    /// The hours of business, every day of the week.
    pub business_hours: BusinessHours,
}

/// Hours of the day from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusinessHours {
    /// The first hour, 0 to 23.
    pub start: u8,
    /// The hour after the last, 1 to 24.
    pub end: u8,
}

impl Default for BusinessHours {
    fn default() -> Self {
        Self { start: 9, end: 18 }
    }
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            time: true,
            rates: true,
            rolling_days: vec![7, 30],
            lag_hours: vec![1, 24, 168],
            statistical: true,
            statistical_days: None,
            metrics: None,
            interactions: None,
            timezone: "UTC".into(),
            business_hours: BusinessHours::default(),
        }
    }
}

impl FeatureConfig {
    /// Only the stored metrics and their rates.
    pub fn rates_only() -> Self {
        Self {
            time: false,
            rolling_days: Vec::new(),
            lag_hours: Vec::new(),
            statistical: false,
            interactions: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Checks the ranges and the time zone. Whether the metrics exist is checked where they are
    /// known, in [`FeatureEngineer::new`](crate::FeatureEngineer::new).
    pub fn validate(&self) -> Result<(), FeatureError> {
        let check = |field, values: &[u32], max: u32| match values.iter().find(|v| !(1..=max).contains(*v)) {
            Some(value) => Err(FeatureError::field(field, value, format!("1 to {max}"))),
            None => Ok(()),
        };
        check("rolling_days", &self.rolling_days, 3_660)?;
        check("lag_hours", &self.lag_hours, 87_840)?;
        check("statistical_days", self.statistical_days.as_slice(), 3_660)?;
        let BusinessHours { start, end } = self.business_hours;
        if start >= end || end > 24 {
            return Err(FeatureError::field("business_hours", format!("{start} to {end}"), "0 <= start < end <= 24"));
        }
        self.zone().map(|_| ())
    }

    /// How far back an engineered column looks, microseconds; `i64::MAX` for one that looks back to
    /// the beginning.
    ///
    /// ```
    /// use funnelpulse_features::FeatureConfig;
    ///
    /// const HOUR: i64 = 3_600_000_000;
    /// let config = FeatureConfig::default();
    /// assert_eq!(config.look_back("views_lag_24h"), 24 * HOUR);
    /// assert_eq!(config.look_back("views_rolling_mean_7d"), 7 * 24 * HOUR);
    /// assert_eq!(config.look_back("views_min"), i64::MAX);
    /// assert_eq!(config.look_back("is_weekend"), 0);
    /// ```
    pub fn look_back(&self, column: &str) -> i64 {
        let days = |days: u32| i64::from(days) * Timestamp::DAY;
        let ends = |ending: String| column.ends_with(&ending);
        let rolls = |d: u32| ends(format!("_rolling_mean_{d}d")) || ends(format!("_rolling_std_{d}d"));
        let lags = |h: u32| ends(format!("_lag_{h}h")) || ends(format!("_change_{h}h"));
        let rolling = self.rolling_days.iter().filter(|d| rolls(**d)).map(|d| days(*d));
        let lagged = self.lag_hours.iter().filter(|h| lags(**h)).map(|h| i64::from(*h) * Timestamp::HOUR);
        let is_statistical = SUFFIXES.iter().any(|suffix| ends(format!("_{suffix}")));
        let statistical = is_statistical.then(|| self.statistical_days.map_or(i64::MAX, days));
        rolling.chain(lagged).chain(statistical).max().unwrap_or(0)
    }

    pub(super) fn zone(&self) -> Result<jiff::tz::TimeZone, FeatureError> {
        jiff::tz::TimeZone::get(&self.timezone).map_err(|_| {
            FeatureError::field("timezone", format!("`{}`", self.timezone), "an IANA time zone, such as Europe/Berlin")
        })
    }
}
