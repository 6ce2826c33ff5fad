//! The contract of detectors that look at all series of a site together.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::Arc,
};

use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::{
    Columns, Context, Detection, Episode, Error, Funnel, LivePanel, Memory, ModelError, PanelView, Posterior,
    SeriesKey, SeriesView, live::PanelWindow,
};

/// The model that scored a series.
///
/// ```
/// use funnelpulse_core::ModelSource;
///
/// assert_eq!(ModelSource::Pooled.to_string(), "pooled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// One trained on the series itself.
    Own,
    /// One trained on all series.
    Pooled,
    /// The seasonal baseline of the series, because no configured detector could be trained.
    Fallback,
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "own",
            Self::Pooled => "pooled",
            Self::Fallback => "fallback",
        })
    }
}

/// Validated settings of a detector that looks at all series of a site together.
///
/// A [`Detector`](crate::Detector) becomes one by [`PerSeries`](crate::PerSeries) or
/// [`Pooled`](crate::Pooled).
///
/// Code that works with any detector of a site, here with one model of `Distance` per series:
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
/// fn scored<D: PanelDetector>(detector: &D, panel: &Panel) -> usize {
///     let models = detector.fit(&panel.into()).expect("the panel has rows");
///     models.detect(&panel.into()).expect("it has the columns of the history").len()
/// }
///
/// let mut panel = Panel::new(Columns::new(["views"])?);
/// for (name, rows) in [("shop-a", 60), ("shop-b", 60), ("new", 3)] {
///     let values = Array2::from_shape_fn((rows, 1), |(row, _)| (row % 10) as f64);
///     panel.insert(name, Frame::from_rows(panel.columns().clone(), values)?)?;
/// }
/// let training = Training { min_rows: 50, ..Training::default() };
/// assert_eq!(scored(&PerSeries::new(Distance).with_training(training), &panel), 2);
/// # Ok(())
/// # }
/// ```
pub trait PanelDetector: Debug + Send + Sync {
    /// The trained model.
    type Fitted: FittedPanelDetector + 'static;
    /// The error of fitting.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Stable name, the same as the [`FittedPanelDetector::kind`] of its models.
    fn kind(&self) -> &'static str;

    /// Learns the series of a site. The result depends neither on the number of threads nor on the
    /// order in which series were added.
    fn fit(&self, history: &PanelView<'_>) -> Result<Self::Fitted, Self::Error>;

    /// The same for a history whose survey is the next step: `memory` takes what training has computed of it, for
    /// [`FittedPanelDetector::survey_next`]. A model for the [history alone](Purpose::History) need not learn what
    /// only later rows need.
    fn fit_for(
        &self,
        history: &PanelView<'_>,
        purpose: Purpose,
        memory: &mut Memory,
    ) -> Result<Self::Fitted, Self::Error> {
        let _ = (purpose, memory);
        self.fit(history)
    }
}

/// The rows that a model will judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Any rows of the series that it knows.
    #[default]
    Any,
    /// Those that it was trained on and no others.
    History,
}

/// A model that a detector could not train, with the reason. Other series and detectors are not
/// affected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The series; `None` for a model of all series.
    pub series: Option<SeriesKey>,
    /// The reason in words.
    pub reason: String,
    /// True if that was to be expected: a series too short, a step that the detector does not
    /// support. Anything else is a failure.
    pub is_expected: bool,
}

impl Absence {
    /// The absence that an error of fitting stands for.
    ///
    /// ```
    /// use funnelpulse_core::{Absence, Error, SeriesKey};
    ///
    /// let error = Error::TooFewRows { detector: "range", rows: 3, needed: 10 };
    /// let absence = Absence::of(Some(&SeriesKey::new("shop-a")), &error);
    /// assert!(absence.is_expected);
    /// assert_eq!(absence.reason, "3 usable rows, `range` needs at least 10");
    /// ```
    pub fn of(series: Option<&SeriesKey>, error: &Error) -> Self {
        let is_expected = matches!(error, Error::TooFewRows { .. } | Error::Unsupported { .. });
        Self { series: series.cloned(), reason: error.to_string(), is_expected }
    }
}

