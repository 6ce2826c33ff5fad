//! CSV files.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

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
/// Bytes in which the header is looked for.
const HEADER_BYTES: usize = 64 << 10;
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
    let mut input = BufReader::with_capacity(HEADER_BYTES, Metered::new(input, meter.clone(), budget.bytes_left()));
    // What can't be read here can't be read below either, which says so.
    let delimiter = if delimiter == b',' { input.fill_buf().map_or(b',', separator) } else { delimiter };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(input);

    let header = reader.headers().map_err(|error| broken(path, error, &meter, budget))?;
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    unique(path, &columns)?;
    let (mut rows, mut any) = (Rows::new(&columns, budget, delimiter == b';'), false);
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

/// Semicolons where the header has some and no comma, as spreadsheets write tables in countries with a
/// decimal comma.
fn separator(start: &[u8]) -> u8 {
    let (mut quoted, mut semicolon) = (false, false);
    for byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            b',' if !quoted => return b',',
            b';' if !quoted => semicolon = true,
            _ => {}
        }
    }
    if semicolon { b';' } else { b',' }
}

/// A number with a decimal comma, with a point; anything else as it is.
fn decimal_point(text: &str) -> Cow<'_, str> {
    let is_number = || {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let parts = mantissa.trim().split_once(',');
        let whole = parts.map(|(whole, _)| whole.trim_start_matches(['+', '-']));
        parts.is_some_and(|(_, fraction)| digits(fraction))
            && whole.is_some_and(|whole| whole.is_empty() || digits(whole))
            && digits(exponent.trim().trim_start_matches(['+', '-']))
    };
    if text.contains(',') && is_number() { Cow::Owned(text.replacen(',', ".", 1)) } else { Cow::Borrowed(text) }
}

/// The rows that were read.
struct Rows {
    /// Whether numbers may have a decimal comma.
    commas: bool,
    schema: Arc<Schema>,
    batches: Vec<RecordBatch>,
    lines: Vec<u64>,
    /// Of the columns that are kept, with their places.
    builders: Vec<(usize, StringBuilder)>,
    in_batch: usize,
    bytes_in_batch: usize,
}

impl Rows {
    fn new(columns: &[String], budget: &Budget, commas: bool) -> Self {
        let kept: Vec<usize> = (0..columns.len()).filter(|&place| budget.keeps(&columns[place])).collect();
        let fields: Vec<Field> = kept.iter().map(|&place| Field::new(&columns[place], DataType::Utf8, true)).collect();
        Self {
            commas,
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
            let text = record.get(*place).filter(|text| !text.is_empty());
            if self.commas {
                builder.append_option(text.map(decimal_point));
            } else {
                builder.append_option(text);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_semicolons_separates_by_them() {
        assert_eq!(separator(b"datetime;value;anomaly\n1,5;2"), b';');
        assert_eq!(separator(b"\"a,b\";c\n"), b';');
        for header in [&b"a,b;c\n1;2"[..], b"a\n1;2\n", b"", b"\"a;b\",c"] {
            assert_eq!(separator(header), b',', "{header:?}");
        }
    }

    #[test]
    fn decimal_commas_become_points_and_nothing_else_does() {
        for (text, read) in [("1,5", "1.5"), ("-0,25", "-0.25"), (",5", ".5"), ("1,5e-3", "1.5e-3")] {
            assert_eq!(decimal_point(text), read);
        }
        for text in ["a,b", "1,", "1,234,567", "1,5 kg", "", ",", "12", "1.234,5"] {
            assert_eq!(decimal_point(text), text);
        }
    }
}
