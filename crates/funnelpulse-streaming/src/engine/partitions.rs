//! Partitions and their watermarks.

use std::collections::BTreeMap;

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EngineConfig, clock::EventClock};

/// The place of a partition in its [`Engine`](crate::Engine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(pub u32);

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) name: String,
    pub(super) clock: EventClock,
    /// Wall-clock time of its last record, or of its assignment.
    active_at: i64,
    pub(super) status: Status,
}

/// Whether a partition holds the watermark back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    /// It does.
    Active,
    /// No record for `idle_seconds`.
    Idle,
    /// No record will come, or another process reads it.
    Finished,
}

/// A partition in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPartition {
    clock: EventClock,
    finished: bool,
}

/// All partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partitions {
    pub(super) all: Vec<Partition>,
    places: BTreeMap<String, u32>,
}

impl Partitions {
    /// The place of the partition of this name, which holds the watermark back from now on.
    pub(super) fn assign(&mut self, name: &str, not_before: Option<Timestamp>, elapsed: i64) -> PartitionIndex {
        let place = self.places.get(name).copied().unwrap_or_else(|| {
            let place = self.all.len() as u32;
            self.places.insert(name.to_owned(), place);
            let (clock, name) = (EventClock::default(), name.to_owned());
            self.all.push(Partition { name, clock, active_at: elapsed, status: Status::Active });
            place
        });
        let partition = &mut self.all[place as usize];
        partition.active_at = elapsed;
        partition.status = Status::Active;
        if let Some(time) = not_before {
            partition.clock.advance_to(time);
        }
        PartitionIndex(place)
    }

    /// A record came.
    #[inline]
    pub(super) fn touch(&mut self, index: PartitionIndex, elapsed: i64) {
        let partition = &mut self.all[index.0 as usize];
        partition.active_at = elapsed;
        if partition.status == Status::Idle {
            partition.status = Status::Active;
        }
    }

    /// Finds partitions that became idle; true if there are any.
    pub(super) fn find_idle(&mut self, elapsed: i64, config: &EngineConfig) -> bool {
        let Some(after) = config.idle_seconds.map(|s| s as i64 * Timestamp::SECOND) else { return false };
        let mut found = false;
        for partition in &mut self.all {
            if partition.status == Status::Active && elapsed - partition.active_at >= after {
                partition.status = Status::Idle;
                found = true;
            }
        }
        found
    }

    /// The time before which no event is expected: the smallest of the active partitions' clocks, less the
    /// lateness; with no active partition the largest of all clocks.
    pub(super) fn watermark(&self, config: &EngineConfig) -> Option<Timestamp> {
        let lateness = config.lateness_seconds as i64 * Timestamp::SECOND;
        let mut active = self.all.iter().filter(|p| p.status == Status::Active).map(|p| p.clock.time).peekable();
        let time = if active.peek().is_some() { active.min().flatten() } else { self.newest() };
        time.map(|t| t.offset(-lateness))
    }

    /// The newest time of any partition.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.all.iter().filter_map(|p| p.clock.time).max()
    }

    pub(super) fn save(&self) -> BTreeMap<String, SavedPartition> {
        let saved = |p: &Partition| SavedPartition { clock: p.clock.clone(), finished: p.status == Status::Finished };
        self.all.iter().map(|p| (p.name.clone(), saved(p))).collect()
    }

    pub(super) fn restore(saved: BTreeMap<String, SavedPartition>) -> Self {
        let mut partitions = Self::default();
        for (name, SavedPartition { clock, finished }) in saved {
            let place = partitions.assign(&name, None, 0).0 as usize;
            partitions.all[place].clock = clock;
            partitions.all[place].status = if finished { Status::Finished } else { Status::Active };
        }
        partitions
    }
}
