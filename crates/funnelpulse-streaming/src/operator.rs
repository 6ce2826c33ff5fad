//! What happens to closed windows.

use std::collections::BTreeMap;

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

    /// Replaces the state by one that [`state`](Self::state) returned. `models` has the models that it names.
    fn restore(&mut self, state: &[u8], models: &dyn Models) -> Result<(), BoxError>;

    /// The model in use, recorded in each checkpoint. By default none.
    fn model(&self) -> ModelStatus {
        ModelStatus::default()
    }

    /// The bytes of a model that [`model`](Self::model) names; they are kept beside the checkpoints.
    fn model_bytes(&self, name: &str) -> Result<Vec<u8>, BoxError> {
        Err(format!("there is no model {name}").into())
    }

    /// Called before a checkpoint: the chance to name another model. It is taken into use with the first window after
    /// the checkpoint, so that a replay uses the same models for the same windows.
    fn refresh(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// The model of an [`Operator`], and how its successors fare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// The identity of the model in use. Empty where there is none.
    pub name: String,
    /// The model that is used from the next final window on.
    pub next: Option<String>,
    /// The reason why the last new model is not in use.
    pub problem: Option<String>,
    /// Models trained since the start.
    pub trained: u64,
    /// Trainings that failed since the start.
    pub trainings_failed: u64,
}

/// Models by the name under which they were kept.
///
/// ```
/// use funnelpulse_streaming::Models;
///
/// let kept = std::collections::BTreeMap::from([("1".to_owned(), vec![7])]);
/// assert_eq!(kept.load("1")?, [7]);
/// assert!(kept.load("2").is_err());
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub trait Models {
    /// The bytes of a model.
    fn load(&self, name: &str) -> Result<Vec<u8>, BoxError>;
}

impl Models for BTreeMap<String, Vec<u8>> {
    fn load(&self, name: &str) -> Result<Vec<u8>, BoxError> {
        self.get(name).cloned().ok_or_else(|| format!("there is no model {name}").into())
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

    fn restore(&mut self, state: &[u8], _: &dyn Models) -> Result<(), BoxError> {
        if state.is_empty() { Ok(()) } else { Err("rows without detection have no state, the checkpoint has".into()) }
    }
}
