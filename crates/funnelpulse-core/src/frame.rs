//! One multivariate time series.

use std::{ops::Range, sync::Arc};

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, CowArray, Ix2, Slice};
use serde::{Deserialize, Serialize};

use crate::{FrameError, Timestamp};

/// The column names of a frame: non-empty, unique, in order. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Arc<str>>", into = "Vec<Arc<str>>")]
pub struct Columns(Arc<[Arc<str>]>);

impl Columns {
    /// Checks the names. An error names the first one that is empty or a duplicate.
    ///
    /// ```
    /// use funnelpulse_core::Columns;
    ///
    /// let columns = Columns::new(["views", "carts"])?;
    /// assert_eq!(columns.position("carts"), Some(1));
    /// assert!(Columns::new(["views", "views"]).is_err());
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn new<I>(names: I) -> Result<Self, FrameError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        let mut seen = std::collections::BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(FrameError::UnnamedColumn { index });
            }
            if !seen.insert(name.clone()) {
                return Err(FrameError::DuplicateColumn { column: name.clone() });
            }
        }
        Ok(Self(names.into()))
    }

    /// Position of the column called `name`.
    ///
    /// ```
    /// use funnelpulse_core::Columns;
    ///
    /// let columns = Columns::new(["views", "carts"])?;
    /// assert_eq!((columns.position("views"), columns.position("clicks")), (Some(0), None));
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|c| &**c == name)
    }

    /// Position of the column called `name`, or an error that lists what there is.
    ///
    /// ```
    /// use funnelpulse_core::Columns;
    ///
    /// let error = Columns::new(["views", "carts"])?.require("clicks").unwrap_err();
    /// assert_eq!(error.to_string(), "column `clicks` is missing (there are: views, carts)");
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn require(&self, name: &str) -> Result<usize, FrameError> {
        self.position(name).ok_or_else(|| FrameError::MissingColumn { column: name.into(), available: self.joined() })
    }

    /// The names, comma separated.
    pub fn joined(&self) -> String {
        self.0.join(", ")
    }
}

impl std::ops::Deref for Columns {
    type Target = [Arc<str>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl TryFrom<Vec<Arc<str>>> for Columns {
    type Error = FrameError;

    fn try_from(names: Vec<Arc<str>>) -> Result<Self, FrameError> {
        Self::new(names)
    }
}

impl From<Columns> for Vec<Arc<str>> {
    fn from(columns: Columns) -> Self {
        columns.0.to_vec()
    }
}

/// One series: `n` times, `d` named columns, an `n x d` matrix of values.
///
/// A frame is always valid: its times are strictly increasing, its column names unique and its
/// values finite or NaN. **NaN means missing.** Detectors rely on this and don't check again.
///
/// ```
/// use funnelpulse_core::{Columns, Frame, Timestamp};
/// use ndarray::array;
///
/// let frame = Frame::new(
///     vec![Timestamp::from_seconds(0), Timestamp::from_seconds(3600)],
///     Columns::new(["views", "purchases"])?,
///     array![[120.0, 6.0], [98.0, f64::NAN]],
/// )?;
/// assert_eq!((frame.nrows(), frame.ncols()), (2, 2));
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    time: Vec<Timestamp>,
    columns: Columns,
    values: Array2<f64>,
}

impl Frame {
    /// Checks the parts and puts them together. `values` has a row per time and a column per name.
    ///
    /// An error names the row, counted from 0: shapes that differ, a time that is not later than
    /// the one before, an infinite value.
    pub fn new(time: Vec<Timestamp>, columns: Columns, values: Array2<f64>) -> Result<Self, FrameError> {
        if values.nrows() != time.len() || values.ncols() != columns.len() {
            return Err(FrameError::Shape {
                rows: values.nrows(),
                columns: values.ncols(),
                times: time.len(),
                names: columns.len(),
            });
        }
        for (i, pair) in time.windows(2).enumerate() {
            if pair[1] == pair[0] {
                return Err(FrameError::DuplicateTime { row: i + 1, time: pair[1] });
            }
            if pair[1] < pair[0] {
                return Err(FrameError::UnsortedTime { row: i + 1, time: pair[1], previous: pair[0] });
            }
        }
        if let Some(((row, column), &value)) = values.indexed_iter().find(|(_, v)| v.is_infinite()) {
            return Err(FrameError::Infinite { row, column: columns[column].clone(), value });
        }
        let values = if values.is_standard_layout() { values } else { values.as_standard_layout().into_owned() };
        Ok(Self { time, columns, values })
    }

