//! Windows that closed.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use funnelpulse_core::{Columns, Frame, FrameError, Panel, SeriesKey, Timestamp};
use funnelpulse_features::Counts;
use funnelpulse_io::split_key;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::StreamError;

/// The columns of a window's rows, as in the table of the batch.
pub const GOLD_COLUMNS: [&str; 4] = ["views", "carts", "purchases", "revenue"];

/// Whether a window is an official one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Aligned to the epoch, and complete: its rows are the rows of the batch.
    Final,
    /// A trailing window that ends between two official ones: an early result.
    Early,
}

/// One series in one window. Counts are integers, so that windows of several instances add up exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRow {
    /// The series.
    pub series: SeriesKey,
    /// Its counts; all zero where the feed was alive and the series had no event.
    pub counts: Counts,
}

impl WindowRow {
    /// The values in the order of [`GOLD_COLUMNS`].
    pub fn values(&self) -> [f64; 4] {
        let Counts { views, carts, purchases, .. } = self.counts;
        [views as f64, carts as f64, purchases as f64, self.counts.revenue()]
    }
}

/// A window with the rows of all series of the site, in order of their names: all series that had an event in it or
/// in an earlier window.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::Counts;
/// use funnelpulse_streaming::{ClosedWindow, WindowKind, WindowRow};
///
/// let start = Timestamp::from_seconds(7200);
/// let counts = Counts { views: 3, carts: 1, purchases: 1, micro_revenue: 2_500_000 };
/// let rows = vec![WindowRow { series: "runail".into(), counts }];
/// let window = ClosedWindow { start, end: start.offset(Timestamp::HOUR), kind: WindowKind::Final, rows };
/// let panel = window.panel()?;
/// assert_eq!(panel.get("runail").unwrap().values(), ndarray::array![[3.0, 1.0, 1.0, 2.5]]);
/// assert_eq!(window.batch(&["brand".into()])?.num_rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedWindow {
    /// Its first moment.
    pub start: Timestamp,
    /// The moment after its last.
    pub end: Timestamp,
    /// Whether it is official.
    pub kind: WindowKind,
    /// One row per series.
    pub rows: Vec<WindowRow>,
}

impl ClosedWindow {
    /// The rows as a panel with one row per series.
    pub fn panel(&self) -> Result<Panel, FrameError> {
        let columns = Columns::new(GOLD_COLUMNS)?;
        let mut panel = Panel::new(columns.clone());
        for row in &self.rows {
            let values = Array2::from_shape_fn((1, 4), |(_, column)| row.values()[column]);
            panel.insert(row.series.clone(), Frame::new(vec![self.start], columns.clone(), values)?)?;
        }
        Ok(panel)
    }

    /// The rows as an Arrow batch: `window_start` (UTC, microseconds), the key columns, and [`GOLD_COLUMNS`].
    pub fn batch(&self, keys: &[String]) -> Result<RecordBatch, StreamError> {
        gold_batch(std::slice::from_ref(self), keys)
    }
}

/// The rows of several windows as one Arrow batch.
pub fn gold_batch(windows: &[ClosedWindow], keys: &[String]) -> Result<RecordBatch, StreamError> {
    let rows = windows.iter().map(|w| w.rows.len()).sum();
    let mut times = Vec::with_capacity(rows);
    let mut names: Vec<StringBuilder> = keys.iter().map(|_| StringBuilder::with_capacity(rows, rows * 8)).collect();
    let mut values: [Float64Builder; 4] = std::array::from_fn(|_| Float64Builder::with_capacity(rows));
    for window in windows {
        times.resize(times.len() + window.rows.len(), window.start.as_micros());
        for row in &window.rows {
            append_names(&mut names, &row.series);
            for (builder, value) in values.iter_mut().zip(row.values()) {
                builder.append_value(value);
            }
        }
    }
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Field::new("window_start", timestamp, false)];
    fields.extend(keys.iter().map(|name| Field::new(name, DataType::Utf8, true)));
    fields.extend(GOLD_COLUMNS.map(|name| Field::new(name, DataType::Float64, true)));
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))];
    arrays.extend(names.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
    arrays.extend(values.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|e| StreamError::Rows { sink: "gold", reason: e.to_string() })
}

fn append_names(names: &mut [StringBuilder], series: &SeriesKey) {
    if let [only] = names {
        only.append_value(series.as_str());
        return;
    }
    let parts = split_key(series, names.len());
    for (builder, part) in names.iter_mut().zip(&parts) {
        builder.append_value(part);
    }
}
