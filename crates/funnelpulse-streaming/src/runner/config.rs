//! Settings of the loop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::StreamError;

/// Settings of a [`Runner`](crate::Runner).
///
/// ```
/// use funnelpulse_streaming::RunnerConfig;
///
/// let config = RunnerConfig { checkpoint_seconds: 1.0, ..RunnerConfig::default() };
/// config.validate()?;
/// assert!(RunnerConfig { checkpoint_seconds: -1.0, ..config }.validate().is_err());
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerConfig {
    /// The name of this task, part of the names of its files: letters, digits, `-` and `_`.
    pub task: String,
    /// Seconds between two checkpoints, 0.01 to 86400. Rows become visible with them.
    pub checkpoint_seconds: f64,
    /// Seconds after a checkpoint from which on new alerts bring about the next one, 0.01 to 86400: alerts are delivered
    /// once they are committed, and those are not to wait for the time of a checkpoint.
    pub alert_seconds: f64,
    /// Records after which a checkpoint is made even if it is not time yet, 1 or more.
    pub checkpoint_records: u64,
    /// Series and remembered events from which on a checkpoint is written beside the rounds that follow: what it holds
    /// is copied, what comes meanwhile belongs to the next one. Smaller ones are written at once.
    pub write_beside_from: usize,
    /// Seconds that a poll waits for records, 0.001 to 60: also the precision of the wall clock.
    pub poll_seconds: f64,
    /// Most dead letters per epoch; the rest is only counted.
    pub max_dead_letters: usize,
    /// Most bytes of a record that a dead letter keeps.
    pub max_dead_letter_bytes: usize,
    /// Most alerts that wait for delivery, 1 or more; beyond them the oldest are dropped and counted.
    pub max_waiting_alerts: usize,
    /// Close all windows at the end of a bounded input. Without it, the last windows stay open for a later run.
    pub flush: bool,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            task: "task-0".into(),
            checkpoint_seconds: 10.0,
            alert_seconds: 0.5,
            checkpoint_records: u64::MAX,
            // Written in some milliseconds.
            write_beside_from: 50_000,
            poll_seconds: 0.1,
            max_dead_letters: 10_000,
            max_dead_letter_bytes: 4_096,
            max_waiting_alerts: 10_000,
            flush: false,
        }
    }
}

impl RunnerConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), StreamError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.task.is_empty() || !self.task.chars().all(allowed) {
            return Err(StreamError::setting("task", format!("`{}`", self.task), "letters, digits, - and _"));
        }
        let spans = [("checkpoint_seconds", self.checkpoint_seconds), ("alert_seconds", self.alert_seconds)];
        if let Some((name, value)) = spans.into_iter().find(|(_, value)| !(0.01..=86_400.0).contains(value)) {
            return Err(StreamError::setting(name, value, "0.01 to 86400"));
        }
        if !(0.001..=60.0).contains(&self.poll_seconds) {
            return Err(StreamError::setting("poll_seconds", self.poll_seconds, "0.001 to 60"));
        }
        if self.checkpoint_records == 0 {
            return Err(StreamError::setting("checkpoint_records", 0, "1 or more"));
        }
        if self.max_waiting_alerts == 0 {
            return Err(StreamError::setting("max_waiting_alerts", 0, "1 or more"));
        }
        Ok(())
    }

    pub(super) fn poll_wait(&self) -> Duration {
        Duration::from_secs_f64(self.poll_seconds)
    }

    /// The time after a checkpoint at which the next is due.
    pub(super) fn due_after(&self, has_new_alerts: bool) -> Duration {
        let alerts = if has_new_alerts { Duration::from_secs_f64(self.alert_seconds) } else { Duration::MAX };
        self.checkpoint_interval().min(alerts)
    }

    pub(super) fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs_f64(self.checkpoint_seconds)
    }
}
