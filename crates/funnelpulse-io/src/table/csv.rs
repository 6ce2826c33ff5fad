//! CSV files.

mod blocks;

use std::{
    borrow::Cow,
    fs::File,
    io::{BufReader, Read},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayBuilder, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StringBuilder},
    datatypes::{DataType, Field, Schema},
};

use blocks::Blocks;

use super::{
    budget::{Budget, MAX_RECORD, Meter, Metered},
    file::{FileTable, Pieces},
    unique,
};
use crate::IoError;

/// Rows per batch: its texts, some hundred bytes a row, stay close to the processor until they are taken apart.
const BATCH: usize = 16_384;
/// Bytes of text per batch: one column may have all of them, and an array holds no more than 2 GiB.
const BATCH_BYTES: usize = 256 << 20;
/// Bytes of the buffer of the reader for any record.
const BUFFER_BYTES: usize = 64 << 10;
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
    let mut blocks = Blocks::new(Metered::new(input, meter.clone(), budget.bytes_left()));
    let header = Header::read(&mut blocks, delimiter).map_err(|error| broken(path, error, (&meter, budget, 0)))?;
    if header.columns.iter().all(String::is_empty) {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    unique(path, &header.columns)?;
    let rows = Rows::new(&header.columns, budget, header.delimiter == b';');
    let mut out = Output { path, columns: &header.columns, rows, budget, batches, take, any: false };
    if batches < usize::MAX {
        out.rows.finish_batch(path, out.budget)?;
        if out.deliver()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    let mut line = header.lines;
    if read_plain(&mut blocks, &header, &mut line, &meter, &mut out)?.is_break()
        || read_any(blocks, &header, line - header.lines, &meter, &mut out)?.is_break()
    {
        return Ok(ControlFlow::Break(()));
    }
    out.finish()
}

/// Reads the lines up to the first that takes more than looking for separators: one with a quote, with a carriage return
/// or with another number of fields than the header, an empty one, one that is no UTF-8, or the last, where it has no end.
/// `line` is the number of the next.
fn read_plain(
    blocks: &mut Blocks<impl Read>,
    header: &Header,
    line: &mut u64,
    meter: &Meter,
    out: &mut Output<'_>,
) -> Result<ControlFlow<()>, IoError> {
    loop {
        while let Some(lines) = blocks.plain_lines() {
            let mut flow = ControlFlow::Continue(());
            let used = blocks::split(lines, (header.delimiter, header.columns.len()), |record| {
                out.rows.push(*line, record.text.len(), |place| record.field(place));
                *line += 1;
                flow = out.row()?;
                Ok::<_, IoError>(flow.is_continue())
            })?;
            let is_plain = used == lines.len();
            blocks.used(used);
            if flow.is_break() || !is_plain {
                return Ok(flow);
            }
            meter.record();
        }
        let has_whole_lines = blocks.rest().contains(&b'\n');
        if has_whole_lines || blocks.is_full() || !blocks.fill() {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

/// Reads what is left; `before` lines of the file are already read.
fn read_any(
    blocks: Blocks<impl Read>,
    header: &Header,
    before: u64,
    meter: &Meter,
    out: &mut Output<'_>,
) -> Result<ControlFlow<()>, IoError> {
    // With the header in front, which says how many fields there are.
    let input = BufReader::with_capacity(BUFFER_BYTES, header.bytes.chain(blocks));
    let mut reader = csv::ReaderBuilder::new().delimiter(header.delimiter).from_reader(input);
    reader.headers().map_err(|error| broken(out.path, error, (meter, out.budget, before)))?;
    let mut record = csv::StringRecord::new();
    loop {
        let read = reader.read_record(&mut record);
        if !read.map_err(|error| broken(out.path, error, (meter, out.budget, before)))? {
            return Ok(ControlFlow::Continue(()));
        }
        meter.record();
        let line = record.position().map_or(0, csv::Position::line) + before;
        out.rows.push(line, record.as_slice().len(), |place| record.get(place).unwrap_or_default());
        if out.row()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

/// The first record of a file.
struct Header {
    columns: Vec<String>,
    delimiter: u8,
    bytes: Vec<u8>,
    /// The line that follows.
    lines: u64,
}

impl Header {
    /// Reads as many blocks as it takes. A comma as the delimiter may turn out to be a semicolon.
    fn read(blocks: &mut Blocks<impl Read>, delimiter: u8) -> Result<Self, csv::Error> {
        loop {
            let more = blocks.fill();
            let delimiter = if delimiter == b',' { separator(blocks.rest()) } else { delimiter };
            let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(blocks.rest());
            let columns = reader.headers().map(|names| names.iter().map(|name| name.trim().to_owned()).collect());
            let (end, lines) = (reader.position().byte() as usize, reader.position().line());
            let is_whole = end < blocks.rest().len();
            if is_whole || !more {
                if !is_whole && let Some(error) = blocks.error() {
                    return Err(error.into());
                }
                let header = Self { columns: columns?, delimiter, bytes: blocks.rest()[..end].to_vec(), lines };
                blocks.used(end);
                return Ok(header);
            }
        }
    }
}

/// Where the rows of a file go.
struct Output<'a> {
    path: &'a Path,
    columns: &'a [String],
    rows: Rows,
    budget: &'a mut Budget,
    /// Batches of a piece.
    batches: usize,
    take: Pieces<'a>,
    /// Whether a piece was delivered.
    any: bool,
}

impl Output<'_> {
    /// Counts the row that was pushed last, and delivers what is full.
    fn row(&mut self) -> Result<ControlFlow<()>, IoError> {
        self.budget.take(self.path, 1, LINE_BYTES)?;
        if !self.rows.batch_is_full() {
            return Ok(ControlFlow::Continue(()));
        }
        self.rows.finish_batch(self.path, self.budget)?;
        if self.rows.batches.len() < self.batches {
            return Ok(ControlFlow::Continue(()));
        }
        let flow = self.deliver()?;
        self.budget.release();
        Ok(flow)
    }

    fn deliver(&mut self) -> Result<ControlFlow<()>, IoError> {
        self.any = true;
        (self.take)(self.rows.piece(self.columns))
    }

    fn finish(mut self) -> Result<ControlFlow<()>, IoError> {
        if self.rows.in_batch > 0 || self.rows.batches.is_empty() && !self.any {
            self.rows.finish_batch(self.path, self.budget)?;
        }
        if self.rows.batches.is_empty() { Ok(ControlFlow::Continue(())) } else { self.deliver() }
    }
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

    /// Adds the row of a line of so many bytes, by its fields.
    fn push<'a>(&mut self, line: u64, bytes: usize, field: impl Fn(usize) -> &'a str) {
        self.lines.push(line);
        for (place, builder) in &mut self.builders {
            let text = Some(field(*place)).filter(|text| !text.is_empty());
            if self.commas {
                builder.append_option(text.map(decimal_point));
            } else {
                builder.append_option(text);
            }
        }
        self.in_batch += 1;
        self.bytes_in_batch += bytes;
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
        let arrays = self.builders.iter_mut().map(|(_, builder)| Arc::new(finish(builder)) as ArrayRef).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.in_batch));
        let batch =
            RecordBatch::try_new_with_options(self.schema.clone(), arrays, &rows).map_err(IoError::arrow(path))?;
        budget.take(path, 0, batch.get_array_memory_size() as u64)?;
        (self.in_batch, self.bytes_in_batch) = (0, 0);
        self.batches.push(batch);
        Ok(())
    }
}

/// The texts so far. The next batch is likely to be as long.
fn finish(builder: &mut StringBuilder) -> StringArray {
    let (rows, bytes) = (builder.len(), builder.values_slice().len());
    let next = StringBuilder::with_capacity(rows, bytes + bytes / 16);
    std::mem::replace(builder, next).finish()
}

/// What is wrong with a file: one of the limits, or a line. The reader saw the file without so many lines `before`.
fn broken(path: &Path, error: csv::Error, (meter, budget, before): (&Meter, &Budget, u64)) -> IoError {
    let line = error.position().map_or(1, csv::Position::line) + before;
    if meter.in_record() > MAX_RECORD {
        let reason = format!("the record is longer than {MAX_RECORD} bytes; is a quote missing?");
        return IoError::CsvLine { path: path.to_path_buf(), line, reason };
    }
    if meter.total() > budget.bytes_left() && matches!(error.kind(), csv::ErrorKind::Io(_)) {
        return budget.too_many_bytes(path);
    }
    line_error(path, error, line)
}

fn line_error(path: &Path, error: csv::Error, line: u64) -> IoError {
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
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::ReadOptions;

    /// The columns, rows and lines of a file; what is wrong with it else.
    type Found = Result<(Vec<String>, Vec<Vec<Option<String>>>, Vec<u64>), String>;

    /// In pieces of one batch.
    fn in_pieces(path: &Path) -> Found {
        let (mut columns, mut rows, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut take = |piece: FileTable| {
            columns = piece.columns;
            lines.extend(piece.lines.unwrap());
            for batch in piece.batches {
                let texts: Vec<&StringArray> = batch.columns().iter().map(AsArray::as_string).collect();
                let cell = |texts: &&StringArray, row| texts.is_valid(row).then(|| texts.value(row).to_owned());
                rows.extend((0..batch.num_rows()).map(|row| texts.iter().map(|t| cell(t, row)).collect()));
            }
            Ok(ControlFlow::Continue(()))
        };
        let mut budget = Budget::new(&ReadOptions::default(), 1 << 20);
        match read(path, (b',', false), &mut budget, 1, &mut take) {
            Ok(_) => Ok((columns, rows, lines)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// As the library for any CSV file reads it.
    fn by_record(path: &Path, text: &[u8]) -> Found {
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            line_error(path, error, line).to_string()
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(separator(text)).from_reader(text);
        let columns: Vec<String> = reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_owned()).collect();
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            lines.push(record.position().unwrap().line());
            rows.push(record.iter().map(|text| (!text.is_empty()).then(|| text.to_owned())).collect());
        }
        Ok((columns, rows, lines))
    }

    proptest::proptest! {
        #[test]
        fn plain_lines_are_read_as_any_others(
            rows in proptest::collection::vec("[a-c0é ]{0,3},[a-c0é ]{0,12},[a-c0 ]{0,30}", 0..12),
            odd in "(|a|\n|\r\n|\"|a,b\n|x,\"y,\n\"\"\",z\n|,,\n|,,,\n|1,2,3\r\n)",
            at in 0_usize..14,
            broken in proptest::bool::ANY,
        ) {
            let mut lines: Vec<String> = rows.into_iter().map(|row| row + "\n").collect();
            lines.insert(at.min(lines.len()), odd);
            let mut text = format!("time,{},key\n{}", "v".repeat(at * 5), lines.concat()).into_bytes();
            if broken {
                let place = text.len() - 1;
                text[place] = 0xFF;
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rows.csv");
            std::fs::write(&path, &text).unwrap();
            proptest::prop_assert_eq!(in_pieces(&path), by_record(&path, &text));
        }
    }

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
