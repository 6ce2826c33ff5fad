//! One partition of the events that this process owns.

use std::collections::BTreeMap;

use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;

use super::{rebalance::Given, stage::WindowStageConfig};
use crate::{
    Checkpoint, CheckpointStore, ClosedWindow, Engine, PartitionIndex, Position, Positions, StreamError, WindowKind,
};

/// The name of the task, part of file names.
const TASK: &str = "windows";

/// A partition with its open windows.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) engine: Engine,
    pub(super) index: PartitionIndex,
    name: String,
    /// The next record.
    pub(super) next: i64,
    /// All that was there was read.
    pub(super) at_end: bool,
    /// Something was read since the last checkpoint.
    pub(super) is_changed: bool,
    /// Windows that closed since then.
    pub(super) closed: Vec<ClosedWindow>,
    store: CheckpointStore,
    epoch: u64,
}

impl Owned {
    /// Goes on from the state that was committed with the position.
    pub(super) fn take(
        topic: &str,
        given: &Given,
        spec: &EventSpec,
        config: &WindowStageConfig,
    ) -> Result<Self, StreamError> {
        let name = format!("{topic}/{}", given.partition);
        // A folder each: no two processes write the same one at a time.
        let store = CheckpointStore::open(&format!("{}/{topic}-{}", config.checkpoints, given.partition))?;
        let mut engine = Engine::new(spec, config.engine.clone())?;
        let (mut next, mut epoch) = (0, 0);
        if let Some((position, state)) = &given.committed {
            next = *position;
            if !state.is_empty() {
                let saved = store.load(state)?;
                epoch = saved.epoch;
                engine.restore(saved.engine)?;
            }
        }
        let index = engine.assign(&name, None);
        tracing::info!(partition = name, next, epoch, "a partition is read here");
        let closed = Vec::new();
        Ok(Self { engine, index, name, next, at_end: false, is_changed: false, closed, store, epoch })
    }

    /// Takes the windows that closed.
    pub(super) fn collect(&mut self) {
        let drained = self.engine.drain();
        self.is_changed |= !drained.is_empty();
        self.closed.extend(drained.into_iter().filter(|window| window.kind == WindowKind::Final));
        // The second stage has the news about the feed.
        drop(self.engine.signals());
    }

    /// Writes the state, and gives its name. It counts once the name is committed with the position.
    pub(super) fn save(&mut self) -> Result<String, StreamError> {
        let position = Position { next: u64::try_from(self.next).unwrap_or(0), done: false };
        let positions: Positions = BTreeMap::from([(self.name.clone(), position)]);
        let checkpoint = Checkpoint {
            epoch: self.epoch + 1,
            positions,
            engine: self.engine.state(),
            operator: Vec::new(),
            model: String::new(),
            next_model: None,
            alerts: Vec::new(),
        };
        Ok(self.store.put(TASK, &checkpoint)?.0)
    }

    /// The state was committed.
    pub(super) fn committed(&mut self) -> Result<(), StreamError> {
        self.epoch += 1;
        self.is_changed = false;
        self.closed.clear();
        self.store.clean(self.epoch)
    }

    /// The wall clock.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.engine.tick(now);
    }
}
