//! Parquet files.

use std::{fs::File, panic, path::Path};

use arrow::array::RecordBatch;
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};

use super::{FileTable, names};
use crate::IoError;

pub(super) fn read(path: &Path) -> Result<FileTable, IoError> {
    let file = File::open(path).map_err(IoError::file(path))?;
    if file.metadata().map_err(IoError::file(path))?.len() == 0 {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    let damaged = |reason: String| IoError::Parquet { path: path.to_path_buf(), reason };
    // The decoder checks most of what a file claims, but not all of it: a damaged page can trip an
    // assertion. That must not take the process down with it.
    let read = panic::catch_unwind(move || decode(file)).map_err(|_| damaged("the decoder gave up".into()))?;
    let (columns, batches) = read.map_err(|error| damaged(error.to_string()))?;
    let columns = names(path, &columns)?;
    Ok(FileTable { columns, batches, lines: None })
}

/// An empty batch that knows the columns, and the rows.
fn decode(file: File) -> Result<(RecordBatch, Vec<RecordBatch>), ParquetError> {
    // Parquet's own types say all that is needed; the Arrow schema that some writers embed beside
    // them is one more thing that a damaged file can trip over.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?.with_batch_size(65_536).build()?;
    let empty = RecordBatch::new_empty(arrow::array::RecordBatchReader::schema(&reader));
    let mut batches = reader.collect::<Result<Vec<_>, _>>()?;
    if batches.is_empty() {
        batches.push(empty.clone());
    }
    Ok((empty, batches))
}