/// A trained model of all series of a site: immutable while it scores, usable from many threads.
///
/// Scoring takes two steps. A [`Survey`] estimates what all series share at the times of a panel;
/// given it, series are independent, so that they can be scored in any order, on any thread or
/// machine.
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
/// let values = Array2::from_shape_fn((50, 1), |(row, _)| (row % 10) as f64);
/// panel.insert("shop-a", Frame::from_rows(panel.columns().clone(), values)?)?;
/// let training = Training { min_rows: 50, ..Training::default() };
/// let models = PerSeries::new(Distance).with_training(training).fit(&(&panel).into())?;
/// let found = models.detect(&(&panel).into())?;
/// // The mean of 0 to 9 is 4.5.
/// assert_eq!(found["shop-a"].detection.score()[0], 4.5);
/// # Ok(())
/// # }
/// ```
pub trait FittedPanelDetector: Debug + Send + Sync {
    /// Stable tag in the model envelope.
    fn kind(&self) -> &str;

    /// The columns that it was trained on.
    fn columns(&self) -> &Columns;

    /// Rows before a row that its score depends on.
    fn context(&self) -> Context;

    /// Rows after a row that may still revise its score.
    fn horizon(&self) -> Context {
        Context::NONE
    }

    /// The model that would score a series; `None` where it has none.
    fn source(&self, series: &SeriesKey) -> Option<ModelSource>;

    /// Estimates what the series share. All series of the site belong in `panel`.
    fn survey<'a>(&'a self, panel: &PanelView<'_>) -> Result<Box<dyn Survey + 'a>, Error>;

    /// The same for one of many panels that follow each other and overlap. `memory` holds what the surveys before
    /// have kept, and takes what this one keeps; the result is that of [`survey`](Self::survey).
    fn survey_next<'a>(&'a self, panel: &PanelView<'_>, memory: &mut Memory) -> Result<Box<dyn Survey + 'a>, Error> {
        let _ = memory;
        self.survey(panel)
    }

    /// The steps of the funnel, if it looks at one.
    fn funnel(&self) -> Option<&Funnel> {
        None
    }

    /// Models that could not be trained, with the reason. Not saved with the model.
    fn absences(&self) -> &[Absence] {
        &[]
    }

    /// Scores every series of `panel`: [`survey`](Self::survey), then [`Survey::detect`] of each.
    fn detect(&self, panel: &PanelView<'_>) -> Result<BTreeMap<SeriesKey, SeriesDetection>, Error> {
        let survey = self.survey(panel)?;
        let mut found = BTreeMap::new();
        for series in panel.series() {
            if let Some(detection) = survey.detect(series)? {
                found.insert(series.key.clone(), detection);
            }
        }
        Ok(found)
    }

    /// The model as it follows closed windows of all series. By default it keeps the rows of
    /// [`context`](Self::context) and calls [`detect`](Self::detect) on them.
    fn live(&self) -> Box<dyn LivePanel> {
        Box::new(PanelWindow::new(self.clone_box()))
    }

    /// The bytes of the model: an envelope that a [`Registry`](crate::Registry) opens, which
    /// [`write_payload`](crate::write_payload) makes. Without the feature `model-files` an error,
    /// [`ModelError::NotBuilt`].
    fn to_bytes(&self) -> Result<Vec<u8>, ModelError>;

    /// A copy.
    fn clone_box(&self) -> Box<dyn FittedPanelDetector>;
}

