//! What the rows and columns of findings mean.

use funnelpulse_core::{Columns, Funnel};

use crate::{AlertConfig, RowClock};

/// A detector and its columns in the output table (`Findings::to_batch`, feature `arrow`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorColumns {
    /// The name of the detector.
    pub detector: String,
    /// The column of its calibrated scores.
    pub score: String,
    /// The column of what it expected of the primary metric, if it has one.
    pub expected: Option<String>,
    /// True if the columns are there even if the detector did not run.
    pub always: bool,
}

/// The meaning of the rows and columns of findings.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Stored metrics, then rates.
    pub metrics: Columns,
    /// Number of the metrics, from the front, that are stored.
    pub stored: usize,
    /// The key columns that name a series.
    pub keys: Vec<String>,
    /// Position among the metrics of the one whose expected value stands in the output table.
    pub primary: usize,
    /// The metrics that are the steps of a funnel; `None` without a detector that looks at one.
    pub funnel: Option<Funnel>,
    /// The detectors, in the order of their columns.
    pub detectors: Vec<DetectorColumns>,
    /// The combined score from which rows were flagged.
    pub threshold: f64,
    /// Settings of priorities.
    pub alerts: AlertConfig,
    /// The clock that texts go by.
    pub clock: RowClock,
}
