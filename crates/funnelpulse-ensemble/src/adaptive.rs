//! A threshold that follows the recent level of the scores.

use std::collections::VecDeque;

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EnsembleError, error::check};

/// The limit is not raised above this score: scores end at 1, and what a detector is sure of should
/// still be flagged. A base above it stays as it is.
const HIGHEST_RAISED: f64 = 0.99;

/// Settings of an [`AdaptiveThreshold`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// True if the threshold adapts at all.
    pub enabled: bool,
    /// Length of the look-back, hours.
    pub lookback_hours: f64,
    /// Standard deviations above the mean of the look-back from which a score is flagged, 0 to 100.
    pub deviations: f64,
    /// Scores that the look-back must hold before the threshold adapts.
    pub min_rows: usize,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_ensemble::{AdaptiveConfig, AdaptiveThreshold};
///
/// let fixed = AdaptiveConfig { enabled: false, ..AdaptiveConfig::default() };
/// assert_eq!(AdaptiveThreshold::new(0.6, &fixed).limit(), 0.6);
/// ```
impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self { enabled: true, lookback_hours: 168.0, deviations: 3.0, min_rows: 24 }
    }
}

impl AdaptiveConfig {
    pub(crate) fn validate(&self) -> Result<(), EnsembleError> {
        check("adaptive.lookback_hours", self.lookback_hours, f64::MIN_POSITIVE..=1e6, "above 0, at most 1000000")?;
        check("adaptive.deviations", self.deviations, 0.0..=100.0, "0 to 100")
    }
}

/// Raises a fixed threshold while the scores of a series are high: to `mean + deviations * std` of
/// the scores of the look-back, when that is higher. It never falls below the fixed one, and never
/// learns from rows that it flagged, so that a long incident does not become normal.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_ensemble::{AdaptiveConfig, AdaptiveThreshold};
///
/// let mut threshold = AdaptiveThreshold::new(0.5, &AdaptiveConfig::default());
/// for hour in 0..200 {
///     let restless = if hour % 2 == 0 { 0.48 } else { 0.1 };
///     threshold.judge(Timestamp::from_seconds(hour * 3600), restless);
/// }
/// assert!(threshold.limit() > 0.8);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveThreshold {
    base: f64,
    config: AdaptiveConfig,
    recent: VecDeque<(Timestamp, f64)>,
}

impl AdaptiveThreshold {
    /// A threshold that starts at, and never falls below, `base`.
    pub fn new(base: f64, config: &AdaptiveConfig) -> Self {
        Self { base, config: config.clone(), recent: VecDeque::new() }
    }

    /// The same scores under other settings: those of a newly trained ensemble.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_ensemble::{AdaptiveConfig, AdaptiveThreshold};
    ///
    /// let config = AdaptiveConfig::default();
    /// let threshold = AdaptiveThreshold::new(0.5, &config).with_settings(0.7, &config);
    /// assert_eq!(threshold.limit(), 0.7);
    /// ```
    pub fn with_settings(mut self, base: f64, config: &AdaptiveConfig) -> Self {
        self.base = base;
        self.config = config.clone();
        self
    }

    /// The limit for the next row.
    pub fn limit(&self) -> f64 {
        let n = self.recent.len();
        if !self.config.enabled || n < self.config.min_rows.max(2) {
            return self.base;
        }
        // At most a few hundred scores: two exact passes beat running sums that drift.
        let mean = self.recent.iter().map(|(_, s)| s).sum::<f64>() / n as f64;
        let variance = self.recent.iter().map(|(_, s)| (s - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let raised = mean + self.config.deviations * variance.sqrt();
        raised.min(HIGHEST_RAISED).max(self.base)
    }

    /// True if a score at `time` (later than all before) is flagged; then learns from it unless
    /// it is. NaN is neither flagged nor learnt from.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_ensemble::{AdaptiveConfig, AdaptiveThreshold};
    ///
    /// let mut threshold = AdaptiveThreshold::new(0.5, &AdaptiveConfig::default());
    /// assert!(threshold.judge(Timestamp::from_seconds(0), 0.7));
    /// assert!(!threshold.judge(Timestamp::from_seconds(3600), 0.3));
    /// assert!(!threshold.judge(Timestamp::from_seconds(7200), f64::NAN));
    /// ```
    pub fn judge(&mut self, time: Timestamp, score: f64) -> bool {
        let reach = (self.config.lookback_hours * Timestamp::HOUR as f64) as i64;
        while self.recent.front().is_some_and(|(t, _)| *t < time.offset(-reach)) {
            self.recent.pop_front();
        }
        if score.is_nan() {
            return false;
        }
        // The limit is never below the base.
        let flagged = score >= self.base && score >= self.limit();
        if !flagged && self.config.enabled {
            self.recent.push_back((time, score));
        }
        flagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(h: i64) -> Timestamp {
        Timestamp::from_seconds(h * 3600)
    }

    #[test]
    fn forgets_what_lies_behind_the_lookback() {
        let config = AdaptiveConfig { lookback_hours: 48.0, ..Default::default() };
        let mut threshold = AdaptiveThreshold::new(0.5, &config);
        for h in 0..100 {
            threshold.judge(hour(h), if h % 2 == 0 { 0.45 } else { 0.0 });
        }
        assert!(threshold.limit() > 0.5);
        for h in 100..200 {
            threshold.judge(hour(h), 0.1);
        }
        assert_eq!(threshold.limit(), 0.5);
        assert_eq!(threshold.recent.len(), 49);
    }

    #[test]
    fn never_falls_below_its_base() {
        for base in [0.5, 0.99, 0.995, 1.0] {
            let mut threshold = AdaptiveThreshold::new(base, &AdaptiveConfig::default());
            for h in 0..100 {
                threshold.judge(hour(h), [0.0, 0.49, 0.98][(h % 3) as usize]);
                assert!(threshold.limit() >= base, "{} after hour {h}", threshold.limit());
            }
        }
    }

    #[test]
    fn does_not_learn_from_what_it_flags() {
        let mut threshold = AdaptiveThreshold::new(0.5, &AdaptiveConfig::default());
        for h in 0..500 {
            let flagged = threshold.judge(hour(h), if h < 100 { 0.1 } else { 0.9 });
            assert_eq!(flagged, h >= 100);
        }
    }

    #[test]
    fn a_fixed_threshold_stays_fixed() {
        let config = AdaptiveConfig { enabled: false, ..Default::default() };
        let mut threshold = AdaptiveThreshold::new(0.5, &config);
        for h in 0..100 {
            threshold.judge(hour(h), [0.0, 0.49][(h % 2) as usize]);
        }
        assert_eq!(threshold.limit(), 0.5);
        assert!(!threshold.judge(hour(100), f64::NAN));
    }
}
