//! Time: of a partition, and of the wall.

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::EngineConfig;

/// The longest step of the wall clock that is believed, in microseconds: ticks come every second or so, and a clock
/// that is set forward by a year must not make every partition idle.
const LONGEST_TICK: i64 = 60 * Timestamp::SECOND;

/// The time of a partition: that of its newest event, except that one stray event does not move it far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EventClock {
    pub(super) time: Option<Timestamp>,
    /// The newest events in a row that are too far ahead to be believed alone.
    ahead: Vec<Timestamp>,
}

impl EventClock {
    /// Takes the time of an event into account; true if the clock advanced.
    #[inline]
    pub(super) fn observe(&mut self, time: Timestamp, config: &EngineConfig) -> bool {
        let jump = config.jump_seconds as i64 * Timestamp::SECOND;
        match self.time {
            Some(now) if time <= now.offset(jump) => {
                if !self.ahead.is_empty() {
                    self.ahead.clear();
                }
                if time <= now {
                    return false;
                }
                self.time = Some(time);
                true
            }
            _ => self.confirm(time, jump, config.jump_confirmations as usize),
        }
    }

    /// A time that is too far ahead, or the first: believed once enough in a row agree.
    #[cold]
    fn confirm(&mut self, time: Timestamp, jump: i64, confirmations: usize) -> bool {
        if self.ahead.iter().any(|t| time.as_micros().abs_diff(t.as_micros()) > jump as u64) {
            self.ahead.clear();
        }
        self.ahead.push(time);
        if self.ahead.len() < confirmations {
            return false;
        }
        self.time = self.ahead.iter().copied().max();
        self.ahead = Vec::new();
        true
    }

    /// Moves the clock to at least this time, without doubt.
    pub(super) fn advance_to(&mut self, time: Timestamp) {
        if self.time.is_none_or(|now| now < time) {
            self.time = Some(time);
        }
    }
}

/// Wall-clock time as the sum of believable steps: never backwards, and no long leaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WallClock {
    /// The clock at the last tick.
    last: Option<Timestamp>,
    /// The latest time it ever showed.
    pub(super) latest: Option<Timestamp>,
    /// Microseconds that went by.
    pub(super) elapsed: i64,
}

impl WallClock {
    pub(super) fn tick(&mut self, now: Timestamp) {
        if let Some(last) = self.last {
            self.elapsed += now.as_micros().saturating_sub(last.as_micros()).clamp(0, LONGEST_TICK);
        }
        self.last = Some(now);
        self.latest = self.latest.max(Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_seconds(hours * 3_600)
    }

    #[test]
    fn one_stray_event_does_not_move_the_clock() {
        let config = EngineConfig::new(0);
        let mut clock = EventClock::default();
        assert!(!clock.observe(at(0), &config) && !clock.observe(at(1), &config), "two are not enough to start");
        assert!(clock.observe(at(2), &config));
        for _ in 0..10 {
            assert!(!clock.observe(at(100_000), &config), "a stray");
            assert!(!clock.observe(at(1), &config), "the next is near again");
        }
        assert_eq!(clock.time, Some(at(2)));
        // After a gap of a month all events agree.
        assert!(!clock.observe(at(800), &config) && !clock.observe(at(801), &config));
        assert!(clock.observe(at(799), &config));
        assert_eq!(clock.time, Some(at(801)));
    }

    #[test]
    fn a_wall_clock_that_leaps_is_not_believed() {
        let mut wall = WallClock::default();
        for now in [at(0), at(10_000), at(5), at(5).offset(Timestamp::SECOND)] {
            wall.tick(now);
        }
        assert_eq!(wall.elapsed, LONGEST_TICK + Timestamp::SECOND);
        assert_eq!(wall.latest, Some(at(10_000)));
    }
}
