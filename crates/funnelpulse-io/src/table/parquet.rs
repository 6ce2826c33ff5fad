//! Parquet files.

mod pages;

use std::{fs::File, ops::ControlFlow, panic, path::Path};

use arrow::array::{RecordBatch, RecordBatchReader};
use parquet::{
    arrow::ProjectionMask,
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    column::page::Page,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
        reader::FileReader,
        serialized_reader::SerializedFileReader,
    },
};

use rayon::prelude::*;

use super::{
    budget::Budget,
    file::{FileTable, Pieces},
    names,
};
use crate::IoError;

/// Rows per batch.
const BATCH: u64 = 65_536;
/// Bytes of texts per batch, column and file, as far as the longest text of a dictionary allows.
const BATCH_BYTES: u64 = 256 << 20;

/// Reads a file in pieces of so many row groups per thread at most, the first of which has no rows;
/// with no limit as one piece.
pub(super) fn read(
    path: &Path,
    budget: &mut Budget,
    groups: usize,
    take: Pieces<'_>,
) -> Result<ControlFlow<()>, IoError> {
    let file = File::open(path).map_err(IoError::file(path))?;
    if file.metadata().map_err(IoError::file(path))?.len() == 0 {
        return Err(IoError::Empty { path: path.to_path_buf(), what: "the file is empty" });
    }
    // The decoder checks most of what a file claims, but not all of it: a damaged page can trip an
    // assertion. That must not take the process down with it.
    let guarded = |work: &mut dyn FnMut() -> Result<(), Failure>| {
        let done = panic::catch_unwind(panic::AssertUnwindSafe(work));
        done.unwrap_or_else(|_| Err(Failure::Decoder(ParquetError::General("the decoder gave up".into()))))
            .map_err(|failure| failure.of(path))
    };
    let mut opened = None;
    guarded(&mut || {
        opened = Some(Opened::new(path, &file, budget)?);
        Ok(())
    })?;
    let opened = opened.expect("opened without an error");
    let columns = names(path, &opened.empty)?;
    let all: Vec<usize> = (0..opened.metadata.metadata().num_row_groups()).collect();
    let mut batches = Vec::new();
    let mut any = groups < usize::MAX;
    let header = FileTable { columns: columns.clone(), batches: vec![opened.none.clone()], lines: None };
    if any && take(header)?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    for groups in all.chunks(groups.saturating_mul(rayon::current_num_threads()).min(all.len()).max(1)) {
        guarded(&mut || opened.decode(path, groups, budget, &mut batches))?;
        if !batches.is_empty() {
            any = true;
            let piece = FileTable { columns: columns.clone(), batches: std::mem::take(&mut batches), lines: None };
            if take(piece)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if groups.len() < all.len() {
                budget.release();
            }
        }
    }
    if any {
        return Ok(ControlFlow::Continue(()));
    }
    take(FileTable { columns, batches: vec![opened.none.clone()], lines: None })
}

/// Why a file is not read.
enum Failure {
    Limit(IoError),
    Decoder(ParquetError),
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        Self::Limit(error)
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        Self::Decoder(error)
    }
}

impl Failure {
    fn of(self, path: &Path) -> IoError {
        let path = path.to_path_buf();
        match self {
            Self::Limit(error) => error,
            Self::Decoder(ParquetError::NYI(what)) => IoError::Unsupported { path, reason: what },
            Self::Decoder(error) if error.to_string().contains("encrypt") => {
                IoError::Unsupported { path, reason: "encrypted Parquet files are not supported".into() }
            }
            Self::Decoder(error) => IoError::Parquet { path, reason: error.to_string() },
        }
    }
}

/// A file whose claims were checked.
struct Opened {
    metadata: ArrowReaderMetadata,
    kept: ProjectionMask,
    /// An empty batch with all columns, and one with those that are kept.
    empty: RecordBatch,
    none: RecordBatch,
    /// Rows per batch.
    size: usize,
}

