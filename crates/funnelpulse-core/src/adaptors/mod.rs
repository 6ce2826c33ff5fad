//! Detectors of one series as detectors of a site: one model per series, or one of all of them.

mod calibrated;
mod models;
#[cfg(feature = "model-files")]
mod saved;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{Columns, Detector, DynDetector, Error, PanelDetector, PanelView};

pub use models::SeriesModels;
#[cfg(feature = "model-files")]
pub(crate) use saved::KIND as SERIES_MODELS;

/// Settings of training models and of calibrating their scores.
///
/// ```
/// use funnelpulse_core::Training;
///
/// let training = Training { min_rows: 48, ..Training::default() };
/// assert_eq!((training.min_rows, training.folds, training.contamination), (48, 5, 0.03));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Rows with data that a series needs for a model of its own.
    pub min_rows: usize,
    /// Parts of the history on which scores are calibrated in turn, each by a model of the others,
    /// when the detector has no out-of-sample scores of its own; 2 or more.
    pub folds: usize,
    /// Share of the history that may be anomalous, 0 to 0.2: that many of the highest scores don't
    /// shape the calibration.
    pub contamination: f64,
}

impl Default for Training {
    fn default() -> Self {
        Self { min_rows: 168, folds: 5, contamination: 0.03 }
    }
}

/// The parts that both adaptors have.
#[derive(Clone, Debug)]
struct Adaptor {
    detector: Arc<dyn DynDetector>,
    columns: Option<Columns>,
    training: Training,
}

macro_rules! builders {
    () => {
        /// The adaptor of a detector.
        pub fn new(detector: impl Detector + 'static) -> Self {
            Self::from(Arc::new(detector) as Arc<dyn DynDetector>)
        }

        /// The columns that the detector sees; all by default.
        pub fn with_columns(mut self, columns: Columns) -> Self {
            self.adaptor.columns = Some(columns);
            self
        }

        /// Sets the training and calibration; [`Training::default`] otherwise.
        pub fn with_training(mut self, training: Training) -> Self {
            self.adaptor.training = training;
            self
        }
    };
}

/// One model per series.
///
/// A series with fewer than [`Training::min_rows`] rows is scored by a model of all others if
/// [`with_stand_in`](Self::with_stand_in) allows it, and not at all otherwise.
///
/// With `Distance`, a detector whose raw score is the distance from the mean:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{
///     Columns, FittedPanelDetector, Frame, Panel, PanelDetector, PerSeries, Training,
/// };
/// use ndarray::Array2;
///
/// let mut panel = Panel::new(Columns::new(["views"])?);
/// for (name, rows) in [("long", 60), ("short", 5)] {
///     let values = Array2::from_shape_fn((rows, 1), |(row, _)| (row % 10) as f64);
///     panel.insert(name, Frame::from_rows(panel.columns().clone(), values)?)?;
/// }
/// let training = Training { min_rows: 50, ..Training::default() };
/// let models = PerSeries::new(Distance).with_training(training).fit(&(&panel).into())?;
/// assert!(models.source(&"long".into()).is_some());
/// assert_eq!(models.absences()[0].reason, "5 usable rows, `distance` needs at least 50");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PerSeries {
    adaptor: Adaptor,
    stand_in: bool,
}

impl PerSeries {
    builders!();

    /// Allows or forbids that a model of all series scores short ones; sensible when columns of
    /// different series are on one scale.
    pub fn with_stand_in(mut self, stand_in: bool) -> Self {
        self.stand_in = stand_in;
        self
    }
}

impl From<Arc<dyn DynDetector>> for PerSeries {
    fn from(detector: Arc<dyn DynDetector>) -> Self {
        Self { adaptor: Adaptor { detector, columns: None, training: Training::default() }, stand_in: false }
    }
}

impl PanelDetector for PerSeries {
    type Fitted = SeriesModels;
    type Error = Error;

    fn kind(&self) -> &'static str {
        self.adaptor.detector.kind()
    }

    fn fit(&self, history: &PanelView<'_>) -> Result<SeriesModels, Error> {
        SeriesModels::fit(&self.adaptor, models::Plan { pooled: false, stand_in: self.stand_in }, history)
    }
}

/// One model of all series. Where it can't be trained, one per series.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{
///     Columns, FittedPanelDetector, Frame, ModelSource, Panel, PanelDetector, Pooled, Training,
/// };
/// use ndarray::Array2;
///
/// let mut panel = Panel::new(Columns::new(["rate"])?);
/// for name in ["shop-a", "shop-b"] {
///     let values = Array2::from_shape_fn((60, 1), |(row, _)| (row % 10) as f64);
///     panel.insert(name, Frame::from_rows(panel.columns().clone(), values)?)?;
/// }
/// let training = Training { min_rows: 50, ..Training::default() };
/// let models = Pooled::new(Distance).with_training(training).fit(&(&panel).into())?;
/// assert_eq!(models.source(&"shop-b".into()), Some(ModelSource::Pooled));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pooled {
    adaptor: Adaptor,
}

impl Pooled {
    builders!();
}

impl From<Arc<dyn DynDetector>> for Pooled {
    fn from(detector: Arc<dyn DynDetector>) -> Self {
        Self { adaptor: Adaptor { detector, columns: None, training: Training::default() } }
    }
}

impl PanelDetector for Pooled {
    type Fitted = SeriesModels;
    type Error = Error;

    fn kind(&self) -> &'static str {
        self.adaptor.detector.kind()
    }

    fn fit(&self, history: &PanelView<'_>) -> Result<SeriesModels, Error> {
        SeriesModels::fit(&self.adaptor, models::Plan { pooled: true, stand_in: true }, history)
    }
}
