//! The loop: source, engine, operator, sink, checkpoint.

mod commit;
mod config;
mod intake;
mod letters;
mod metrics;
mod models;
mod outbox;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use funnelpulse_core::{BoxError, Timestamp};

pub use config::RunnerConfig;
pub use metrics::{Metrics, PartitionStatus, WINDOW_SECONDS};
pub use outbox::{Deliver, NoAlerts};

use self::{
    commit::{Held, Pending},
    intake::take,
    letters::DeadLetters,
    models::KeptModels,
    outbox::Outbox,
};
use crate::{
    Channel, Checkpoint, CheckpointStore, ClosedWindow, Engine, Operator, Output, PartitionIndex, Polled, Signal, Sink,
    Source, Status, StreamError, WindowKind,
};

/// Runs a stream: reads records, closes windows, hands them to the operator and its rows to the sink, and commits
/// everything together at intervals.
///
/// After a crash, a new runner on the same checkpoints goes on from the last committed epoch: the output is that of a run
/// without a crash.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_streaming::{
///     Channel, CheckpointStore, Engine, EngineConfig, GoldRows, MemoryRecord, MemorySink, MemorySource, Runner,
///     RunnerConfig,
/// };
///
/// let view = MemoryRecord::Event {
///     time: Timestamp::from_seconds(1_569_888_000),
///     event_type: "view".into(),
///     keys: vec![Some("Runail".into())],
///     product: None,
///     user: None,
///     session: None,
///     price: None,
/// };
/// let sink = MemorySink::default();
/// let mut runner = Runner::new(
///     MemorySource::new(vec![vec![view]], 100),
///     Engine::new(&EventSpec::default(), EngineConfig::new(0))?,
///     GoldRows::new(vec!["brand".into()]),
///     sink.clone(),
///     CheckpointStore::open("memory://example")?,
///     RunnerConfig { flush: true, ..RunnerConfig::default() },
/// )?;
/// let metrics = runner.run(&false.into(), || Timestamp::from_seconds(1_600_000_000))?;
/// assert_eq!((metrics.account.counted, metrics.windows), (1, 1));
/// assert_eq!(sink.rows(Channel::Rows)[0].num_rows(), 1);
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Debug)]
pub struct Runner<S, O, K> {
    source: S,
    engine: Engine,
    operator: O,
    sink: K,
    store: Arc<CheckpointStore>,
    config: RunnerConfig,
    partitions: Vec<Option<(PartitionIndex, String)>>,
    letters: DeadLetters,
    outbox: Outbox,
    epoch: u64,
    /// The checkpoint that is being written, and what happened since it was taken.
    pending: Option<Pending>,
    held: Held,
    /// Something happened since the last checkpoint.
    dirty: bool,
    records_at_checkpoint: u64,
    checkpoint_at: Instant,
    metrics: Metrics,
    models: KeptModels,
    status: Option<Status>,
    /// The numbers were last published at this time.
    published: Option<Instant>,
}

/// Time between two publications of the numbers.
const PUBLISHED: Duration = Duration::from_millis(500);

/// Partitions that are shown one by one: more would be too much for those who collect the numbers.
const MOST_SHOWN: usize = 256;

/// The result of one [`Runner::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    More,
    /// The input is at its end, and everything is committed.
    Done,
}

impl<S: Source, O: Operator, K: Sink> Runner<S, O, K> {
    /// Goes on from the last committed checkpoint of this task, or starts anew where there is none. Alerts are dropped
    /// unless a [receiver](Self::with_alerts) is set.
    pub fn new(
        source: S,
        engine: Engine,
        operator: O,
        sink: K,
        store: CheckpointStore,
        config: RunnerConfig,
    ) -> Result<Self, StreamError> {
        config.validate()?;
        if let Some(longest) = sink.longest_epoch().filter(|longest| config.checkpoint_interval() > *longest) {
            let allowed = format!("at most {} with this sink: its transactions end by then", longest.as_secs());
            return Err(StreamError::setting("checkpoint_seconds", config.checkpoint_seconds, allowed));
        }
        let mut runner = Self {
            letters: DeadLetters::new(config.max_dead_letters, config.max_dead_letter_bytes),
            outbox: Outbox::new(config.max_waiting_alerts, Box::new(NoAlerts)),
            source,
            engine,
            operator,
            sink,
            store: Arc::new(store),
            config,
            partitions: Vec::new(),
            epoch: 0,
            pending: None,
            held: Held::default(),
            dirty: false,
            records_at_checkpoint: 0,
            checkpoint_at: Instant::now(),
            metrics: Metrics::default(),
            models: KeptModels::default(),
            status: None,
            published: None,
        };
        runner.recover()?;
        Ok(runner)
    }

