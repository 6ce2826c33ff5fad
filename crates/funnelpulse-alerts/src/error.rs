//! What can go wrong.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// Why alerts can't be set up, kept or remembered. No text holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlertsError {
    /// A setting out of its range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Field {
        /// The field.
        name: &'static str,
        /// Its value, unless that is a secret.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A secret is said to be in an environment variable that isn't there.
    #[error("environment variable {variable} is not set (or not text)")]
    Environment {
        /// Its name; `***` where it does not look like the name of a variable.
        variable: String,
    },
    /// A file that can't be opened, read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// Two dispatchers want the same spool.
    #[error("{}: another dispatcher uses this spool", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The configuration is not TOML.
    #[error("{}, line {line}, column {column}: not valid TOML ({reason})", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// The column, counted from one.
        column: usize,
        /// What the parser says, without the text of the line.
        reason: String,
    },
    /// A setting is missing, unknown, of another type or out of its range.
    #[error("{}: {field}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The field, for example `sinks[0].password`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two things would be written to the same file.
    #[error("{}: {first} and {second} would be the same file; choose another path for one of them", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
        /// The setting that is checked first.
        first: String,
        /// The setting that collides with it.
        second: String,
    },
    /// The state of an earlier run can't be read.
    #[error("{}: not a readable state of alerts: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Alerts could not be put on disk; they are in memory only.
    #[error("{}: alerts could not be kept on disk: {reason}", path.display())]
    Spool {
        /// The spool.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// More alerts wait than the dispatcher may hold.
    #[error("{waiting} alerts are waiting, more than capacity = {capacity} allows")]
    Full {
        /// Alerts that would wait.
        waiting: usize,
        /// The setting.
        capacity: usize,
    },
}

impl AlertsError {
    pub(crate) fn field(name: &'static str, value: impl fmt::Display, allowed: &'static str) -> Self {
        Self::Field { name, value: value.to_string(), allowed }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source: Arc::new(source) }
    }
}

/// Why an alert was not delivered. The texts hold no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// It may work later.
    #[error("{reason}")]
    Temporary {
        /// What happened.
        reason: String,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// This message will never be taken.
    #[error("{reason}")]
    Permanent {
        /// What happened.
        reason: String,
    },
}

impl DeliveryError {
    /// It may work later.
    pub fn temporary(reason: impl fmt::Display) -> Self {
        Self::Temporary { reason: reason.to_string(), retry_after: None }
    }

    /// This message will never be taken.
    pub fn permanent(reason: impl fmt::Display) -> Self {
        Self::Permanent { reason: reason.to_string() }
    }
}
