//! Errors.

use std::path::PathBuf;

use funnelpulse_core::{BoxError, FrameError, ModelError};
use funnelpulse_features::FeatureError;

/// Errors of the stream. Broken records are no errors: they are counted and become dead letters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A setting has a value that is not allowed.
    #[error("{field} = {value} is not allowed: {allowed}")]
    Setting {
        /// The field, for example `lateness_seconds`.
        field: &'static str,
        /// The value.
        value: String,
        /// The allowed range.
        allowed: String,
    },
    /// The specification of the events is not sound.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// Rows do not make a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A checkpoint can't be encoded or decoded: damaged, of another kind or of another version.
    #[error("{place}: {source}")]
    State {
        /// The file or object.
        place: String,
        /// The reason.
        source: ModelError,
    },
    /// A checkpoint was decoded, but its contents contradict each other.
    #[error("{place}: {reason}")]
    Corrupt {
        /// The file or object.
        place: String,
        /// The contradiction.
        reason: String,
    },
    /// The checkpoint was made with other settings than those of this run.
    #[error("the checkpoint was made with {field} = {saved}, this run has {now}; use the old settings or a new folder")]
    OtherSettings {
        /// The field.
        field: &'static str,
        /// The value in the checkpoint.
        saved: String,
        /// The value of this run.
        now: String,
    },
    /// Another process writes the same checkpoints.
    #[error("epoch {epoch} was already written to {place} by another process; only one may run on a checkpoint folder")]
    Fenced {
        /// The epoch.
        epoch: u64,
        /// The checkpoint store.
        place: String,
    },
    /// A file or folder can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file does not hold what its name promises.
    #[error("{path}: {reason}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The store of the checkpoints refuses.
    #[error("checkpoints in {place}: {source}")]
    Store {
        /// The address of the store.
        place: String,
        /// The reason.
        source: BoxError,
    },
    /// Kafka refuses or can't be reached.
    #[error("Kafka, {action}: {reason}")]
    Kafka {
        /// The action that failed, for example `reading topic events`.
        action: String,
        /// The reason, as the client gives it.
        reason: String,
    },
    /// The registry of schemas does not answer.
    #[error("schema registry {url}: {reason}")]
    Registry {
        /// Its address.
        url: String,
        /// The problem.
        reason: String,
    },
    /// Rows can't be turned into the format of a sink.
    #[error("rows of the {sink} sink: {reason}")]
    Rows {
        /// The sink.
        sink: &'static str,
        /// The reason.
        reason: String,
    },
    /// The operator failed.
    #[error("window {window}: {source}")]
    Operator {
        /// The start of the window, or the phase.
        window: String,
        /// The reason.
        source: BoxError,
    },
}

impl StreamError {
    pub(crate) fn setting(field: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Setting { field, value: value.to_string(), allowed: allowed.into() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    pub(crate) fn contents(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Contents { path: path.into(), reason: reason.to_string() }
    }
}
