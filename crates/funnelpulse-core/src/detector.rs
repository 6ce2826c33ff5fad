//! The contract of detectors that look at one series.
//!
//! Write [`Detector`] and [`FittedDetector`]; bound generic code by [`Detector`]; hold a mix of
//! detectors as `Box<dyn DynDetector>`, which every [`Detector`] is.

use std::{fmt::Debug, sync::Arc};

use ndarray::{Array1, Array2};

use crate::{Context, Detection, Error, FrameView, LiveDetector, Payload, Writer, live::SeriesWindow};

/// Validated hyper-parameters of a detector, before it has seen data.
///
/// Fitting never changes the detector, and the same detector fitted to the same frames gives the
/// same model on any number of threads.
///
/// Code that works with any detector, here with `Distance`, whose raw score is the distance from
/// the mean of the history:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, FrameView};
/// use ndarray::array;
///
/// fn highest<D: Detector>(detector: &D, history: FrameView<'_>) -> f64 {
///     let model = detector.fit(history).expect("the history is long enough");
///     let detection = model.detect(history).expect("it has the columns of the history");
///     detection.score().iter().copied().fold(0.0, f64::max)
/// }
///
/// let frame = Frame::from_rows(Columns::new(["views"])?, array![[1.0], [3.0], [8.0]])?;
/// assert_eq!(highest(&Distance, frame.view()), 4.0);
/// # Ok(())
/// # }
/// ```
pub trait Detector: Debug + Send + Sync {
    /// The trained model.
    type Fitted: FittedDetector + 'static;
    /// The error of fitting.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Stable name, the same as the [`FittedDetector::kind`] of its models.
    fn kind(&self) -> &'static str;

    /// Learns one series.
    fn fit(&self, history: FrameView<'_>) -> Result<Self::Fitted, Self::Error>;

    /// Learns one model from many series with the same columns. A detector for which that makes
    /// no sense returns an error that says so.
    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<Self::Fitted, Self::Error>;

    /// [`fit`](Self::fit), together with held-out scores where they cost less than fitting `folds`
    /// more times: with the history cut into `folds` parts of consecutive rows (part `i` is the
    /// rows from `i * n / folds` on), each row's raw score by what the other parts teach. One score
    /// per row; NaN where there is none. `None`, the default: the caller has to fit again.
    ///
    /// Statistics that add up make this cheap: those of the other parts are what is left when a
    /// part's are taken out.
    fn fit_cross_validated(&self, history: FrameView<'_>, folds: usize) -> CrossValidated<Self::Fitted, Self::Error> {
        let _ = folds;
        Ok((self.fit(history)?, None))
    }
}

/// A model of all rows, and the held-out scores of each of them if there are any.
pub type CrossValidated<M, E> = Result<(M, Option<Array1<f64>>), E>;

/// A trained model: immutable while it scores, usable from many threads, serializable (it implements serde's
/// `Serialize`, as [`Payload`] asks).
///
/// A model whose raw score is the distance above a fixed limit:
///
/// ```
/// use std::sync::Arc;
/// use funnelpulse_core::{Columns, Detection, Error, FittedDetector, Frame, FrameView};
/// use ndarray::array;
///
/// #[derive(Clone, Debug, serde::Serialize)]
/// struct Above { columns: Columns, limit: f64 }
///
/// impl FittedDetector for Above {
///     fn kind(&self) -> &'static str { "above" }
///     fn columns(&self) -> &[Arc<str>] { &self.columns }
///     fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
///         let values = frame.aligned(&self.columns)?;
///         Ok(Detection::new(values.column(0).mapv(|value| (value - self.limit).max(0.0))))
///     }
///     fn clone_box(&self) -> Box<dyn FittedDetector> { Box::new(self.clone()) }
/// }
///
/// let model = Above { columns: Columns::new(["latency"])?, limit: 200.0 };
/// let frame = Frame::from_rows(model.columns.clone(), array![[250.0]])?;
/// assert_eq!(model.detect(frame.view())?.score()[0], 50.0);
/// # Ok::<(), Error>(())
/// ```
pub trait FittedDetector: Debug + Send + Sync + Payload {
    /// Stable tag in the model envelope.
    fn kind(&self) -> &'static str;

