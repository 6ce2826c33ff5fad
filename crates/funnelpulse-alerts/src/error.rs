//! What can go wrong.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// What can't be set up.
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
        /// Its name.
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
