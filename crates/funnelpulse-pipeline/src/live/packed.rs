//! Rows of a series in few bytes.
//!
//! Steps between times repeat, and counts are small whole numbers: as differences and variable-length integers they
//! take a few bits to three bytes instead of eight each. Nothing is rounded.

use funnelpulse_core::{Columns, Frame, FrameError, Timestamp};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Beyond this, whole numbers are no longer exact in a float.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The rows of a frame.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Packed {
    /// The first time in microseconds, then the first step, then how much each step is longer than the one before.
    time: Vec<i64>,
    columns: Vec<Column>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Column {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Column {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let is_whole = |v: f64| v.fract() == 0.0 && v.abs() <= MOST_WHOLE && (v != 0.0 || v.is_sign_positive());
        if values.clone().all(is_whole) {
            return Self::Whole(values.map(|v| v as i64).collect());
        }
        Self::Real(values.collect())
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }

    fn at(&self, row: usize) -> f64 {
        match self {
            Self::Whole(values) => values[row] as f64,
            Self::Real(values) => values[row],
        }
    }
}

impl Packed {
    pub(super) fn of(frame: &Frame) -> Self {
        let (mut before, mut step) = (0, 0_i64);
        let packed = |(row, time): (usize, &Timestamp)| {
            let next = time.as_micros().wrapping_sub(before);
            let written = if row == 0 { next } else { next.wrapping_sub(step) };
            step = if row == 0 { 0 } else { next };
            before = time.as_micros();
            written
        };
        let time = frame.time().iter().enumerate().map(packed).collect();
        let columns = frame.values().columns().into_iter().map(|column| Column::of(column.iter().copied())).collect();
        Self { time, columns }
    }

    pub(super) fn rows(&self) -> usize {
        self.time.len()
    }

    /// The rows, if they are whole: the bytes may come from anywhere.
    pub(super) fn frame(&self, columns: &Columns) -> Result<Frame, FrameError> {
        let rows = self.time.len();
        let is_whole = self.columns.len() == columns.len() && self.columns.iter().all(|column| column.len() == rows);
        if rows > 0 && !is_whole {
            let (times, names) = (rows, columns.len());
            let rows = self.columns.first().map_or(0, Column::len);
            return Err(FrameError::Shape { rows, columns: self.columns.len(), times, names });
        }
        let (mut now, mut step) = (0_i64, 0_i64);
        let mut time = Vec::with_capacity(rows);
        for (row, written) in self.time.iter().enumerate() {
            if row == 0 {
                now = *written;
            } else {
                step = step.wrapping_add(*written);
                now = now.wrapping_add(step);
            }
            time.push(Timestamp::from_micros(now));
        }
        let values = Array2::from_shape_fn((rows, columns.len()), |(row, column)| self.columns[column].at(row));
        Frame::new(time, columns.clone(), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(time: Vec<i64>, values: Vec<[f64; 2]>) -> Frame {
        let time = time.into_iter().map(Timestamp::from_micros).collect();
        let values = Array2::from_shape_fn((values.len(), 2), |(row, column)| values[row][column]);
        Frame::new(time, Columns::new(["views", "revenue"]).unwrap(), values).unwrap()
    }

    #[test]
    fn rows_come_back_bit_for_bit() {
        let hour = Timestamp::HOUR;
        let odd = [f64::NAN, -0.0, 1e300, 0.1];
        let frames = [
            frame(vec![], vec![]),
            frame(vec![i64::MIN], vec![[1.0, 2.0]]),
            frame(vec![-5, hour, 2 * hour, 7 * hour], odd.map(|v| [v, MOST_WHOLE]).to_vec()),
        ];
        for frame in &frames {
            let bytes = postcard::to_allocvec(&Packed::of(frame)).unwrap();
            let again = postcard::from_bytes::<Packed>(&bytes).unwrap().frame(frame.columns()).unwrap();
            assert_eq!(again.time(), frame.time());
            assert!(again.values().iter().zip(frame.values()).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn hours_of_counts_take_few_bytes_and_broken_parts_are_errors() {
        let hours: Vec<i64> = (0..1000).map(|h| h * Timestamp::HOUR).collect();
        let counts = frame(hours, (0..1000).map(|h| [f64::from(h % 90), 0.5]).collect());
        let packed = Packed::of(&counts);
        assert!(postcard::to_allocvec(&packed).unwrap().len() < 1000 * 11);
        let broken = Packed { time: vec![1, 2], ..packed };
        assert!(broken.frame(counts.columns()).is_err());
        let backwards =
            Packed { time: vec![10, -20, 0], columns: vec![Column::Whole(vec![1; 3]), Column::Real(vec![0.0; 3])] };
        assert!(backwards.frame(counts.columns()).is_err());
    }
}
