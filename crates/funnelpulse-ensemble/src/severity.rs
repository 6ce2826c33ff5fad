//! How bad, and of what kind.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EnsembleError, error::check};

/// How bad an anomaly is, by its combined score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a line in a report.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// All levels, mildest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name as it stands in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The combined score from which each severity starts, each in `[0, 1]`, rising.
///
/// ```
/// use funnelpulse_ensemble::{Severity, SeverityLevels};
///
/// let levels = SeverityLevels::default();
/// assert_eq!(levels.of(0.72), Some(Severity::Medium));
/// assert_eq!(levels.of(0.30), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeverityLevels {
    /// Start of [`Severity::Low`].
    pub low: f64,
    /// Start of [`Severity::Medium`].
    pub medium: f64,
    /// Start of [`Severity::High`].
    pub high: f64,
    /// Start of [`Severity::Critical`].
    pub critical: f64,
}

impl Default for SeverityLevels {
    fn default() -> Self {
        Self { low: 0.5, medium: 0.7, high: 0.85, critical: 0.95 }
    }
}

impl SeverityLevels {
    pub(crate) fn validate(&self) -> Result<(), EnsembleError> {
        let mut floor = 0.0;
        for (name, value) in
            [("low", self.low), ("medium", self.medium), ("high", self.high), ("critical", self.critical)]
        {
            check(format!("severity.{name}"), value, floor..=1.0, "0 to 1, each level at or above the one before")?;
            floor = value;
        }
        Ok(())
    }

    /// The severity of a score; `None` below the lowest level and for NaN.
    pub fn of(&self, score: f64) -> Option<Severity> {
        [
            (self.critical, Severity::Critical),
            (self.high, Severity::High),
            (self.medium, Severity::Medium),
            (self.low, Severity::Low),
        ]
        .into_iter()
        .find_map(|(start, severity)| (score >= start).then_some(severity))
    }
}

/// What an anomaly looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyType {
    /// Well below what was expected.
    Drop,
    /// Well above what was expected.
    Spike,
    /// The level changed and stayed.
    Changepoint,
    /// The single values are ordinary, their combination or order is not.
    Pattern,
}

impl AnomalyType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Spike, Self::Changepoint, Self::Pattern];

    /// The type of an anomaly from how many standard deviations the value lies from what was
    /// expected (NaN when nothing was), and whether a changepoint detector raised it.
    ///
    /// Changepoints come first: a level shift is a drop or a spike only in its first hour.
    /// Less than two standard deviations off is a pattern.
    ///
    /// ```
    /// use funnelpulse_ensemble::AnomalyType;
    ///
    /// assert_eq!(AnomalyType::classify(-6.0, false), AnomalyType::Drop);
    /// assert_eq!(AnomalyType::classify(0.3, false), AnomalyType::Pattern);
    /// assert_eq!(AnomalyType::classify(9.0, true), AnomalyType::Changepoint);
    /// ```
    pub fn classify(deviation: f64, changepoint: bool) -> Self {
        if changepoint {
            Self::Changepoint
        } else if deviation <= -2.0 {
            Self::Drop
        } else if deviation >= 2.0 {
            Self::Spike
        } else {
            Self::Pattern
        }
    }

    /// The name as it stands in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Spike => "spike",
            Self::Changepoint => "changepoint",
            Self::Pattern => "pattern",
        }
    }
}

impl fmt::Display for AnomalyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