    /// The columns that it was trained on.
    fn columns(&self) -> &[Arc<str>];

    /// Rows before a row that its score depends on. A batch that starts with them is scored as the
    /// same rows within the whole series. By default none.
    ///
    /// A row never depends on anything else but the model and, as [`horizon`](Self::horizon) says,
    /// on later rows.
    fn context(&self) -> Context {
        Context::NONE
    }

    /// Rows after a row that may still revise its score. By default none: a score is final at once.
    fn horizon(&self) -> Context {
        Context::NONE
    }

    /// The version of the payload and of the crate that writes it, for the model envelope. A model of
    /// another crate than those of this workspace, or one whose
    /// [`VERSION`](crate::PersistentModel::VERSION) is not 1, returns [`writer!(Self)`](crate::writer).
    fn writer(&self) -> Writer {
        Writer::default()
    }

    /// Scores every row of `frame`. Columns are found by name: their order makes no difference,
    /// additional ones are ignored, a missing one is an error.
    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error>;

    /// Scores the rows after the first `skip`, which are only looked back to: what
    /// [`detect`](Self::detect) says of them. Without a [`context`](Self::context) the first rows are not looked
    /// at; a model with one overrides this where it need not score the rows that it looks back to.
    fn detect_after(&self, frame: FrameView<'_>, skip: usize) -> Result<Detection, Error> {
        let rows = skip.min(frame.nrows())..frame.nrows();
        if self.context().is_none() {
            return self.detect(frame.rows(rows));
        }
        Ok(self.detect(frame)?.rows(rows))
    }

    /// Contributions of the columns to the scores of some rows of `frame`, a row per element of
    /// `rows` and a column per column of the model: for models whose [`detect`](Self::detect) leaves
    /// them out because they cost more than the scores. `None`, the default, where detections have
    /// them, or the model has none.
    fn contributions(&self, frame: FrameView<'_>, rows: &[usize]) -> Result<Option<Array2<f64>>, Error> {
        let _ = (frame, rows);
        Ok(None)
    }

    /// Scores every row, with contributions where the model has any.
    fn explain(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let detection = self.detect(frame)?;
        if detection.contributions().is_some() {
            return Ok(detection);
        }
        let all: Vec<usize> = (0..frame.nrows()).collect();
        Ok(match self.contributions(frame, &all)? {
            Some(contributions) => detection.with_contributions(contributions),
            None => detection,
        })
    }

    /// Raw scores of the rows the model was trained on, each given by parts of the model that
    /// did not see the row (out-of-bag trees, say), one array per training frame in the order of
    /// training; NaN where every part saw it. `None`, the default, when the model has no such
    /// parts: then a calibrator has to be fitted on a hold-out.
    ///
    /// `histories` must be the frames that the model was trained on.
    fn out_of_sample_scores(&self, histories: &[FrameView<'_>]) -> Result<Option<Vec<Array1<f64>>>, Error> {
        let _ = histories;
        Ok(None)
    }

    /// The model of many frames as it applies to one of those that it was trained on, by position:
    /// with that frame's own scale, say. `None`, the default, when it is the same for all.
    fn of_frame(&self, index: usize) -> Option<Box<dyn FittedDetector>> {
        let _ = index;
        None
    }

    /// The model as it follows a series. By default it keeps the rows of [`context`](Self::context)
    /// and calls [`detect`](Self::detect) on them; override it where a state does better.
    fn live(&self) -> Box<dyn LiveDetector> {
        Box::new(SeriesWindow::new(self.clone_box()))
    }

    /// The model as an [`OnlineDetector`], if it can learn row by row.
    fn as_online(&mut self) -> Option<&mut dyn OnlineDetector> {
        None
    }

    /// A copy.
    fn clone_box(&self) -> Box<dyn FittedDetector>;
}

impl Clone for Box<dyn FittedDetector> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// A trained model that can go on learning from rows as they arrive.
///
/// ```
/// use funnelpulse_core::{
///     Columns, Detection, Error, FittedDetector, Frame, FrameView, OnlineDetector,
/// };
/// # use std::sync::Arc;
/// # use ndarray::array;
///
/// #[derive(Clone, Debug, serde::Serialize)]
/// struct Mean { columns: Columns, sum: f64, rows: usize }
///
/// # impl FittedDetector for Mean {
/// #     fn kind(&self) -> &'static str { "mean" }
/// #     fn columns(&self) -> &[Arc<str>] { &self.columns }
/// #     fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
/// #         let mean = self.sum / self.rows as f64;
/// #         Ok(Detection::new(frame.values().column(0).mapv(|value| (value - mean).abs())))
/// #     }
/// #     fn clone_box(&self) -> Box<dyn FittedDetector> { Box::new(self.clone()) }
/// # }
/// impl OnlineDetector for Mean {
///     fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error> {
///         self.sum += rows.values().column(0).sum();
///         self.rows += rows.nrows();
///         Ok(())
///     }
///     fn update_equals_refit(&self) -> bool { true }
/// }
///
/// let mut model = Mean { columns: Columns::new(["views"])?, sum: 10.0, rows: 1 };
/// let next = Frame::from_rows(model.columns.clone(), array![[4.0]])?;
/// assert_eq!(model.detect_next(next.view())?.score()[0], 6.0);
/// assert_eq!((model.sum, model.rows), (14.0, 2));
/// # Ok::<(), Error>(())
/// ```
pub trait OnlineDetector: FittedDetector {
    /// Learns from `rows`, which follow what it has learnt from so far.
    fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error>;

