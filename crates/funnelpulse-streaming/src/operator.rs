//! What happens to closed windows.

use arrow::array::RecordBatch;
use funnelpulse_core::{BoxError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{ClosedWindow, Signal};

/// The results of an [`Operator`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Rows for the sinks, in order; they may revise rows of earlier windows.
    pub rows: Vec<RecordBatch>,
    /// Alerts, delivered at least once after the rows are committed.
    pub alerts: Vec<Alert>,
}

/// One alert. What it says is the operator's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Equal for the same alert after a restart, so that a receiver can drop repeats.
    pub id: String,
    /// The alert as JSON text.
    pub body: String,
}

/// The stage behind the windows: the detection pipeline, or [`GoldRows`].
///
/// An operator is deterministic: after [`restore`](Self::restore) the same windows give the same output. It does no
/// I/O, so that a window that is processed again after a crash has no effect but its output.
pub trait Operator {
    /// A final window. Windows come in order of time.
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError>;

    /// An early result: the trailing window that ends between two final ones. By default nothing.
    fn early(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        let _ = window;
        Ok(Output::default())
    }

    /// News about the feed as a whole, for example that it stopped, with the time of the wall clock. By default
    /// nothing.
    fn signal(&mut self, signal: Signal, now: Timestamp) -> Result<Output, BoxError> {
        let _ = (signal, now);
        Ok(Output::default())
    }

    /// The end of a bounded input: what was kept back.
    fn finish(&mut self) -> Result<Output, BoxError> {
        Ok(Output::default())
    }

    /// The state, for a checkpoint. Equal states are equal bytes.
    fn state(&self) -> Result<Vec<u8>, BoxError>;

    /// Replaces the state by one that [`state`](Self::state) returned.
    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError>;

    /// The identity of the model in use, recorded in each checkpoint. Empty where there is none.
    fn model(&self) -> String {
        String::new()
    }

    /// Called between two windows: the chance to take a new model into use. True if one was taken; a checkpoint
    /// follows, so that a replay uses the same model for the same windows.
    fn refresh(&mut self) -> Result<bool, BoxError> {
        Ok(false)
    }
}

/// The operator that passes the rows of final windows on: the table of the batch, and stage one of a deployment in
/// two stages.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::Counts;
/// use funnelpulse_streaming::{ClosedWindow, GoldRows, Operator, WindowKind, WindowRow};
///
/// let start = Timestamp::from_seconds(7200);
/// let rows = vec![WindowRow { series: "runail".into(), counts: Counts::default() }];
/// let window = ClosedWindow { start, end: start.offset(Timestamp::HOUR), kind: WindowKind::Final, rows };
/// let output = GoldRows::new(vec!["brand".into()]).window(&window)?;
/// assert_eq!(output.rows[0].schema().field(1).name(), "brand");
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GoldRows {
    keys: Vec<String>,
    early: bool,
}

impl GoldRows {
    /// Rows with these key columns.
    pub fn new(keys: Vec<String>) -> Self {
        Self { keys, early: false }
    }

    /// Also the rows of early results.
    pub fn with_early(self) -> Self {
        Self { early: true, ..self }
    }
}

impl Operator for GoldRows {
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        Ok(Output { rows: vec![window.batch(&self.keys)?], alerts: Vec::new() })
    }

    fn early(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        if self.early { self.window(window) } else { Ok(Output::default()) }
    }

    fn state(&self) -> Result<Vec<u8>, BoxError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        if state.is_empty() { Ok(()) } else { Err("rows without detection have no state, the checkpoint has".into()) }
    }
}
