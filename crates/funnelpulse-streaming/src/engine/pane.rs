//! Panes: the counts between two slides, or of a window where there are no slides.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use foldhash::fast::RandomState;
use funnelpulse_features::{Counts, ValidEvent};

use super::Refusal;

/// The counts of one pane.
#[derive(Clone, Debug, Default)]
pub(super) struct Pane {
    /// The feed delivered a sound event.
    pub(super) alive: bool,
    /// By number of the series.
    pub(super) cells: HashMap<u32, Counts, RandomState>,
    /// The events that were counted; their time is part of the fingerprint, so that a repeat falls into the same pane.
    pub(super) seen: HashSet<u128, BuildHasherDefault<Ready>>,
}

impl Pane {
    /// A pane with room for so many events, within reason.
    pub(super) fn with_room(events: usize) -> Self {
        let seen = HashSet::with_capacity_and_hasher(events.min(MOST_ROOM), BuildHasherDefault::default());
        Self { seen, ..Self::default() }
    }

    /// Counts an event of a series; the reason if it may not have so many.
    #[inline]
    pub(super) fn count(&mut self, id: u32, valid: &ValidEvent, most: u64) -> Option<Refusal> {
        let cell = self.cells.entry(id).or_default();
        if cell.views + cell.carts + cell.purchases >= most {
            return Some(Refusal::TooManyEvents);
        }
        cell.add(valid.step, valid.micro_price.unwrap_or_default());
        None
    }
}

/// Events for which room is made beforehand: 16 MiB.
const MOST_ROOM: usize = 1 << 20;

/// Adds the counts of another pane of the same series and time.
pub(super) fn merge(counts: &mut Counts, other: &Counts) {
    counts.views += other.views;
    counts.carts += other.carts;
    counts.purchases += other.purchases;
    counts.micro_revenue += other.micro_revenue;
}

/// A hasher for fingerprints, which are hashes already.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}