    /// A frame whose rows have no time of their own: row `i` is `i` seconds after the epoch.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame, Timestamp};
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_rows(Columns::new(["views"])?, array![[3.0], [5.0]])?;
    /// assert_eq!(frame.time()[1], Timestamp::from_seconds(1));
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn from_rows(columns: Columns, values: Array2<f64>) -> Result<Self, FrameError> {
        let time = (0..values.nrows()).map(|i| Timestamp::from_seconds(i as i64)).collect();
        Self::new(time, columns, values)
    }

    /// A frame out of columns that are slices, with the times of any library: `jiff`, the standard library's
    /// `SystemTime`, and behind the features `chrono` and `time` those of these crates.
    ///
    /// ```
    /// use funnelpulse_core::{Frame, Timestamp};
    ///
    /// let time: Vec<Timestamp> = (0..3).map(|hour| Timestamp::from_seconds(3600 * hour)).collect();
    /// let (views, carts) = (vec![120.0, 98.0, 130.0], vec![12.0, f64::NAN, 9.0]);
    /// let frame = Frame::from_series(&time, &[("views", &views), ("carts", &carts)])?;
    /// assert_eq!((frame.nrows(), frame.column("views")?[2]), (3, 130.0));
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    ///
    /// # Errors
    /// A column with more or fewer values than there are times, and those of [`new`](Self::new).
    pub fn from_series<T>(time: &[T], series: &[(&str, &[f64])]) -> Result<Self, FrameError>
    where
        T: Clone + Into<Timestamp>,
    {
        let columns = Columns::new(series.iter().map(|(name, _)| *name))?;
        if let Some((_, values)) = series.iter().find(|(_, values)| values.len() != time.len()) {
            return Err(FrameError::Shape {
                rows: values.len(),
                columns: series.len(),
                times: time.len(),
                names: series.len(),
            });
        }
        let values = Array2::from_shape_fn((time.len(), series.len()), |(row, column)| series[column].1[row]);
        Self::new(time.iter().cloned().map(Into::into).collect(), columns, values)
    }

    /// A borrowed view of the whole frame.
    pub fn view(&self) -> FrameView<'_> {
        FrameView { time: &self.time, columns: &self.columns, values: self.values.view() }
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.time.len()
    }

    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.columns.len()
    }

    /// The time axis.
    pub fn time(&self) -> &[Timestamp] {
        &self.time
    }

    /// The column names.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The values, one row per time.
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// The values of one column.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame};
    /// use ndarray::array;
    ///
    /// let columns = Columns::new(["views", "carts"])?;
    /// let frame = Frame::from_rows(columns, array![[3.0, 1.0], [5.0, 2.0]])?;
    /// assert_eq!(frame.column("carts")?.sum(), 3.0);
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn column(&self, name: &str) -> Result<ArrayView1<'_, f64>, FrameError> {
        Ok(self.values.column(self.columns.require(name)?))
    }

    /// The parts of the frame.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame};
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_rows(Columns::new(["views"])?, array![[3.0], [5.0]])?;
    /// let (time, columns, values) = frame.into_parts();
    /// let doubled = Frame::new(time, columns, 2.0 * values)?;
    /// assert_eq!(doubled.values(), array![[6.0], [10.0]]);
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn into_parts(self) -> (Vec<Timestamp>, Columns, Array2<f64>) {
        (self.time, self.columns, self.values)
    }
}

/// A borrowed [`Frame`], or a run of its rows. Copies freely.
///
/// ```
/// use funnelpulse_core::{Columns, Frame};
/// use ndarray::array;
///
/// let frame = Frame::from_rows(Columns::new(["views"])?, array![[3.0], [5.0]])?;
/// let view = frame.view();
/// assert_eq!((view.nrows(), view.column("views")?[1]), (2, 5.0));
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    time: &'a [Timestamp],
    columns: &'a Columns,
    values: ArrayView2<'a, f64>,
}

