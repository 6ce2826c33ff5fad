//! Settings of the engine.

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StreamError;

/// 2000-01-01T00:00:00Z: shops on the web are younger, broken clocks show 1970.
const YEAR_2000: Timestamp = Timestamp::from_seconds(946_684_800);
/// The longest window and the longest lateness in seconds: a leap year.
const YEAR: u64 = 366 * 86_400;

/// Settings of the [`Engine`](crate::Engine). The allowed lateness has no default: too small, it loses events;
/// too large, it delays every result.
///
/// ```
/// use funnelpulse_streaming::EngineConfig;
///
/// let config = EngineConfig { slide_seconds: Some(300), ..EngineConfig::new(120) };
/// assert_eq!((config.window_seconds, config.lateness_seconds), (3600, 120));
/// config.validate()?;
/// assert!(EngineConfig { slide_seconds: Some(7), ..config }.validate().is_err());
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Length of a window in seconds, 1 to 31622400. Windows are aligned to the epoch.
    #[serde(default = "hour")]
    pub window_seconds: u64,
    /// Seconds between two early results, a divisor of the length of the window. `None`: no early results.
    #[serde(default)]
    pub slide_seconds: Option<u64>,
    /// Seconds that an event may be older than the newest event of its partition, 0 to 31622400. A window closes
    /// once no event that is allowed can still fall into it.
    pub lateness_seconds: u64,
    /// Seconds of wall-clock time after which a partition without records no longer holds the windows open, 1 or
    /// more. `None`: a partition without records holds them open for ever.
    #[serde(default)]
    pub idle_seconds: Option<u64>,
    /// Seconds of wall-clock time without any record after which the feed counts as stopped, 1 or more; from then on
    /// event time goes on at the speed of the wall clock, so that the open windows close. `None`: never.
    #[serde(default)]
    pub silent_seconds: Option<u64>,
    /// Events before this time are rejected.
    #[serde(default = "year_2000")]
    pub earliest: Timestamp,
    /// Events more than this many seconds ahead of the wall clock are rejected.
    #[serde(default = "hour")]
    pub ahead_seconds: u64,
    /// Seconds by which one event may advance the time of its partition, 1 or more. A longer jump is believed after
    /// [`jump_confirmations`](Self::jump_confirmations) events in a row that agree.
    #[serde(default = "week")]
    pub jump_seconds: u64,
    /// Events in a row, within `jump_seconds` of each other, that confirm a longer jump, 1 to 1000. The same number
    /// of events starts the time of a partition.
    #[serde(default = "three")]
    pub jump_confirmations: u32,
    /// Most series that are known at a time, 1 or more. Events of further series are rejected.
    #[serde(default = "million")]
    pub max_series: usize,
    /// Most events of one series in one window, or one slide where there are slides, 1 or more. Further events are
    /// rejected.
    #[serde(default = "hundred_million")]
    pub max_events_per_series: u64,
    /// Most events that are remembered for the deduplication, 16 bytes each before the hash table's slack, 1 or
    /// more. While so many are remembered, further events with a user or session are rejected.
    #[serde(default = "fifty_million")]
    pub max_remembered: usize,
    /// Most windows that are open at a time, or slides where there are slides, 1 or more. Events that would open
    /// another one are rejected.
    #[serde(default = "ten_thousand")]
    pub max_open: usize,
    /// Windows without an event after which a series has no more rows of zeros, until it comes back; 1 or more.
    /// `None`: never, as in the batch.
    #[serde(default)]
    pub expire_windows: Option<u32>,
}

fn hour() -> u64 {
    3_600
}
fn week() -> u64 {
    7 * 86_400
}
fn three() -> u32 {
    3
}
fn million() -> usize {
    1_000_000
}
fn hundred_million() -> u64 {
    100_000_000
}
fn fifty_million() -> usize {
    50_000_000
}
fn ten_thousand() -> usize {
    10_000
}
fn year_2000() -> Timestamp {
    YEAR_2000
}

impl EngineConfig {
    /// Windows of an hour with this allowed lateness, everything else by default.
    pub fn new(lateness_seconds: u64) -> Self {
        Self {
            window_seconds: hour(),
            slide_seconds: None,
            lateness_seconds,
            idle_seconds: None,
            silent_seconds: None,
            earliest: YEAR_2000,
            ahead_seconds: hour(),
            jump_seconds: week(),
            jump_confirmations: three(),
            max_series: million(),
            max_events_per_series: hundred_million(),
            max_remembered: fifty_million(),
            max_open: ten_thousand(),
            expire_windows: None,
        }
    }

    /// Checks every field.
    pub fn validate(&self) -> Result<(), StreamError> {
        let range = |field, value: u64, from: u64, to: u64| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            Err(StreamError::setting(field, value, format!("{from} to {to}")))
        };
        range("window_seconds", self.window_seconds, 1, YEAR)?;
        range("lateness_seconds", self.lateness_seconds, 0, YEAR)?;
        range("jump_seconds", self.jump_seconds, 1, 100 * YEAR)?;
        range("ahead_seconds", self.ahead_seconds, 0, 100 * YEAR)?;
        range("jump_confirmations", self.jump_confirmations.into(), 1, 1_000)?;
        range("idle_seconds", self.idle_seconds.unwrap_or(1), 1, YEAR)?;
        range("silent_seconds", self.silent_seconds.unwrap_or(1), 1, YEAR)?;
        range("max_series", self.max_series as u64, 1, 1 << 31)?;
        range("max_events_per_series", self.max_events_per_series, 1, u64::MAX)?;
        range("max_remembered", self.max_remembered as u64, 1, u64::MAX)?;
        range("max_open", self.max_open as u64, 1, 1 << 31)?;
        range("expire_windows", self.expire_windows.unwrap_or(1).into(), 1, u64::from(u32::MAX))?;
        if let Some(slide) = self.slide_seconds
            && (slide == 0 || slide > self.window_seconds || !self.window_seconds.is_multiple_of(slide))
        {
            let allowed = format!("a divisor of the length of a window, {} seconds", self.window_seconds);
            return Err(StreamError::setting("slide_seconds", slide, allowed));
        }
        Ok(())
    }

    /// Length of a window in microseconds.
    pub(super) fn window(&self) -> i64 {
        self.window_seconds as i64 * Timestamp::SECOND
    }

    /// Length of a pane in microseconds: a slide where there are slides, else a window.
    pub(super) fn pane(&self) -> i64 {
        self.slide_seconds.unwrap_or(self.window_seconds) as i64 * Timestamp::SECOND
    }
}
