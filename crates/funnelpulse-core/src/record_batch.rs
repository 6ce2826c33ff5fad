//! Frames from Arrow.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType},
};
use ndarray::Array2;

use crate::{Columns, Frame, FrameError, Timestamp};

/// The first column of timestamps or dates is the time, those of numbers and booleans are the values; a null is a
/// missing value. Without a column of times the rows have none.
///
/// ```
/// # #[cfg(feature = "arrow")] {
/// use std::sync::Arc;
/// use arrow::array::{Float64Array, RecordBatch, TimestampSecondArray};
/// use funnelpulse_core::Frame;
///
/// let time = Arc::new(TimestampSecondArray::from(vec![0, 3600])) as _;
/// let views = Arc::new(Float64Array::from(vec![Some(120.0), None])) as _;
/// let frame = Frame::try_from(&RecordBatch::try_from_iter([("time", time), ("views", views)])?)?;
/// assert_eq!(frame.columns().joined(), "views");
/// assert_eq!(frame.time()[1].to_string(), "1970-01-01T01:00:00Z");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<&RecordBatch> for Frame {
    type Error = FrameError;

    fn try_from(batch: &RecordBatch) -> Result<Self, FrameError> {
        let schema = batch.schema_ref();
        let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        let time = schema.fields().iter().position(|field| is_time(field.data_type()));
        let others = || (0..batch.num_columns()).filter(|column| Some(*column) != time);
        let name = |column: usize| Arc::<str>::from(schema.field(column).name().as_str());
        let columns = Columns::new(others().map(name))?;
        let data =
            others().map(|column| numbers(&name(column), batch.column(column))).collect::<Result<Vec<_>, _>>()?;
        let values = Array2::from_shape_fn((batch.num_rows(), data.len()), |(row, column)| data[column][row]);
        match time {
            Some(time) => Self::new(times(&name(time), batch.column(time))?, columns, values),
            None => Self::from_rows(columns, values),
        }
    }
}

impl TryFrom<RecordBatch> for Frame {
    type Error = FrameError;

    fn try_from(batch: RecordBatch) -> Result<Self, FrameError> {
        Self::try_from(&batch)
    }
}

fn wrong_type(column: &Arc<str>, array: &ArrayRef) -> FrameError {
    FrameError::ColumnType { column: column.clone(), found: array.data_type().to_string() }
}

fn numbers(column: &Arc<str>, array: &ArrayRef) -> Result<Vec<f64>, FrameError> {
    if !array.data_type().is_numeric() && *array.data_type() != DataType::Boolean {
        return Err(wrong_type(column, array));
    }
    let values = cast(array, &DataType::Float64).map_err(|_| wrong_type(column, array))?;
    Ok(values.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

fn times(column: &Arc<str>, array: &ArrayRef) -> Result<Vec<Timestamp>, FrameError> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros =
        cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone)).map_err(|_| wrong_type(column, array))?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let missing = |row: usize| FrameError::Timestamp { text: format!("a missing value in row {row} of `{column}`") };
    micros.iter().enumerate().map(|(row, time)| time.map(Timestamp::from_micros).ok_or_else(|| missing(row))).collect()
}