impl Clone for Box<dyn FittedPanelDetector> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// The state that the series of one panel share, as a model estimates it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use funnelpulse_core::{Columns, Frame, Panel, PerSeries, Training};
/// # use ndarray::Array2;
/// use funnelpulse_core::{FittedPanelDetector, PanelDetector, PanelView};
///
/// # let mut panel = Panel::new(Columns::new(["views"])?);
/// # let values = Array2::from_shape_fn((60, 1), |(row, _)| (row % 10) as f64);
/// # panel.insert("shop-a", Frame::from_rows(panel.columns().clone(), values)?)?;
/// # let training = Training { min_rows: 50, ..Training::default() };
/// # let detector = PerSeries::new(Distance).with_training(training);
/// let view = PanelView::from(&panel);
/// let models = detector.fit(&view)?;
/// let survey = models.survey(&view)?;
/// // Given the survey, series can be scored in any order.
/// for series in view.series() {
///     assert_eq!(survey.detect(series)?.unwrap().scores.len(), series.frame.nrows());
/// }
/// # Ok(())
/// # }
/// ```
pub trait Survey: Debug + Send + Sync {
    /// Scores the rows of one series after its context. `None` without a model for it.
    fn detect(&self, series: &SeriesView<'_>) -> Result<Option<SeriesDetection>, Error>;

    /// Episodes of all series together, in order of time; none by default.
    fn site_episodes(&self) -> Vec<Episode> {
        Vec::new()
    }
}

/// The scores of one series.
#[derive(Clone, Debug)]
pub struct SeriesDetection {
    /// The model that gave them.
    pub source: ModelSource,
    /// Raw scores, expected values and contributions, one row per scored row.
    pub detection: Detection,
    /// Calibrated scores in `[0, 1]`; NaN where there is none.
    pub scores: Array1<f64>,
    /// The posterior, from a detector of the whole site only.
    pub posterior: Option<Posterior>,
}

/// [`PanelDetector`] without its associated types: what a pipeline of many kinds holds.
///
/// Implemented for every [`PanelDetector`]; don't implement it yourself.
pub trait DynPanelDetector: Debug + Send + Sync {
    /// [`PanelDetector::kind`].
    fn kind(&self) -> &'static str;

    /// [`PanelDetector::fit`].
    fn fit_dyn(&self, history: &PanelView<'_>) -> Result<Box<dyn FittedPanelDetector>, Error> {
        self.fit_dyn_for(history, Purpose::Any, &mut Memory::default())
    }

    /// [`PanelDetector::fit_for`].
    fn fit_dyn_for(
        &self,
        history: &PanelView<'_>,
        purpose: Purpose,
        memory: &mut Memory,
    ) -> Result<Box<dyn FittedPanelDetector>, Error>;
}

impl<D: PanelDetector> DynPanelDetector for D {
    fn kind(&self) -> &'static str {
        PanelDetector::kind(self)
    }

    fn fit_dyn_for(
        &self,
        history: &PanelView<'_>,
        purpose: Purpose,
        memory: &mut Memory,
    ) -> Result<Box<dyn FittedPanelDetector>, Error> {
        match self.fit_for(history, purpose, memory) {
            Ok(model) => Ok(Box::new(model)),
            Err(error) => Err(Error::detector(PanelDetector::kind(self), error)),
        }
    }
}

/// A detector of either kind.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{AnyDetector, PerSeries};
///
/// let detectors = [AnyDetector::series(Distance), AnyDetector::panel(PerSeries::new(Distance))];
/// assert!(detectors.iter().all(|detector| detector.kind() == "distance"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub enum AnyDetector {
    /// Looks at one series at a time.
    Series(Arc<dyn crate::DynDetector>),
    /// Looks at all series of a site together.
    Panel(Arc<dyn DynPanelDetector>),
}

impl AnyDetector {
    /// A detector of one series.
    pub fn series(detector: impl crate::Detector + 'static) -> Self {
        Self::Series(Arc::new(detector))
    }

    /// A detector of all series.
    pub fn panel(detector: impl PanelDetector + 'static) -> Self {
        Self::Panel(Arc::new(detector))
    }

    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Series(detector) => detector.kind(),
            Self::Panel(detector) => detector.kind(),
        }
    }
}