    /// Sets the receiver of alerts.
    pub fn with_alerts(mut self, receiver: Box<dyn Deliver>) -> Self {
        let waiting = self.outbox.waiting();
        self.outbox = Outbox::new(self.config.max_waiting_alerts, receiver);
        self.outbox.add(waiting);
        self
    }

    /// Shows how it is doing, and its numbers, from the next round on.
    pub fn with_status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    fn recover(&mut self) -> Result<(), StreamError> {
        // First of all: it ends what an earlier process left open, which may decide what is committed.
        self.sink.start()?;
        let (name, files) = if self.sink.commits_checkpoint() {
            (self.sink.committed()?, Vec::new())
        } else {
            match self.store.latest()? {
                None => (None, Vec::new()),
                Some(manifest) => {
                    let name = manifest.states.get(&self.config.task).cloned();
                    let name = name.ok_or_else(|| StreamError::Corrupt {
                        place: self.store.place().to_owned(),
                        reason: format!("no state of task `{}` in epoch {}", self.config.task, manifest.epoch),
                    })?;
                    (Some(name), manifest.files)
                }
            }
        };
        self.sink.recover(&files)?;
        let Some(name) = name else { return Ok(()) };
        let Checkpoint { epoch, positions, engine, operator, model: _, next_model: _, alerts } =
            self.store.load(&name)?;
        self.engine.restore(engine)?;
        let restored = self.operator.restore(&operator, &*self.store);
        restored.map_err(|source| failed("restoring the operator", source))?;
        self.source.seek(&positions)?;
        self.outbox.add(alerts);
        self.epoch = epoch;
        self.models = KeptModels::found(epoch, &self.store)?;
        self.records_at_checkpoint = self.engine.account().read;
        tracing::info!(epoch, read = self.records_at_checkpoint, "going on from a checkpoint");
        Ok(())
    }

    /// Runs until the input ends or `stop` is set; then commits what was read and returns. `now` is the wall clock.
    ///
    /// Setting `stop` ends the loop within one poll; windows that are open stay open for the next run.
    pub fn run(&mut self, stop: &AtomicBool, mut now: impl FnMut() -> Timestamp) -> Result<Metrics, StreamError> {
        while !stop.load(Ordering::Relaxed) {
            let step = self.step(now())?;
            self.show();
            if step == Step::Done {
                return Ok(self.metrics());
            }
        }
        tracing::info!("stopping: a last checkpoint");
        self.checkpoint()?;
        Ok(self.metrics())
    }

    /// Shows that the loop goes on, and now and then its numbers.
    fn show(&mut self) {
        let Some(status) = &self.status else { return };
        status.alive(self.source.waiting());
        if self.published.is_none_or(|at| at.elapsed() >= PUBLISHED) {
            status.publish(self.metrics());
            self.published = Some(Instant::now());
        }
    }

    /// One round: a poll, the windows that closed, and a checkpoint when it is time.
    pub fn step(&mut self, now: Timestamp) -> Result<Step, StreamError> {
        if self.pending.as_ref().is_some_and(Pending::is_written) {
            self.finish()?;
        }
        self.engine.tick(now);
        let polled = self.poll()?;
        if polled == Polled::End && self.config.flush {
            self.engine.flush();
        }
        self.close_windows(now)?;
        self.write_letters()?;
        if polled == Polled::End {
            if self.config.flush {
                let output = self.operator.finish().map_err(|source| failed("end of the input", source))?;
                self.emit(output)?;
            }
            self.checkpoint()?;
            return Ok(Step::Done);
        }
        let read = self.engine.account().read - self.records_at_checkpoint;
        let due = self.checkpoint_at.elapsed() >= self.config.due_after(self.outbox.has_new);
        if due || read >= self.config.checkpoint_records {
            self.begin()?;
        }
        Ok(Step::More)
    }

