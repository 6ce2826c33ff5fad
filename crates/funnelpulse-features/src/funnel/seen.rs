//! The events that were seen, window by window.

use std::{
    collections::{BTreeMap, HashSet},
    hash::BuildHasherDefault,
};

use funnelpulse_core::Timestamp;

use super::direct::Direct;

/// Events of one window.
type Identities = HashSet<u128, BuildHasherDefault<Direct>>;

/// Who was seen. Duplicates have the same time, so a set per window is enough; those of windows
/// far behind the newest one can be forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Microseconds behind the newest window up to which events are remembered.
    horizon: Option<i64>,
    newest: Option<Timestamp>,
    /// The window of the last event, kept apart: most events are of the window of the one before.
    window: Option<Timestamp>,
    current: Identities,
    others: BTreeMap<Timestamp, Identities>,
}

impl Seen {
    pub(super) fn new(horizon_hours: Option<u32>) -> Self {
        Self { horizon: horizon_hours.map(|hours| i64::from(hours) * Timestamp::HOUR), ..Self::default() }
    }

    /// True if the event was not there before. Events behind the horizon always are new.
    pub(super) fn insert(&mut self, window: Timestamp, identity: u128) -> bool {
        if self.window != Some(window) {
            self.turn_to(window);
        }
        if self.oldest().is_some_and(|oldest| window < oldest) {
            return true;
        }
        self.current.insert(identity)
    }

    /// The oldest window that is remembered.
    fn oldest(&self) -> Option<Timestamp> {
        Some(self.newest?.offset(-self.horizon?))
    }

    fn turn_to(&mut self, window: Timestamp) {
        let next = self.others.remove(&window).unwrap_or_default();
        let before = std::mem::replace(&mut self.current, next);
        if let Some(last) = self.window.replace(window).filter(|_| !before.is_empty()) {
            self.others.insert(last, before);
        }
        self.newest = self.newest.max(Some(window));
        if let Some(oldest) = self.oldest() {
            self.others = self.others.split_off(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_seconds(3600 * hour)
    }

    #[test]
    fn duplicates_are_found_in_any_order_of_windows() {
        let mut seen = Seen::new(None);
        let events = [(0, 7), (5, 7), (0, 8), (0, 7), (5, 7), (3, 1), (0, 8)];
        let new: Vec<bool> = events.iter().map(|(window, id)| seen.insert(hour(*window), *id)).collect();
        assert_eq!(new, [true, true, true, false, false, true, false]);
    }

    #[test]
    fn what_is_far_behind_is_forgotten() {
        let mut seen = Seen::new(Some(48));
        for window in 0..1000 {
            for id in 0..10 {
                assert!(seen.insert(hour(window), id) && !seen.insert(hour(window), id));
            }
            assert!(seen.others.len() <= 48);
        }
        assert!(!seen.insert(hour(960), 3), "within the horizon");
        assert!(seen.insert(hour(100), 3) && seen.insert(hour(100), 3), "behind it");
    }

    #[test]
    fn the_horizon_is_as_long_as_it_says() {
        let mut seen = Seen::new(Some(48));
        assert!(seen.insert(hour(0), 1) && seen.insert(hour(48), 1));
        assert!(!seen.insert(hour(0), 1), "48 hours behind the newest");
        assert!(seen.insert(hour(49), 1));
        assert!(seen.insert(hour(0), 1), "49 hours behind it");
    }
}