    /// True if updating gives the model that fitting to all rows at once would (up to rounding).
    /// When not, the documentation of the model says what it gives instead.
    fn update_equals_refit(&self) -> bool;

    /// Scores `rows` as [`FittedDetector::detect`] does, then learns from them.
    fn detect_next(&mut self, rows: FrameView<'_>) -> Result<Detection, Error> {
        let detection = self.detect(rows)?;
        self.update(rows)?;
        Ok(detection)
    }
}

/// [`Detector`] without its associated types: what an ensemble of many kinds holds.
///
/// Implemented for every [`Detector`]; don't implement it yourself.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{Columns, DynDetector, Frame};
/// use ndarray::array;
///
/// let detectors: Vec<Box<dyn DynDetector>> = vec![Box::new(Distance)];
/// let frame = Frame::from_rows(Columns::new(["views"])?, array![[1.0], [3.0]])?;
/// for detector in &detectors {
///     let model = detector.fit_dyn(frame.view())?;
///     assert_eq!(model.detect(frame.view())?.score().to_vec(), [1.0, 1.0]);
/// }
/// # Ok(())
/// # }
/// ```
pub trait DynDetector: Debug + Send + Sync {
    /// [`Detector::kind`].
    fn kind(&self) -> &'static str;

    /// [`Detector::fit`].
    fn fit_dyn(&self, history: FrameView<'_>) -> Result<Box<dyn FittedDetector>, Error>;

    /// [`Detector::fit_pooled`].
    fn fit_pooled_dyn(&self, histories: &[FrameView<'_>]) -> Result<Box<dyn FittedDetector>, Error>;

    /// [`Detector::fit_cross_validated`].
    fn fit_cross_validated_dyn(
        &self,
        history: FrameView<'_>,
        folds: usize,
    ) -> CrossValidated<Box<dyn FittedDetector>, Error>;
}

impl<D: Detector> DynDetector for D {
    fn kind(&self) -> &'static str {
        Detector::kind(self)
    }

    fn fit_dyn(&self, history: FrameView<'_>) -> Result<Box<dyn FittedDetector>, Error> {
        match self.fit(history) {
            Ok(model) => Ok(Box::new(model)),
            Err(error) => Err(Error::detector(Detector::kind(self), error)),
        }
    }

    fn fit_pooled_dyn(&self, histories: &[FrameView<'_>]) -> Result<Box<dyn FittedDetector>, Error> {
        match self.fit_pooled(histories) {
            Ok(model) => Ok(Box::new(model)),
            Err(error) => Err(Error::detector(Detector::kind(self), error)),
        }
    }
    fn fit_cross_validated_dyn(
        &self,
        history: FrameView<'_>,
        folds: usize,
    ) -> CrossValidated<Box<dyn FittedDetector>, Error> {
        match self.fit_cross_validated(history, folds) {
            Ok((model, held_out)) => Ok((Box::new(model), held_out)),
            Err(error) => Err(Error::detector(Detector::kind(self), error)),
        }
    }
}
