//! Severity and type of an anomaly, and the verdict on a row.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The severity of an anomaly, by its combined score.
///
/// ```
/// use funnelpulse_core::Severity;
///
/// assert!(Severity::Critical > Severity::High);
/// assert_eq!(Severity::Low.as_str(), "low");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The look of an anomaly.
///
/// ```
/// use funnelpulse_core::AnomalyType;
///
/// assert_eq!(AnomalyType::Changepoint.to_string(), "changepoint");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// use funnelpulse_core::AnomalyType;
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

/// The decision on one row, made from the calibrated scores of all detectors.
///
/// ```
/// use funnelpulse_core::{Severity, Verdict};
///
/// let verdict = Verdict {
///     score: 0.9,
///     confidence: 1.0,
///     n_models_flagged: 2,
///     n_models: 2,
///     threshold: 0.5,
///     is_anomaly: true,
///     severity: Some(Severity::High),
/// };
/// assert!(verdict.score >= verdict.threshold && verdict.severity > Some(Severity::Medium));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The scores of the detectors that have one, combined; NaN when none has.
    pub score: f64,
    /// Share of the weight of those detectors that agrees with the verdict, 0 to 1; NaN when
    /// none has a score.
    pub confidence: f64,
    /// Number of detectors that flag the row.
    pub n_models_flagged: usize,
    /// Number of detectors that have a score.
    pub n_models: usize,
    /// The threshold that the score was compared with.
    pub threshold: f64,
    /// The decision.
    pub is_anomaly: bool,
    /// The severity of an anomaly; `None` for a row that is none.
    pub severity: Option<Severity>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_and_type_has_its_name() {
        assert_eq!(Severity::ALL.map(Severity::as_str), ["low", "medium", "high", "critical"]);
        assert_eq!(AnomalyType::ALL.map(AnomalyType::as_str), ["drop", "spike", "changepoint", "pattern"]);
    }

    #[test]
    fn two_standard_deviations_are_a_drop_or_a_spike() {
        let names = [-2.0, -1.9, 1.9, 2.0, f64::NAN].map(|off| AnomalyType::classify(off, false).as_str());
        assert_eq!(names, ["drop", "pattern", "pattern", "spike", "pattern"]);
        assert_eq!(AnomalyType::classify(-6.0, true), AnomalyType::Changepoint);
    }
}
