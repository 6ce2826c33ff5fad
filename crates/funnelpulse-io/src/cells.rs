//! The cells of a column, whatever type they are stored in.

pub(crate) mod clock;

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray},
    buffer::OffsetBuffer,
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        UInt32Type, UInt64Type,
    },
    error::ArrowError,
};
use funnelpulse_core::Timestamp;

pub(crate) use clock::Clock;
use clock::Reading;

/// Characters of a malformed value that are shown.
const SHOWN: usize = 60;

/// The values of a column and, by row, the texts that are none.
#[derive(Debug, Default)]
pub(crate) struct Cells<T> {
    pub(crate) values: Vec<T>,
    pub(crate) bad: BTreeMap<usize, String>,
    /// How many cells hold a proper value.
    pub(crate) good: usize,
    /// By row, what a value may mean too: the second time of a clock that is set back.
    pub(crate) later: BTreeMap<usize, T>,
}

impl<T> Cells<T> {
    fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), bad: BTreeMap::new(), good: 0, later: BTreeMap::new() }
    }

    fn good(&mut self, value: T) {
        self.values.push(value);
        self.good += 1;
    }

    fn bad(&mut self, missing: T, text: &str) {
        self.bad.insert(self.values.len(), text.chars().take(SHOWN).collect());
        self.values.push(missing);
    }

    pub(crate) fn append(&mut self, other: Self) {
        let offset = self.values.len();
        self.values.extend(other.values);
        self.bad.extend(other.bad.into_iter().map(|(row, text)| (row + offset, text)));
        self.later.extend(other.later.into_iter().map(|(row, value)| (row + offset, value)));
        self.good += other.good;
    }
}

/// Dictionaries and the like, decoded.
fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values),
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()),
        _ => Ok(array.clone()),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The same points in time on the clock of UTC, which, unlike others, can be rendered without a
/// time zone database.
pub(crate) fn in_utc(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(array, &DataType::Timestamp(*unit, Some("+00:00".into()))),
        _ => Ok(array.clone()),
    }
}

/// Any type as text; null stays null.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let array = in_utc(&plain(array)?)?;
    match array.data_type() {
        DataType::Int64 => integers_as_text(array.as_primitive::<Int64Type>()),
        DataType::UInt64 => integers_as_text(array.as_primitive::<UInt64Type>()),
        DataType::Int32 => integers_as_text(array.as_primitive::<Int32Type>()),
        DataType::UInt32 => integers_as_text(array.as_primitive::<UInt32Type>()),
        _ => Ok(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone()),
    }
}

/// Characters of a usual number of a user or a product.
const USUAL_DIGITS: usize = 10;

/// What casting makes of integers, in a fraction of the time: numbers of users and products are most
/// of what is read of events.
fn integers_as_text<T: ArrowPrimitiveType<Native: itoa::Integer>>(
    integers: &PrimitiveArray<T>,
) -> Result<StringArray, ArrowError> {
    let mut text = Vec::with_capacity(USUAL_DIGITS * integers.len());
    let mut ends = Vec::with_capacity(integers.len() + 1);
    ends.push(0);
    let mut digits = itoa::Buffer::new();
    for value in integers {
        if let Some(value) = value {
            text.extend_from_slice(digits.format(value).as_bytes());
        }
        ends.push(i32::try_from(text.len()).map_err(|_| ArrowError::OffsetOverflowError(text.len()))?);
    }
    StringArray::try_new(OffsetBuffer::new(ends.into()), text.into(), integers.nulls().cloned())
}

/// Numbers, with NaN for null. A NaN that is written as a value is a bad cell. `None` when the
/// type of the column can't hold numbers.
pub(crate) fn numbers(array: &ArrayRef) -> Result<Option<Cells<f64>>, ArrowError> {
    let array = plain(array)?;
    let mut cells = Cells::with_capacity(array.len());
    let data_type = array.data_type();
    if is_text(data_type) {
        for text in &texts(&array)? {
            match text.map(str::trim).filter(|t| !t.is_empty()) {
                None => cells.values.push(f64::NAN),
                Some(text) => match text.parse::<f64>() {
                    Ok(value) if !value.is_nan() => cells.good(value),
                    _ => cells.bad(f64::NAN, text),
                },
            }
        }
    } else if data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Null) {
        for value in cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>() {
            match value {
                None => cells.values.push(f64::NAN),
                Some(value) if value.is_nan() => cells.bad(f64::NAN, "NaN"),
                Some(value) => cells.good(value),
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(cells))
}

/// Times, as the clock reads them. `None` when the type of the column can't hold times.
pub(crate) fn times(array: &ArrayRef, clock: &Clock) -> Result<Option<Cells<Option<Timestamp>>>, ArrowError> {
    let array = plain(array)?;
    let mut cells = Cells::with_capacity(array.len());
    let data_type = array.data_type();
    if is_text(data_type) {
        // Of a log in order of time, several rows in a row have the same second.
        let texts = texts(&array)?;
        let mut latest = ("", Reading::None);
        for text in &texts {
            match text.filter(|t| !t.trim().is_empty()) {
                None => cells.values.push(None),
                Some(text) => {
                    if text != latest.0 {
                        latest = (text, clock.text(text));
                    }
                    cells.time(latest.1, || text.to_owned());
                }
            }
        }
    } else if data_type.is_integer() {
        for value in cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>() {
            match value {
                None => cells.values.push(None),
                Some(value) => cells.time(clock.integer(value), || value.to_string()),
            }
        }
    } else if data_type.is_numeric() {
        for value in cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>() {
            match value {
                None => cells.values.push(None),
                Some(value) => cells.time(clock.number(value), || value.to_string()),
            }
        }
    } else {
        let zone = match data_type {
            DataType::Timestamp(_, zone) => zone.clone(),
            DataType::Date32 | DataType::Date64 | DataType::Null => None,
            _ => return Ok(None),
        };
        let local = zone.is_none();
        let micros = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
        for value in micros.as_primitive::<TimestampMicrosecondType>() {
            match value.map(Timestamp::from_micros) {
                None => cells.values.push(None),
                Some(time) if local => cells.time(clock.local(time), || time.to_string()),
                Some(time) => cells.good(Some(time)),
            }
        }
    }
    Ok(Some(cells))
}

impl Cells<Option<Timestamp>> {
    fn time(&mut self, reading: Reading, text: impl FnOnce() -> String) {
        match reading {
            Reading::None => self.bad(None, &text()),
            Reading::One(time) => self.good(Some(time)),
            Reading::Two(first, second) => {
                self.later.insert(self.values.len(), Some(second));
                self.good(Some(first));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array, UInt64Array};

    use super::*;

    #[test]
    fn integers_are_written_as_a_cast_writes_them() {
        let values = vec![Some(0), None, Some(-7), Some(i64::MIN), Some(i64::MAX), Some(1_000_000)];
        let signed: ArrayRef = Arc::new(Int64Array::from(values));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![None, Some(0), Some(u64::MAX)]));
        let short: ArrayRef = Arc::new(Int32Array::from(vec![i32::MIN, 0, i32::MAX]));
        for array in [signed.slice(1, 4), signed, unsigned, short] {
            let cast = cast(&array, &DataType::Utf8).unwrap();
            assert_eq!(texts(&array).unwrap(), *cast.as_string::<i32>());
        }
    }
}
