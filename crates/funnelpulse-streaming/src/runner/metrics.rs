//! Numbers about a running stream.

use funnelpulse_core::Timestamp;
use serde::Serialize;

use crate::{Account, ModelStatus};

/// Upper bounds of the seconds that windows take in the operator.
pub const WINDOW_SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 1.0, 3.0, 10.0, 60.0];

/// How far a partition is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// Its name.
    pub name: String,
    /// The time of its newest event.
    pub newest: Option<Timestamp>,
    /// No records came for so long that it no longer holds windows open.
    pub idle: bool,
    /// Records that are there and were not read, where the source knows.
    pub behind: Option<u64>,
}

/// A snapshot of the numbers of a stream. Those marked *since the start* begin at zero with the process, the others
/// are part of the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// The account of all records: the conservation law.
    pub account: Account,
    /// The last committed epoch.
    pub epoch: u64,
    /// The time before which no event is expected.
    pub watermark: Option<Timestamp>,
    /// The time of the newest event.
    pub newest: Option<Timestamp>,
    /// Windows that start before this are closed.
    pub closed_until: Option<Timestamp>,
    /// The feed counts as stopped.
    pub feed_stopped: bool,
    /// The partitions that are read.
    pub partitions: Vec<PartitionStatus>,
    /// Series that are known.
    pub series: usize,
    /// Windows, or slides, that are held.
    pub panes: usize,
    /// Events that are remembered for the deduplication.
    pub remembered: usize,
    /// Final windows since the start.
    pub windows: u64,
    /// Early results since the start.
    pub early_windows: u64,
    /// Rows handed to the sink since the start.
    pub rows: u64,
    /// Dead letters written since the start.
    pub dead_letters: u64,
    /// Dead letters beyond the limit of their epoch since the start: counted, not written.
    pub dead_letters_dropped: u64,
    /// Seconds spent in the operator since the start.
    pub operator_seconds: f64,
    /// Windows by the seconds that they took in the operator, since the start: one count per bound of
    /// [`WINDOW_SECONDS`], and one for those that took longer.
    pub window_seconds: [u64; WINDOW_SECONDS.len() + 1],
    /// Seconds of the slowest window in the operator since the start.
    pub slowest_window_seconds: f64,
    /// Checkpoints since the start.
    pub checkpoints: u64,
    /// Seconds spent in checkpoints since the start.
    pub checkpoint_seconds: f64,
    /// Bytes of the last checkpoint.
    pub checkpoint_bytes: usize,
    /// Transactions committed since the start, with a sink that has them.
    pub transactions: u64,
    /// Transactions aborted since the start.
    pub transactions_aborted: u64,
    /// Alerts delivered since the start.
    pub alerts: u64,
    /// Alerts that wait for delivery.
    pub alerts_waiting: usize,
    /// Alerts that were dropped because too many waited, since the start.
    pub alerts_dropped: u64,
    /// The reason why the last delivery of alerts failed, until one succeeds.
    pub alert_error: Option<String>,
    /// The model in use, and how its successors fare.
    pub model: ModelStatus,
}
