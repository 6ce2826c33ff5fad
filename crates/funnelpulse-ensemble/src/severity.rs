//! The lower limits of the severities.

use funnelpulse_core::Severity;
use serde::{Deserialize, Serialize};

use crate::{EnsembleError, error::check};

/// The combined score from which each severity starts, each in `[0, 1]`, rising.
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

/// The defaults: 0.5, 0.7, 0.85 and 0.95.
///
/// ```
/// use funnelpulse_core::Severity;
/// use funnelpulse_ensemble::SeverityLevels;
///
/// let levels = SeverityLevels::default();
/// assert_eq!(levels.of(0.72), Some(Severity::Medium));
/// assert_eq!(levels.of(0.30), None);
/// ```
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
    ///
    /// ```
    /// use funnelpulse_core::Severity;
    /// use funnelpulse_ensemble::SeverityLevels;
    ///
    /// let levels = SeverityLevels { low: 0.2, ..SeverityLevels::default() };
    /// assert_eq!(levels.of(0.2), Some(Severity::Low));
    /// assert_eq!((levels.of(0.1), levels.of(f64::NAN)), (None, None));
    /// ```
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
