//! Keys of messages: a JSON array of the values of some columns.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array},
    compute::{cast, take},
    datatypes::{DataType, TimestampMicrosecondType},
};

use super::rows_error;
use crate::StreamError;

/// The key columns of some rows.
pub(super) struct Keys(Vec<Column>);

/// A column as text.
struct Column {
    texts: StringArray,
    /// The text of each row; `None`: of row n it is text n.
    places: Option<Vec<u32>>,
}

impl Keys {
    /// The keys that these columns make.
    pub(super) fn new(columns: &[String], rows: &RecordBatch) -> Result<Self, StreamError> {
        let column = |name: &String| {
            let column = rows.column_by_name(name).ok_or_else(|| StreamError::Rows {
                sink: "Kafka",
                reason: format!("no column `{name}`, which is part of the key"),
            })?;
            Column::new(column).map_err(rows_error("Kafka"))
        };
        Ok(Self(columns.iter().map(column).collect::<Result<_, _>>()?))
    }

    /// Replaces `key` by that of a row.
    pub(super) fn write(&self, row: usize, key: &mut Vec<u8>) {
        key.clear();
        for column in &self.0 {
            key.push(if key.is_empty() { b'[' } else { b',' });
            // A vector takes everything, and a text can be written.
            let _ = serde_json::to_writer(&mut *key, &column.text(row));
        }
        key.push(b']');
    }
}

impl Column {
    fn new(column: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
            return Ok(Self { texts: cast(column, &DataType::Utf8)?.as_string().clone(), places: None });
        };
        // All rows of a window have one time, and a time takes longer to write than all else.
        let (mut firsts, mut places) = (Vec::new(), Vec::with_capacity(times.len()));
        for row in 0..times.len() {
            let is_other =
                row == 0 || times.is_null(row) != times.is_null(row - 1) || times.value(row) != times.value(row - 1);
            if is_other {
                firsts.push(row as u32);
            }
            places.push(firsts.len() as u32 - 1);
        }
        let texts = cast(&take(column, &UInt32Array::from(firsts), None)?, &DataType::Utf8)?;
        Ok(Self { texts: texts.as_string().clone(), places: Some(places) })
    }

    fn text(&self, row: usize) -> Option<&str> {
        let place = self.places.as_ref().map_or(row, |places| places[row] as usize);
        self.texts.is_valid(place).then(|| self.texts.value(place))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    #[test]
    fn keys_are_arrays_of_texts() {
        let times =
            TimestampMicrosecondArray::from(vec![Some(0), Some(0), None, Some(3_600_000_000)]).with_timezone("UTC");
        let names = StringArray::from(vec![Some("a\"b"), None, Some("c"), Some("d")]);
        let columns = [("time", Arc::new(times) as ArrayRef), ("name", Arc::new(names) as ArrayRef)];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap();
        let keys = Keys::new(&["name".into(), "time".into()], &rows).unwrap();
        let mut key = Vec::new();
        let mut text = |row: usize| {
            keys.write(row, &mut key);
            String::from_utf8(key.clone()).unwrap()
        };
        assert_eq!(text(0), r#"["a\"b","1970-01-01T00:00:00Z"]"#);
        assert_eq!(text(1), r#"[null,"1970-01-01T00:00:00Z"]"#);
        assert_eq!(text(2), r#"["c",null]"#);
        assert_eq!(text(3), r#"["d","1970-01-01T01:00:00Z"]"#);
        let error = Keys::new(&["other".into()], &rows).err().unwrap().to_string();
        assert!(error.contains("no column `other`, which is part of the key"), "{error}");
    }
}