impl Opened {
    fn new(path: &Path, file: &File, budget: &mut Budget) -> Result<Self, Failure> {
        // Parquet's own types say all that is needed; the Arrow schema that some writers embed beside
        // them is one more thing that a damaged file can trip over.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(file, options)?;
        let rows = check_sizes(path, metadata.metadata(), budget)?;
        let longest =
            pages::inspect(path, file, metadata.metadata(), budget, |group, column| longest_text(file, group, column))?;
        let batch = (BATCH_BYTES / longest).clamp(1, BATCH);
        let size = batch.min(rows.max(1)) as usize;
        let file = file.try_clone().map_err(IoError::file(path))?;
        let all = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        let empty = RecordBatch::new_empty(all.schema().clone());
        let kept = all.schema().fields().iter().enumerate().filter(|(_, field)| budget.keeps(field.name()));
        let kept = ProjectionMask::roots(all.parquet_schema(), kept.map(|(place, _)| place));
        let none = RecordBatch::new_empty(all.with_projection(kept.clone()).build()?.schema());
        Ok(Self { metadata, kept, empty, none, size })
    }

    /// Decodes some groups, as many at a time as there are threads.
    fn decode(
        &self,
        path: &Path,
        groups: &[usize],
        budget: &mut Budget,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<(), Failure> {
        for groups in groups.chunks(rayon::current_num_threads()) {
            let left: &Budget = budget;
            let decode = |group: &usize| decode_group(path, &self.metadata, *group, &self.kept, self.size, left);
            for decoded in groups.par_iter().map(decode).collect::<Vec<_>>() {
                for batch in decoded? {
                    budget.take(path, batch.num_rows() as u64, batch.get_array_memory_size() as u64)?;
                    batches.push(batch);
                }
            }
        }
        Ok(())
    }
}

/// The rows of a group.
fn decode_group(
    path: &Path,
    metadata: &ArrowReaderMetadata,
    group: usize,
    kept: &ProjectionMask,
    size: usize,
    budget: &Budget,
) -> Result<Vec<RecordBatch>, Failure> {
    // Copies of a file share its position: each group has a file of its own.
    let file = File::open(path).map_err(IoError::file(path))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    let builder = builder.with_row_groups(vec![group]).with_projection(kept.clone()).with_batch_size(size);
    let (mut batches, mut bytes) = (Vec::new(), 0u64);
    for batch in builder.build()? {
        let batch = batch.map_err(ParquetError::from)?;
        bytes = bytes.saturating_add(batch.get_array_memory_size() as u64);
        // Refused in the middle of a group: one alone may be too large.
        budget.check(path, 0, bytes)?;
        batches.push(batch);
    }
    Ok(batches)
}

/// Refuses a file that says itself that it becomes too large. Returns its rows.
fn check_sizes(path: &Path, metadata: &ParquetMetaData, budget: &Budget) -> Result<u64, IoError> {
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let chunks = || metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    // Pages are decoded one at a time, but none of them is smaller than what it holds.
    let pages = chunks().map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(0)).max().unwrap_or(0);
    let bytes = |chunk: &ColumnChunkMetaData| {
        u64::try_from(chunk.num_values()).unwrap_or(0).saturating_mul(pages::fixed_width(chunk))
    };
    let values = chunks().map(bytes).fold(0, u64::saturating_add);
    budget.check(path, rows, pages.max(values))?;
    Ok(rows)
}

/// The longest text in the dictionary of a column: each row may repeat it, in a few bits of the file.
fn longest_text(file: &File, group: usize, column: usize) -> Result<u64, ParquetError> {
    let reader = SerializedFileReader::new(file.try_clone()?)?;
    match reader.get_row_group(group)?.get_column_page_reader(column)?.get_next_page()? {
        Some(Page::DictionaryPage { buf, .. }) => Ok(longest_plain(&buf)),
        _ => Ok(0),
    }
}

/// The longest of texts that follow each other, each behind its length in four bytes.
fn longest_plain(mut bytes: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(length);
        bytes = rest.get(length as usize..).unwrap_or_default();
    }
    u64::from(longest)
}
