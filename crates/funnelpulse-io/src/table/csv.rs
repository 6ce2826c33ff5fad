//! CSV files.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringBuilder},
    datatypes::{DataType, Field, Schema},
};

use super::{FileTable, unique};
use crate::IoError;

/// Rows per batch: the texts of a column stay far below the 2 GiB that one array can hold.
const BATCH: usize = 65_536;

pub(super) fn read(path: &Path, delimiter: u8, gzip: bool) -> Result<FileTable, IoError> {
    let file = File::open(path).map_err(IoError::file(path))?;
    let input: Box<dyn Read> = if gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(input);
    let broken = |error: csv::Error| line_error(path, error);

    let header = reader.headers().map_err(broken)?;
    let columns: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    unique(path, &columns)?;
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));

    let (mut batches, mut lines) = (Vec::new(), Vec::new());
    let mut builders: Vec<StringBuilder> = columns.iter().map(|_| StringBuilder::new()).collect();
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record).map_err(broken)?;
        if more {
            lines.push(record.position().map_or(0, csv::Position::line));
            for (builder, text) in builders.iter_mut().zip(&record) {
                builder.append_option((!text.is_empty()).then_some(text));
            }
        }
        let full = more && lines.len() % BATCH == 0;
        if full || (!more && (lines.len() % BATCH > 0 || batches.is_empty())) {
            let arrays = builders.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
            batches.push(RecordBatch::try_new(schema.clone(), arrays).map_err(IoError::arrow(path))?);
        }
        if !more {
            return Ok(FileTable { columns, batches, lines: Some(lines) });
        }
    }
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
