//! CSV files.

use std::{fs::File, io::Read, ops::ControlFlow, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder},
    datatypes::{DataType, Field, Schema},
};

use super::{
    budget::{Budget, MAX_RECORD, Meter, Metered},
    file::{FileTable, Pieces},
    unique,
};
use crate::IoError;

/// Rows per batch.
const BATCH: usize = 65_536;
/// Bytes of text per batch: one column may have all of them, and an array holds no more than 2 GiB.
const BATCH_BYTES: usize = 256 << 20;
/// Bytes in memory of where a row starts in the file.
const LINE_BYTES: u64 = 8;

/// Reads a file in pieces of so many batches at most, the first of which has no rows; with no limit
/// as one piece.
pub(super) fn read(
    path: &Path,
    (delimiter, gzip): (u8, bool),
    budget: &mut Budget,
    batches: usize,
    take: Pieces<'_>,
) -> Result<ControlFlow<()>, IoError> {
    let file = File::open(path).map_err(IoError::file(path))?;
    let input: Box<dyn Read> = if gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let meter = Meter::default();
    let input = Metered::new(input, meter.clone(), budget.bytes_left());
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(input);

    let header = reader.headers().map_err(|error| broken(path, error, &meter, budget))?;
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    unique(path, &columns)?;
    let (mut rows, mut any) = (Rows::new(&columns, budget), false);
    if batches < usize::MAX {
        rows.finish_batch(path, budget)?;
        any = true;
        if take(rows.piece(&columns))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| broken(path, error, &meter, budget))? {
        meter.record();
        budget.take(path, 1, LINE_BYTES)?;
        rows.push(&record);
        if rows.batch_is_full() {
            rows.finish_batch(path, budget)?;
            if rows.batches.len() >= batches {
                if take(rows.piece(&columns))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                budget.release();
                any = true;
            }
        }
    }
    if rows.in_batch > 0 || rows.batches.is_empty() && !any {
        rows.finish_batch(path, budget)?;
    }
    if rows.batches.is_empty() { Ok(ControlFlow::Continue(())) } else { take(rows.piece(&columns)) }
}

/// The rows that were read.
struct Rows {
    schema: Arc<Schema>,
    batches: Vec<RecordBatch>,
    lines: Vec<u64>,
    /// Of the columns that are kept, with their places.
    builders: Vec<(usize, StringBuilder)>,
    in_batch: usize,
    bytes_in_batch: usize,
}

impl Rows {
    fn new(columns: &[String], budget: &Budget) -> Self {
        let kept: Vec<usize> = (0..columns.len()).filter(|&place| budget.keeps(&columns[place])).collect();
        let fields: Vec<Field> = kept.iter().map(|&place| Field::new(&columns[place], DataType::Utf8, true)).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            batches: Vec::new(),
            lines: Vec::new(),
            builders: kept.into_iter().map(|place| (place, StringBuilder::new())).collect(),
            in_batch: 0,
            bytes_in_batch: 0,
        }
    }

    fn push(&mut self, record: &csv::StringRecord) {
        self.lines.push(record.position().map_or(0, csv::Position::line));
        for (place, builder) in &mut self.builders {
            builder.append_option(record.get(*place).filter(|text| !text.is_empty()));
        }
        self.in_batch += 1;
        self.bytes_in_batch += record.as_slice().len();
    }

    /// What was read since the last piece.
    fn piece(&mut self, columns: &[String]) -> FileTable {
        let (batches, lines) = (std::mem::take(&mut self.batches), std::mem::take(&mut self.lines));
        FileTable { columns: columns.to_vec(), batches, lines: Some(lines) }
    }

    fn batch_is_full(&self) -> bool {
        self.in_batch >= BATCH || self.bytes_in_batch >= BATCH_BYTES
    }

    fn finish_batch(&mut self, path: &Path, budget: &mut Budget) -> Result<(), IoError> {
        let arrays = self.builders.iter_mut().map(|(_, builder)| Arc::new(builder.finish()) as ArrayRef).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.in_batch));
        let batch =
            RecordBatch::try_new_with_options(self.schema.clone(), arrays, &rows).map_err(IoError::arrow(path))?;
        budget.take(path, 0, batch.get_array_memory_size() as u64)?;
        (self.in_batch, self.bytes_in_batch) = (0, 0);
        self.batches.push(batch);
        Ok(())
    }
}

/// What is wrong with a file: one of the limits, or a line.
fn broken(path: &Path, error: csv::Error, meter: &Meter, budget: &Budget) -> IoError {
    if meter.in_record() > MAX_RECORD {
        let reason = format!("the record is longer than {MAX_RECORD} bytes; is a quote missing?");
        let line = error.position().map_or(1, csv::Position::line);
        return IoError::CsvLine { path: path.to_path_buf(), line, reason };
    }
    if meter.total() > budget.bytes_left() && matches!(error.kind(), csv::ErrorKind::Io(_)) {
        return budget.too_many_bytes(path);
    }
    line_error(path, error)
}

fn line_error(path: &Path, error: csv::Error) -> IoError {
    let line = error.position().map_or(1, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("field {} is not valid UTF-8", err.field() + 1),
        csv::ErrorKind::Io(_) => {
            return match error.into_kind() {
                csv::ErrorKind::Io(source) => IoError::file(path)(source),
                _ => unreachable!("the kind was matched above"),
            };
        }
        _ => error.to_string(),
    };
    IoError::CsvLine { path: path.to_path_buf(), line, reason }
}
