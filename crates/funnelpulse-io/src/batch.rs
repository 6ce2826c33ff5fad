//! Between panels and Arrow.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema},
};
use funnelpulse_core::{Columns, Panel, SeriesKey};
use funnelpulse_features::PanelSpec;

use crate::{IoError, PanelRead, Table, read_panel};

/// Reads a panel from Arrow batches; as [`read_panel`] otherwise.
pub fn panel_from_batches(batches: &[RecordBatch], spec: &PanelSpec) -> Result<PanelRead, IoError> {
    read_panel(&Table::from_batches("Arrow batches", batches.to_vec())?, spec)
}

/// A panel as one Arrow batch: time (UTC, microseconds), keys and stored metrics under the names of
/// the specification, series after series. Missing values are null.
///
/// ```
/// use funnelpulse_core::{Frame, Panel};
/// use funnelpulse_features::PanelSpec;
/// use funnelpulse_io::{panel_from_batches, panel_to_batch};
/// use ndarray::array;
///
/// let spec = PanelSpec { step_seconds: 1, ..PanelSpec::funnel() };
/// let mut panel = Panel::new(spec.columns());
/// panel.insert("runail", Frame::from_rows(spec.columns(), array![[5.0, 1.0, 1.0, f64::NAN]])?)?;
/// let batch = panel_to_batch(&panel, &spec)?;
/// assert_eq!(batch.num_columns(), 6);
/// let back = panel_from_batches(&[batch], &spec)?.panel;
/// assert_eq!(back.get("runail").unwrap().column("views")?[0], 5.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn panel_to_batch(panel: &Panel, spec: &PanelSpec) -> Result<RecordBatch, IoError> {
    spec.validate()?;
    let columns: Columns = spec.columns();
    let mut fields = vec![Field::new(&spec.time, timestamp_type(), false)];
    let times = panel.iter().flat_map(|(_, frame)| frame.time().iter().map(|t| t.as_micros()));
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))];
    let parts: Vec<Vec<String>> = panel.keys().map(|key| split_key(key, spec.keys.len())).collect();
    for (index, name) in spec.keys.iter().enumerate() {
        let rows = panel
            .iter()
            .zip(&parts)
            .flat_map(|((_, frame), parts)| std::iter::repeat_n(parts.get(index).map(String::as_str), frame.nrows()));
        fields.push(Field::new(name, DataType::Utf8, true));
        arrays.push(Arc::new(rows.collect::<StringArray>()));
    }
    for name in columns.iter() {
        let position = panel.columns().require(name)?;
        let values = panel.iter().flat_map(|(_, frame)| frame.values().column(position).to_vec());
        fields.push(Field::new(name.as_ref(), DataType::Float64, true));
        arrays.push(Arc::new(values.map(|v| (!v.is_nan()).then_some(v)).collect::<Float64Array>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(IoError::arrow("the panel".as_ref()))
}

fn timestamp_type() -> DataType {
    DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()))
}

/// The parts of the name of a series: undoes [`SeriesKey::from_parts`].
pub fn split_key(key: &SeriesKey, parts: usize) -> Vec<String> {
    if parts <= 1 {
        return vec![key.as_str().to_owned()];
    }
    let mut found = vec![String::new()];
    let mut letters = key.as_str().chars();
    while let Some(letter) = letters.next() {
        match letter {
            '/' => found.push(String::new()),
            '\\' => found.last_mut().expect("never empty").extend(letters.next()),
            other => found.last_mut().expect("never empty").push(other),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_split_as_they_were_joined() {
        for parts in [["a", "b"], ["a/b", "c"], ["a\\", "/"], ["", "x"]] {
            assert_eq!(split_key(&SeriesKey::from_parts(&parts), 2), parts);
        }
    }
}
