//! JSON lines: an object per row.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayBuilder, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder},
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use serde_json::{Map, Value};

use super::{
    budget::{Budget, Meter, Metered},
    file::{FileTable, Pieces},
};
use crate::IoError;

/// Bytes in memory of where a row starts in the file.
const LINE_BYTES: u64 = 8;

/// Reads a file as one piece, after one without rows. Values are kept as text, as those of CSV are; objects and
/// lists in JSON. A column is any name of any row, in the order in which they first come.
pub(super) fn read(path: &Path, gzip: bool, budget: &mut Budget, take: Pieces<'_>) -> Result<ControlFlow<()>, IoError> {
    let file = File::open(path).map_err(IoError::file(path))?;
    let input: Box<dyn Read> = if gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let meter = Meter::default();
    let mut input = BufReader::new(Metered::new(input, meter.clone(), budget.bytes_left()));
    let mut columns = Columns::default();
    let (mut lines, mut line, mut number) = (Vec::new(), String::new(), 0_u64);
    loop {
        line.clear();
        let read = input.read_line(&mut line);
        if meter.total() > budget.bytes_left() {
            return Err(budget.too_many_bytes(path));
        }
        if read.map_err(IoError::file(path))? == 0 {
            break;
        }
        meter.record();
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        let row: Map<String, Value> = serde_json::from_str(&line).map_err(|error| {
            let reason = format!("not a JSON object: {error}");
            IoError::CsvLine { path: path.to_path_buf(), line: number, reason }
        })?;
        budget.take(path, 1, LINE_BYTES)?;
        columns.push(row);
        lines.push(number);
    }
    if columns.names.is_empty() {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    let (names, batch) = columns.finish(budget).map_err(IoError::arrow(path))?;
    budget.take(path, 0, batch.get_array_memory_size() as u64)?;
    let header = FileTable { columns: names.clone(), batches: vec![batch.slice(0, 0)], lines: Some(Vec::new()) };
    if take(header)?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    take(FileTable { columns: names, batches: vec![batch], lines: Some(lines) })
}

/// The columns so far, all with a cell per row.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    builders: Vec<StringBuilder>,
    places: BTreeMap<String, usize>,
    rows: usize,
}

impl Columns {
    fn push(&mut self, row: Map<String, Value>) {
        for (name, value) in row {
            let place = *self.places.entry(name).or_insert_with_key(|name| {
                // Rows before had no such value.
                let mut builder = StringBuilder::new();
                (0..self.rows).for_each(|_| builder.append_null());
                self.names.push(name.clone());
                self.builders.push(builder);
                self.names.len() - 1
            });
            match value {
                Value::Null => self.builders[place].append_null(),
                Value::String(text) => self.builders[place].append_option(Some(text).filter(|text| !text.is_empty())),
                other => self.builders[place].append_value(other.to_string()),
            }
        }
        self.rows += 1;
        for builder in &mut self.builders {
            if builder.len() < self.rows {
                builder.append_null();
            }
        }
    }

    /// All names, and the columns that are kept.
    fn finish(self, budget: &Budget) -> Result<(Vec<String>, RecordBatch), ArrowError> {
        let kept = self.names.iter().zip(self.builders).filter(|(name, _)| budget.keeps(name));
        let column = |(name, mut builder): (&String, StringBuilder)| {
            (Field::new(name, DataType::Utf8, true), Arc::new(builder.finish()) as ArrayRef)
        };
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = kept.map(column).unzip();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &rows)?;
        Ok((self.names, batch))
    }
}