    fn poll(&mut self) -> Result<Polled, StreamError> {
        let Self { source, engine, partitions, letters, dirty, config, .. } = self;
        source.poll(config.poll_wait(), &mut |input| take(input, engine, partitions, letters, dirty))
    }

    /// Hands closed windows and news about the feed to the operator.
    fn close_windows(&mut self, now: Timestamp) -> Result<(), StreamError> {
        for signal in self.engine.signals() {
            match signal {
                Signal::FeedStopped(_) => tracing::warn!(last = ?self.engine.newest(), "the feed stopped"),
                Signal::FeedResumed => tracing::info!("the feed delivers events again"),
            }
            let output = self.operator.signal(signal, now).map_err(|source| failed("news about the feed", source))?;
            self.emit(output)?;
        }
        for window in self.engine.drain() {
            let started = Instant::now();
            let output = self.operate(&window)?;
            let seconds = started.elapsed().as_secs_f64();
            self.metrics.operator_seconds += seconds;
            self.metrics.window_seconds[WINDOW_SECONDS.partition_point(|bound| *bound < seconds)] += 1;
            self.metrics.slowest_window_seconds = self.metrics.slowest_window_seconds.max(seconds);
            self.emit(output)?;
        }
        Ok(())
    }

    #[tracing::instrument(name = "window", level = "debug", skip_all, fields(start = %window.start))]
    fn operate(&mut self, window: &ClosedWindow) -> Result<Output, StreamError> {
        let fail = |source| failed(&window.start.to_string(), source);
        if window.kind == WindowKind::Early {
            self.metrics.early_windows += 1;
            return self.operator.early(window).map_err(fail);
        }
        self.metrics.windows += 1;
        self.operator.window(window).map_err(fail)
    }

    fn emit(&mut self, output: Output) -> Result<(), StreamError> {
        for rows in output.rows.into_iter().filter(|rows| rows.num_rows() > 0) {
            self.metrics.rows += rows.num_rows() as u64;
            self.dirty = true;
            self.write(Channel::Rows, rows)?;
        }
        self.dirty |= !output.alerts.is_empty();
        if self.pending.is_some() {
            self.held.alerts.extend(output.alerts);
        } else {
            self.outbox.add(output.alerts);
        }
        Ok(())
    }

    /// Rows of the epoch that begins with a checkpoint wait until that is committed.
    fn write(&mut self, channel: Channel, rows: RecordBatch) -> Result<(), StreamError> {
        if self.pending.is_some() {
            self.held.rows.push((channel, rows));
            return Ok(());
        }
        self.sink.write(channel, &rows)
    }

    fn write_letters(&mut self) -> Result<(), StreamError> {
        if let Some(rows) = self.letters.take()? {
            self.metrics.dead_letters += rows.num_rows() as u64;
            self.write(Channel::DeadLetters, rows)?;
        }
        Ok(())
    }

    /// The numbers so far.
    pub fn metrics(&self) -> Metrics {
        let [series, panes, remembered] = self.engine.sizes();
        let [transactions, transactions_aborted] = self.sink.transactions();
        Metrics {
            partitions: self.partitions(),
            transactions,
            transactions_aborted,
            account: self.engine.account().clone(),
            epoch: self.epoch,
            watermark: self.engine.watermark(),
            newest: self.engine.newest(),
            closed_until: self.engine.closed_until(),
            feed_stopped: self.engine.is_silent(),
            series,
            panes,
            remembered,
            dead_letters_dropped: self.letters.dropped,
            alerts: self.outbox.delivered,
            alerts_waiting: self.outbox.len() + self.held.alerts.len(),
            alerts_dropped: self.outbox.dropped,
            alert_error: self.outbox.error.clone(),
            model: self.operator.model(),
            ..self.metrics.clone()
        }
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        let behind = self.source.behind();
        let open = self.engine.partitions().take(MOST_SHOWN);
        let status = |(name, newest, idle): (&str, Option<Timestamp>, bool)| PartitionStatus {
            name: name.to_owned(),
            newest,
            idle,
            behind: behind.get(name).copied(),
        };
        open.map(status).collect()
    }

    /// The operator, for example to look at its state.
    pub fn operator(&self) -> &O {
        &self.operator
    }
}

fn failed(window: &str, source: BoxError) -> StreamError {
    StreamError::Operator { window: window.to_owned(), source }
}