impl<'a> FrameView<'a> {
    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.time.len()
    }

    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.columns.len()
    }

    /// The time axis.
    pub fn time(&self) -> &'a [Timestamp] {
        self.time
    }

    /// The column names.
    pub fn columns(&self) -> &'a Columns {
        self.columns
    }

    /// The values, one row per time.
    pub fn values(&self) -> ArrayView2<'a, f64> {
        self.values
    }

    /// The values of one column.
    pub fn column(&self, name: &str) -> Result<ArrayView1<'a, f64>, FrameError> {
        let index = self.columns.require(name)?;
        Ok(self.values.index_axis_move(Axis(1), index))
    }

    /// A run of rows.
    ///
    /// # Panics
    /// When the range reaches past the last row.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame};
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_rows(Columns::new(["views"])?, array![[3.0], [5.0], [4.0]])?;
    /// assert_eq!(frame.view().rows(1..3).values(), array![[5.0], [4.0]]);
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn rows(&self, range: Range<usize>) -> FrameView<'a> {
        let mut values = self.values;
        values.slice_axis_inplace(Axis(0), Slice::from(range.clone()));
        FrameView { time: &self.time[range], columns: self.columns, values }
    }

    /// The values, `n x columns.len()`, in the order of `columns`: borrowed where the order already
    /// agrees, copied otherwise. Columns that are not asked for are left out; one that is not there
    /// is an error.
    ///
    /// This is how a fitted detector reads its input, so that reordered or additional columns
    /// never change a score.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame};
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_rows(Columns::new(["views", "carts"])?, array![[3.0, 1.0]])?;
    /// let wanted = Columns::new(["carts", "views"])?;
    /// assert_eq!(frame.view().aligned(&wanted)?, array![[1.0, 3.0]]);
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn aligned(&self, columns: &[Arc<str>]) -> Result<CowArray<'a, f64, Ix2>, FrameError> {
        if **self.columns == *columns {
            return Ok(self.values.into());
        }
        let indices = columns.iter().map(|c| self.columns.require(c)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.values.select(Axis(1), &indices).into())
    }

    /// An owned frame with just these columns, in this order; an error if one is missing.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Frame};
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_rows(Columns::new(["views", "carts"])?, array![[3.0, 1.0]])?;
    /// let carts = frame.view().select(&Columns::new(["carts"])?)?;
    /// assert_eq!((carts.ncols(), carts.values()[[0, 0]]), (1, 1.0));
    /// # Ok::<(), funnelpulse_core::FrameError>(())
    /// ```
    pub fn select(&self, columns: &Columns) -> Result<Frame, FrameError> {
        let values = self.aligned(columns)?.into_owned();
        Ok(Frame { time: self.time.to_vec(), columns: columns.clone(), values })
    }

    /// The same view with a shorter lifetime.
    pub fn reborrow<'b>(self) -> FrameView<'b>
    where
        'a: 'b,
    {
        FrameView { time: self.time, columns: self.columns, values: self.values.reborrow() }
    }

    /// An owned copy.
    pub fn to_frame(&self) -> Frame {
        Frame { time: self.time.to_vec(), columns: self.columns.clone(), values: self.values.to_owned() }
    }
}

impl<'a> From<&'a Frame> for FrameView<'a> {
    fn from(frame: &'a Frame) -> Self {
        frame.view()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn times(seconds: &[i64]) -> Vec<Timestamp> {
        seconds.iter().map(|&s| Timestamp::from_seconds(s)).collect()
    }

    #[test]
    fn refuses_what_is_not_a_series() {
        let columns = Columns::new(["a"]).unwrap();
        let shape = Frame::new(times(&[0]), columns.clone(), array![[1.0], [2.0]]);
        assert!(matches!(shape, Err(FrameError::Shape { rows: 2, times: 1, .. })));
        let duplicate = Frame::new(times(&[0, 5, 5]), columns.clone(), array![[1.0], [2.0], [3.0]]);
        assert!(matches!(duplicate, Err(FrameError::DuplicateTime { row: 2, .. })));
        let unsorted = Frame::new(times(&[0, 5, 4]), columns.clone(), array![[1.0], [2.0], [3.0]]);
        assert!(matches!(unsorted, Err(FrameError::UnsortedTime { row: 2, .. })));
        let infinite = Frame::new(times(&[0, 5]), columns, array![[1.0], [f64::NEG_INFINITY]]);
        assert!(matches!(infinite, Err(FrameError::Infinite { row: 1, .. })));
        assert!(matches!(Columns::new(["a", ""]), Err(FrameError::UnnamedColumn { index: 1 })));
    }

    #[test]
    fn aligns_by_name() {
        let frame =
            Frame::from_rows(Columns::new(["a", "b", "c"]).unwrap(), array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).unwrap();
        let wanted = Columns::new(["c", "a"]).unwrap();
        assert_eq!(frame.view().aligned(&wanted).unwrap(), array![[3.0, 1.0], [6.0, 4.0]]);
        let error = frame.view().aligned(&[Arc::from("z")]).unwrap_err();
        assert_eq!(error.to_string(), "column `z` is missing (there are: a, b, c)");
    }

    #[test]
    fn column_major_input_is_accepted() {
        let values = array![[1.0, 2.0], [3.0, 4.0]].reversed_axes();
        let frame = Frame::from_rows(Columns::new(["a", "b"]).unwrap(), values).unwrap();
        assert!(frame.values().is_standard_layout());
        assert_eq!(frame.column("b").unwrap().to_vec(), [3.0, 4.0]);
    }

    #[test]
    fn rows_and_columns_are_counted() {
        let frame = Frame::from_rows(Columns::new(["a", "b", "c"]).unwrap(), array![[1.0, 2.0, 3.0]]).unwrap();
        assert_eq!((frame.nrows(), frame.ncols()), (1, 3));
    }
}
