//! Detectors on plain numbers: slices, vectors and arrays, without frames.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::{Columns, Detector, Error, FittedDetector, Frame, FrameError};

/// Numbers that are rows: a series of one column, or a matrix with a row per time. NaN is a missing value.
///
/// A single column is called `value`, several are `x0`, `x1` and so on; row `i` is `i` seconds after the epoch.
///
/// ```
/// use funnelpulse_core::ToFrame;
/// use ndarray::array;
///
/// assert_eq!([3.0, 5.0].to_frame()?.columns().joined(), "value");
/// assert_eq!(array![[3.0, 1.0], [5.0, 2.0]].view().to_frame()?.columns().joined(), "x0, x1");
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
pub trait ToFrame {
    /// A frame of these numbers.
    ///
    /// # Errors
    /// An infinite value.
    fn to_frame(&self) -> Result<Frame, FrameError>;
}

impl ToFrame for [f64] {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        ArrayView1::from(self).insert_axis(Axis(1)).to_frame()
    }
}

impl<const N: usize> ToFrame for [f64; N] {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        self.as_slice().to_frame()
    }
}

impl ToFrame for Vec<f64> {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        self.as_slice().to_frame()
    }
}

impl ToFrame for Array1<f64> {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        self.view().to_frame()
    }
}

impl ToFrame for ArrayView1<'_, f64> {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        self.insert_axis(Axis(1)).to_frame()
    }
}

impl ToFrame for Array2<f64> {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        self.view().to_frame()
    }
}

impl ToFrame for ArrayView2<'_, f64> {
    fn to_frame(&self) -> Result<Frame, FrameError> {
        let names = match self.ncols() {
            1 => vec!["value".to_owned()],
            many => (0..many).map(|column| format!("x{column}")).collect(),
        };
        Frame::from_rows(Columns::new(names)?, self.to_owned())
    }
}

/// What every [`Detector`] does with plain numbers.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/distance.rs"));
/// # use distance::{Distance, DistanceModel};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::{DetectorExt, FittedExt};
///
/// let history = [1.0, 2.0, 3.0, 2.0];
/// let model = Distance.fit_data(&history)?;
/// assert_eq!(model.scores(&[2.0, 7.0])?.to_vec(), [0.0, 5.0]);
///
/// let odd = Distance.fit_predict(&[1.0, 1.0, 1.0, 9.0], 0.25)?;
/// assert_eq!(odd, [false, false, false, true]);
/// # Ok(())
/// # }
/// ```
pub trait DetectorExt: Detector {
    /// Learns from plain numbers.
    ///
    /// # Errors
    /// Those of [`Detector::fit`], and an infinite value.
    fn fit_data<D: ToFrame + ?Sized>(&self, values: &D) -> Result<Self::Fitted, Error> {
        let frame = values.to_frame()?;
        self.fit(frame.view()).map_err(|error| Error::detector(self.kind(), error))
    }

    /// Learns from plain numbers and flags the rows among them that have the highest scores: a share of at most
    /// `contamination`, 0 to 0.5. Rows without a score, and rows as high as the threshold when too many are, are not
    /// flagged.
    ///
    /// # Errors
    /// Those of [`fit_data`](Self::fit_data).
    fn fit_predict<D: ToFrame + ?Sized>(&self, values: &D, contamination: f64) -> Result<Vec<bool>, Error> {
        let frame = values.to_frame()?;
        let model = self.fit(frame.view()).map_err(|error| Error::detector(self.kind(), error))?;
        let scores = model.detect(frame.view())?.into_score();
        let mut order: Vec<f64> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
        order.sort_by(|a, b| b.total_cmp(a));
        let flagged = (contamination.clamp(0.0, 0.5) * order.len() as f64) as usize;
        // The highest score that is no longer flagged.
        let limit = order.get(flagged).copied().unwrap_or(f64::INFINITY);
        Ok(scores.iter().map(|score| *score > limit).collect())
    }
}

impl<D: Detector + ?Sized> DetectorExt for D {}

/// What every [`FittedDetector`] does with plain numbers.
///
/// See [`DetectorExt`] for an example.
pub trait FittedExt: FittedDetector {
    /// The raw score of each row, larger where it is more anomalous; NaN where there is none.
    ///
    /// # Errors
    /// Those of [`FittedDetector::detect`], and an infinite value.
    fn scores<D: ToFrame + ?Sized>(&self, values: &D) -> Result<Array1<f64>, Error> {
        let frame = values.to_frame()?;
        let (time, columns, values) = frame.into_parts();
        // Numbers without names are the columns of the model, in its order.
        let columns = match self.columns() {
            own if own.len() == columns.len() => Columns::new(own.iter().cloned())?,
            _ => columns,
        };
        Ok(self.detect(Frame::new(time, columns, values)?.view())?.into_score())
    }
}

impl<M: FittedDetector + ?Sized> FittedExt for M {}
