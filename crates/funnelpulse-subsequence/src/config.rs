//! Hyper-parameters and what can be wrong with them.

use serde::{Deserialize, Serialize};

/// Longest window in rows.
pub(crate) const MAX_WINDOW: usize = 100_000;
/// Most patterns of a column.
pub(crate) const MAX_PATTERNS: usize = 10_000;

/// Which windows score a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubsequenceScoring {
    /// The one that ends with it: known as soon as the row is, the same in a stream as in a batch.
    #[default]
    LastPosition,
    /// All that contain it, see [`retrospective`](crate::SubsequenceModel::retrospective). Needs the rows
    /// that follow: for looking back, not for streams.
    WindowMean,
}

/// Hyper-parameters of [`Subsequence`](crate::Subsequence). The default is meant for every series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubsequenceConfig {
    /// Rows of a window, 4 to 100,000; by default `periods` periods of the series, at least 8 rows
    /// and at most a quarter of the history.
    pub window: Option<usize>,
    /// Periods that a window spans, .25 to 100.
    pub periods: f64,
    /// Patterns that the windows of a column are grouped into, 1 to 10,000.
    pub patterns: usize,
    /// Share of the windows that a pattern needs to be normal, 0 to .5.
    pub min_share: f64,
    /// Windows that patterns are learnt from, 100 to 1,000,000: evenly spaced ones when there are more.
    pub max_windows: usize,
    /// Which windows score a row in `detect`: `last_position` or `window_mean`.
    pub scoring: SubsequenceScoring,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Default for SubsequenceConfig {
    fn default() -> Self {
        Self {
            window: None,
            periods: 2.0,
            patterns: 100,
            min_share: 0.005,
            max_windows: 2500,
            scoring: SubsequenceScoring::default(),
            seed: 42,
        }
    }
}

impl SubsequenceConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), SubsequenceError> {
        let refuse = |name, value: String, allowed| Err(SubsequenceError::Config { name, value, allowed });
        let counts = [
            ("window", self.window.unwrap_or(4), 4..=MAX_WINDOW, "4 to 100000"),
            ("patterns", self.patterns, 1..=MAX_PATTERNS, "1 to 10000"),
            ("max_windows", self.max_windows, 100..=1_000_000, "100 to 1000000"),
        ];
        for (name, value, range, allowed) in counts {
            if !range.contains(&value) {
                return refuse(name, value.to_string(), allowed);
            }
        }
        if !(0.25..=100.0).contains(&self.periods) {
            return refuse("periods", self.periods.to_string(), "0.25 to 100");
        }
        if !(0.0..=0.5).contains(&self.min_share) {
            return refuse("min_share", self.min_share.to_string(), "0 to 0.5");
        }
        Ok(())
    }
}

/// Errors of fitting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubsequenceError {
    /// A hyper-parameter is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] funnelpulse_core::Error),
}
