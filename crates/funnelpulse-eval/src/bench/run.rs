//! One run: a detector on a series.

use serde::{Deserialize, Serialize};

use crate::Evaluation;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// With scores.
    Ok,
    /// With an error, or with scores that are none.
    Failed,
    /// It took longer than it may.
    Timeout,
    /// It took more memory than it may.
    OutOfMemory,
    /// The series can't be read, or has no anomaly or no normal row: nobody's fault.
    NoLabels,
}

impl RunStatus {
    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::NoLabels => "no_labels",
        }
    }
}

/// A detector on a series: a row of the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The data set of the series.
    pub collection: String,
    /// The series.
    pub series: String,
    /// The detector.
    pub detector: String,
    /// How it ended.
    pub status: RunStatus,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Rows that were scored.
    pub rows: usize,
    /// Columns that were scored.
    pub columns: usize,
    /// Wall time of the process, with its start and with reading and writing tables.
    pub seconds: f64,
    /// Highest memory of the process in bytes, where it is known (Linux).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// The metrics, of a run that ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// Of series, command and division of rows: a run with the same one need not be made again.
    pub checksum: String,
}

impl Run {
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.collection, &self.series, &self.detector)
    }
}
