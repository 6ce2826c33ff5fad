//! Detectors that follow a series or a site as rows arrive.
//!
//! Scores are provisional: those of the newest rows, without the rows after them. They equal the
//! scores that `detect` gives to the last rows of everything seen so far.

use std::{collections::BTreeMap, fmt::Debug};

use ndarray::{Axis, concatenate};

use crate::{
    Context, Detection, Error, FittedDetector, FittedPanelDetector, Frame, FrameError, FrameView, PanelView,
    SeriesDetection, SeriesKey, SeriesView,
};

/// A model that follows one series.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{Columns, FittedDetector, Frame};
/// use ndarray::array;
///
/// let model = DistanceModel { columns: Columns::new(["views"])?, mean: 10.0 };
/// let mut live = model.live();
/// let next = Frame::from_rows(model.columns.clone(), array![[10.0], [4.0]])?;
/// assert_eq!(live.advance(next.view())?.score().to_vec(), [0.0, 6.0]);
/// # Ok(())
/// # }
/// ```
pub trait LiveDetector: Debug + Send {
    /// Scores the rows that follow those seen so far: one row of the result per row of `rows`.
    fn advance(&mut self, rows: FrameView<'_>) -> Result<Detection, Error>;
}

/// A model that follows all series of a site.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use funnelpulse_core::{Columns, Frame, Panel, PanelDetector, PerSeries, Training};
/// # use ndarray::{Array2, array};
/// use funnelpulse_core::FittedPanelDetector;
///
/// # let mut panel = Panel::new(Columns::new(["views"])?);
/// # let values = Array2::from_shape_fn((60, 1), |(row, _)| (row % 10) as f64);
/// # panel.insert("shop-a", Frame::from_rows(panel.columns().clone(), values)?)?;
/// # let training = Training { min_rows: 50, ..Training::default() };
/// # let models = PerSeries::new(Distance).with_training(training).fit(&(&panel).into())?;
/// // The mean of the history is 4.5.
/// let mut live = models.live();
/// let mut window = Panel::new(panel.columns().clone());
/// window.insert("shop-a", Frame::from_rows(panel.columns().clone(), array![[9.5]])?)?;
/// assert_eq!(live.advance(&(&window).into())?["shop-a"].detection.score()[0], 5.0);
/// # Ok(())
/// # }
/// ```
pub trait LivePanel: Debug + Send {
    /// Scores one closed window: the new rows of every series that has any. Series without a model
    /// are left out of the result.
    fn advance(&mut self, window: &PanelView<'_>) -> Result<BTreeMap<SeriesKey, SeriesDetection>, Error>;
}

/// Follows a series with any model: keeps the rows of its context.
#[derive(Debug)]
pub(crate) struct SeriesWindow {
    model: Box<dyn FittedDetector>,
    context: Option<Frame>,
}

impl SeriesWindow {
    pub(crate) fn new(model: Box<dyn FittedDetector>) -> Self {
        Self { model, context: None }
    }
}

impl LiveDetector for SeriesWindow {
    fn advance(&mut self, rows: FrameView<'_>) -> Result<Detection, Error> {
        let (joined, skip) = join(self.context.as_ref(), rows)?;
        let detection = self.model.detect(joined.view())?.rows(skip..joined.nrows());
        self.context = Some(tail(joined.view(), self.model.context()));
        Ok(detection)
    }
}

/// Follows a site with any model: keeps the rows of its context of every series.
#[derive(Debug)]
pub(crate) struct PanelWindow {
    model: Box<dyn FittedPanelDetector>,
    context: BTreeMap<SeriesKey, Frame>,
}

impl PanelWindow {
    pub(crate) fn new(model: Box<dyn FittedPanelDetector>) -> Self {
        Self { model, context: BTreeMap::new() }
    }
}

impl LivePanel for PanelWindow {
    fn advance(&mut self, window: &PanelView<'_>) -> Result<BTreeMap<SeriesKey, SeriesDetection>, Error> {
        let mut joined = Vec::with_capacity(window.series().len());
        for series in window.series() {
            let (frame, skip) = join(self.context.get(series.key), series.frame)?;
            joined.push((series.key, frame, skip));
        }
        let views =
            joined.iter().map(|(key, frame, skip)| SeriesView { skip: *skip, ..SeriesView::new(key, frame.view()) });
        let found = self.model.detect(&PanelView::new(views.collect()))?;
        let context = self.model.context();
        for (key, frame, _) in joined {
            self.context.insert(key.clone(), tail(frame.view(), context));
        }
        Ok(found)
    }
}

/// The rows of `context`, then those of `rows`; and how many came first.
fn join(context: Option<&Frame>, rows: FrameView<'_>) -> Result<(Frame, usize), FrameError> {
    let Some(context) = context else { return Ok((rows.to_frame(), 0)) };
    let head = context.view().select(rows.columns())?;
    let values = concatenate(Axis(0), &[head.values(), rows.values()]).expect("both have the same columns");
    let time = head.time().iter().chain(rows.time()).copied().collect();
    Ok((Frame::new(time, rows.columns().clone(), values)?, head.nrows()))
}

/// The last rows of a series that a context reaches back to from its end.
fn tail(frame: FrameView<'_>, context: Context) -> Frame {
    let first = context.first_row(frame.time(), frame.nrows());
    frame.rows(first..frame.nrows()).to_frame()
}
