//! Hyper-parameters of the detector.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProfileSeason;
use crate::ChangepointError;

/// How many rows longer than the horizon ago a break is looked for, to tell that the present one is
/// an old one.
pub(super) const OLDER: [usize; 10] = [1, 2, 3, 4, 6, 9, 12, 18, 30, 48];

/// The longest horizon, rows.
pub(super) const MOST_HORIZON: usize = 48;

/// The action of a change on a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeScale {
    /// Relative for columns whose history is never negative, absolute for others.
    #[default]
    Auto,
    /// It multiplies the level, and the variance is proportional to the level: counts, amounts,
    /// rates. Values below zero count as zero.
    Relative,
    /// It adds to the level.
    Absolute,
}

/// Hyper-parameters of a [`Changepoint`](super::Changepoint) detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangepointConfig {
    /// The season that is taken out first.
    pub season: ProfileSeason,
    /// The action of a change on the columns.
    pub scale: ChangeScale,
    /// Most rows after a break that its evidence is gathered from, 1 to 48: the longer, the smaller
    /// the changes that are found and the longer a change is seen.
    pub horizon: usize,
    /// Number of rows before a break that the new level is compared with, 8 to 720.
    pub lookback: usize,
    /// Relative change of level from which on evidence counts in full (0.15 = 15 %), 0 to 10;
    /// below it counts in proportion. Absolute columns have no such limit.
    pub min_magnitude: f64,
}

impl Default for ChangepointConfig {
    fn default() -> Self {
        Self { season: ProfileSeason::Auto, scale: ChangeScale::Auto, horizon: 6, lookback: 72, min_magnitude: 0.15 }
    }
}

impl ChangepointConfig {
    /// Checks every field.
    ///
    /// ```
    /// use funnelpulse_changepoint::ChangepointConfig;
    ///
    /// let config = ChangepointConfig { horizon: 0, ..ChangepointConfig::default() };
    /// assert_eq!(config.validate().unwrap_err().to_string(), "horizon = 0 is out of range (1 to 48)");
    /// ```
    pub fn validate(&self) -> Result<(), ChangepointError> {
        if !(1..=MOST_HORIZON).contains(&self.horizon) {
            return Err(ChangepointError::config("horizon", self.horizon, "1 to 48"));
        }
        if !(8..=720).contains(&self.lookback) {
            return Err(ChangepointError::config("lookback", self.lookback, "8 to 720"));
        }
        if !(0.0..=10.0).contains(&self.min_magnitude) {
            return Err(ChangepointError::config("min_magnitude", self.min_magnitude, "0 to 10"));
        }
        Ok(())
    }

    /// Rows before a row that its score depends on.
    pub fn context(&self) -> usize {
        self.horizon + OLDER[OLDER.len() - 1] + self.lookback - 1
    }
}
