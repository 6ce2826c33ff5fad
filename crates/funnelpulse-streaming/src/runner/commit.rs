//! Checkpoints: taken between two rounds, written beside them, committed when they are written.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;

use super::{Runner, failed};
use crate::{
    Alert, Channel, Checkpoint, Commit, EngineState, Group, NextModel, Operator, Positions, Sink, Source, StreamError,
};

/// What is known of a checkpoint that was written: the name of its file and its size.
type Written = Result<(String, usize), StreamError>;

/// A checkpoint that is being written, with what belongs to it.
#[derive(Debug)]
pub(super) struct Pending {
    epoch: u64,
    files: Vec<String>,
    positions: Positions,
    group: Option<Group>,
    model: String,
    next_model: Option<NextModel>,
    writer: Writer,
    /// Time in which nothing was read.
    stopped: Duration,
}

#[derive(Debug)]
enum Writer {
    Beside(JoinHandle<(Written, Duration)>),
    Done(Written),
}

impl Pending {
    pub(super) fn is_written(&self) -> bool {
        match &self.writer {
            Writer::Beside(thread) => thread.is_finished(),
            Writer::Done(_) => true,
        }
    }
}

/// What happened since a checkpoint was taken that is not committed yet: it belongs to the next.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) rows: Vec<(Channel, RecordBatch)>,
    pub(super) alerts: Vec<Alert>,
}

impl<S: Source, O: Operator, K: Sink> Runner<S, O, K> {
    /// Commits everything since the last checkpoint: positions, state and rows together.
    pub fn checkpoint(&mut self) -> Result<(), StreamError> {
        self.begin()?;
        self.finish()
    }

    /// Takes a checkpoint, if anything happened since the last one. A large one is written beside the rounds that follow.
    pub(super) fn begin(&mut self) -> Result<(), StreamError> {
        // One at a time.
        self.finish()?;
        self.checkpoint_at = Instant::now();
        self.outbox.has_new = false;
        if !self.dirty {
            self.send();
            return Ok(());
        }
        self.take_checkpoint()?;
        if self.pending.as_ref().is_some_and(Pending::is_written) {
            self.finish()?;
        }
        Ok(())
    }

    #[tracing::instrument(level = "debug", skip_all, fields(epoch = self.epoch + 1))]
    fn take_checkpoint(&mut self) -> Result<(), StreamError> {
        let started = Instant::now();
        let epoch = self.epoch + 1;
        let files = self.sink.prepare(epoch)?;
        self.operator.refresh().map_err(|source| failed("looking for a new model", source))?;
        let model = self.operator.model();
        self.models.keep(epoch, &model, &self.operator, &self.store)?;
        let from = self.engine.closed_until();
        let next_model = model.next.map(|name| NextModel { name, from });
        let positions = self.source.positions();
        let parts = Parts {
            epoch,
            positions: positions.clone(),
            operator: self.operator.state().map_err(|source| failed("state of the operator", source))?,
            model: model.name.clone(),
            next_model: next_model.clone(),
            alerts: self.outbox.waiting(),
        };
        let (task, store) = (self.config.task.clone(), Arc::clone(&self.store));
        let [series, _, remembered] = self.engine.sizes();
        let writer = if series + remembered < self.config.write_beside_from {
            let written = store.put(&task, &parts.with(self.engine.state()));
            Writer::Done(written)
        } else {
            let mut engine = self.engine.clone();
            Writer::Beside(std::thread::spawn(move || {
                let started = Instant::now();
                let written = store.put(&task, &parts.with(engine.state()));
                (written, started.elapsed())
            }))
        };
        self.dirty = false;
        self.letters.next_epoch();
        self.records_at_checkpoint = self.engine.account().read;
        let (group, stopped) = (self.source.group(), started.elapsed());
        self.pending = Some(Pending { epoch, files, positions, group, model: model.name, next_model, writer, stopped });
        Ok(())
    }

    /// Commits the checkpoint that is being written, if there is one, as soon as it is; then delivers its alerts.
    pub(super) fn finish(&mut self) -> Result<(), StreamError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let Pending { epoch, files, positions, group, model, next_model, writer, stopped } = pending;
        let started = Instant::now();
        let (written, beside) = match writer {
            Writer::Done(written) => (written, Duration::ZERO),
            // A panic of the thread goes on here.
            Writer::Beside(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        };
        let (state, bytes) = written?;
        if !self.sink.commits_checkpoint() {
            let states = [(self.config.task.clone(), state.clone())].into();
            self.store.commit(epoch, states, files.clone(), &model, next_model)?;
        }
        let (files, positions, group) = (&files, &positions, group.as_ref());
        self.sink.commit(&Commit { epoch, files, state: &state, positions, group })?;
        self.store.clean(epoch)?;
        self.models.clean(epoch, &self.store)?;
        self.epoch = epoch;
        let stopped = stopped + started.elapsed();
        self.metrics.checkpoints += 1;
        self.metrics.checkpoint_bytes = bytes;
        self.metrics.checkpoint_seconds += (stopped + beside).as_secs_f64();
        tracing::debug!(epoch, bytes, seconds = stopped.as_secs_f64(), "checkpoint committed");
        self.send();
        let held = std::mem::take(&mut self.held);
        for (channel, rows) in held.rows {
            self.sink.write(channel, &rows)?;
        }
        self.outbox.add(held.alerts);
        Ok(())
    }

    /// Delivers alerts: only what a committed checkpoint holds, and again after a crash.
    fn send(&mut self) {
        let before = self.outbox.delivered;
        self.outbox.send();
        match &self.outbox.error {
            Some(error) => tracing::warn!(waiting = self.outbox.len(), error, "alerts could not be delivered"),
            None if self.outbox.delivered > before => {
                tracing::info!(alerts = self.outbox.delivered - before, "alerts delivered");
            }
            None => {}
        }
    }
}

/// A checkpoint but for the state of the engine.
struct Parts {
    epoch: u64,
    positions: Positions,
    operator: Vec<u8>,
    model: String,
    next_model: Option<NextModel>,
    alerts: Vec<Alert>,
}

impl Parts {
    fn with(self, engine: EngineState) -> Checkpoint {
        let Self { epoch, positions, operator, model, next_model, alerts } = self;
        Checkpoint { epoch, positions, engine, operator, model, next_model, alerts }
    }
}
