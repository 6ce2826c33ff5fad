//! Rows of the same time of the day or week.

use funnelpulse_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The season that is taken out before looking for breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileSeason {
    /// Hour of week from three weeks of history on, hour of day from three days on, else none;
    /// also none where rows are so sparse that hours hold fewer than three each.
    #[default]
    Auto,
    /// All rows are alike.
    None,
    /// Each hour of the day (UTC) has its own level.
    HourOfDay,
    /// Each hour of the week (UTC) has its own level.
    HourOfWeek,
}

impl ProfileSeason {
    /// The season of `Auto` for these times.
    pub(super) fn resolve(self, time: &[Timestamp]) -> Self {
        if self != Self::Auto {
            return self;
        }
        let span = match time {
            [first, .., last] => last.as_micros().saturating_sub(first.as_micros()),
            _ => 0,
        };
        let fits = |season: Self, days: i64| {
            span >= days * Timestamp::DAY - Timestamp::HOUR && time.len() >= 3 * season.bins()
        };
        if fits(Self::HourOfWeek, 21) {
            Self::HourOfWeek
        } else if fits(Self::HourOfDay, 3) {
            Self::HourOfDay
        } else {
            Self::None
        }
    }

    pub(super) fn bins(self) -> usize {
        match self {
            Self::Auto | Self::None => 1,
            Self::HourOfDay => 24,
            Self::HourOfWeek => 168,
        }
    }

    pub(super) fn bin(self, time: Timestamp) -> usize {
        let hour = time.as_micros().div_euclid(Timestamp::HOUR);
        hour.rem_euclid(self.bins() as i64) as usize
    }
}
