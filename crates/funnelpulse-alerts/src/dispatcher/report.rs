//! What became of alerts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Alert;

/// What became of the alerts of one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SinkReport {
    /// Acknowledged by the receiver since the start.
    pub delivered: u64,
    /// Attempts that failed and were or will be made again.
    pub retries: u64,
    /// Alerts the receiver will never take; kept beside the spool, ending `rejected`.
    pub rejected: u64,
    /// Waiting for a later attempt.
    pub pending: u64,
    /// Why the last attempt failed; `None` after one that worked. Holds no secret.
    pub last_error: Option<String>,
}

/// What became of all alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DispatchReport {
    /// Per sink.
    pub sinks: BTreeMap<String, SinkReport>,
    /// Alerts found in the spool at the start.
    pub recovered: u64,
    /// Alerts in the spool for sinks that are no longer configured; kept beside the spool, ending
    /// `rejected`.
    pub orphaned: u64,
    /// Lines of the spool that were damaged; the file as it was is kept, ending `damaged`.
    pub damaged_lines: u64,
    /// Why the spool could not be written, the last time that happened: the alerts are in memory only.
    pub spool_error: Option<String>,
}

impl DispatchReport {
    /// Deliveries that still have to be made, over all sinks.
    pub fn waiting(&self) -> u64 {
        self.sinks.values().map(|sink| sink.pending).sum()
    }

    /// Deliveries that a receiver refused for good, over all sinks.
    pub fn rejected(&self) -> u64 {
        self.sinks.values().map(|sink| sink.rejected).sum()
    }
}

/// An alert that was not taken: too many are waiting, or the dispatcher is shutting down.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("alert {} was not taken: too many are waiting", .0.id)]
pub struct Refused(pub Box<Alert>);
