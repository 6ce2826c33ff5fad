//! Training on a schedule, beside the stream.

use std::{sync::mpsc, thread};

use funnelpulse_core::{Panel, Timestamp};
use funnelpulse_pipeline::{Catalog, Config, FittedPipeline, LivePipeline, Pipeline};
use serde::{Deserialize, Serialize};

use crate::StreamError;

/// Settings of training on a schedule: every so many hours a new model is trained on the rows that the stream keeps,
/// in a thread of its own, and taken into use between two windows.
///
/// ```
/// use funnelpulse_streaming::RetrainConfig;
///
/// let config = RetrainConfig { every_hours: 24, ..RetrainConfig::default() };
/// config.validate()?;
/// assert!(RetrainConfig { every_hours: 0, ..config }.validate().is_err());
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrainConfig {
    /// Hours of event time between two trainings, 1 to 8760.
    pub every_hours: u32,
    /// Days of rows that are kept and trained on, 7 to 366. Before the stream has seen as many, those that the model
    /// in use brings along count too.
    pub history_days: u32,
    /// Days of rows that a training needs at least, 1 to `history_days`.
    pub least_days: u32,
    /// Threads of a training, 1 to 64.
    pub threads: usize,
}

impl Default for RetrainConfig {
    fn default() -> Self {
        Self { every_hours: 168, history_days: 90, least_days: 21, threads: 1 }
    }
}

impl RetrainConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), StreamError> {
        if !(1..=8760).contains(&self.every_hours) {
            return Err(StreamError::setting("retrain.every_hours", self.every_hours, "1 to 8760"));
        }
        if !(7..=366).contains(&self.history_days) {
            return Err(StreamError::setting("retrain.history_days", self.history_days, "7 to 366"));
        }
        if !(1..=self.history_days).contains(&self.least_days) {
            let allowed = format!("1 to history_days, {}", self.history_days);
            return Err(StreamError::setting("retrain.least_days", self.least_days, allowed));
        }
        if !(1..=64).contains(&self.threads) {
            return Err(StreamError::setting("retrain.threads", self.threads, "1 to 64"));
        }
        Ok(())
    }

    /// Rows are kept for this long, microseconds.
    pub(super) fn history(&self) -> i64 {
        i64::from(self.history_days) * Timestamp::DAY
    }
}

type Trained = Result<FittedPipeline, String>;

/// The schedule, and the training that runs.
#[derive(Debug)]
pub(super) struct Retraining {
    config: RetrainConfig,
    /// The end of the rows of the last training, or the first window where there was none.
    pub(super) last: Option<Timestamp>,
    running: Option<mpsc::Receiver<Trained>>,
    pub(super) done: u64,
    pub(super) failed: u64,
}

impl Retraining {
    pub(super) fn new(config: RetrainConfig) -> Self {
        Self { config, last: None, running: None, done: 0, failed: 0 }
    }

    /// Rows are kept for this long, microseconds.
    pub(super) fn history(&self) -> i64 {
        self.config.history()
    }

    /// Starts a training after a window that ends at `end`, if it is time and none runs.
    pub(super) fn start(&mut self, end: Timestamp, live: &LivePipeline, catalog: &Catalog) {
        let last = *self.last.get_or_insert(end);
        let due = last.offset(i64::from(self.config.every_hours) * Timestamp::HOUR);
        if self.running.is_some() || end < due {
            return;
        }
        let history = recent(&live.history(), end.offset(-self.config.history()));
        let days = days(&history);
        if days < i64::from(self.config.least_days) {
            tracing::info!(days, needed = self.config.least_days, "too few rows for a training yet");
            // Asked again an hour later.
            return;
        }
        tracing::info!(days, series = history.len(), "training a new model");
        self.last = Some(end);
        let (config, catalog, threads) = (live.model().config().clone(), catalog.clone(), self.config.threads);
        let (send, receive) = mpsc::channel();
        let train = move || {
            // Nobody waits for it where the stream has ended.
            let _ = send.send(train(config, catalog, &history, threads));
        };
        match thread::Builder::new().name("training".to_owned()).spawn(train) {
            Ok(_) => self.running = Some(receive),
            Err(error) => self.fail(&error),
        }
    }

    /// The model of a training that ended, or the reason why there is none.
    pub(super) fn finished(&mut self) -> Option<Trained> {
        let trained = match self.running.as_ref()?.try_recv() {
            Ok(trained) => trained,
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(mpsc::TryRecvError::Disconnected) => Err("the training ended without a result".to_owned()),
        };
        self.running = None;
        match &trained {
            Ok(_) => self.done += 1,
            Err(error) => self.fail(error),
        }
        Some(trained)
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        self.failed += 1;
        tracing::warn!(%error, "the training failed; the model in use stays");
    }
}

fn train(config: Config, catalog: Catalog, history: &Panel, threads: usize) -> Trained {
    // Threads of its own: those that score must not wait for a training.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
    pool.install(|| {
        let pipeline = Pipeline::builder().config(config).catalog(catalog).build().map_err(|e| e.to_string())?;
        let model = pipeline.fit(history).map_err(|e| e.to_string())?;
        if model.series().len() == 0 {
            let reason = model.failures().first().map_or("no series".to_owned(), |failure| failure.message.clone());
            return Err(format!("no series could be trained: {reason}"));
        }
        Ok(model)
    })
}

/// The rows from this time on.
fn recent(panel: &Panel, since: Timestamp) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let first = frame.time().partition_point(|time| *time < since);
        let rows = frame.view().rows(first..frame.nrows()).to_frame();
        if rows.nrows() > 0 {
            part.insert(key.clone(), rows).expect("each series once, with the same columns");
        }
    }
    part
}

/// Days between the first and the last row.
fn days(panel: &Panel) -> i64 {
    let first = panel.iter().filter_map(|(_, frame)| frame.time().first()).min();
    let last = panel.iter().filter_map(|(_, frame)| frame.time().last()).max();
    first.zip(last).map_or(0, |(first, last)| (last.as_micros() - first.as_micros() + Timestamp::HOUR) / Timestamp::DAY)
}
