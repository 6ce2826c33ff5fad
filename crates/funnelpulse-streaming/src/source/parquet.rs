//! Records of a Parquet file.

use std::{fs::File, panic, path::Path};

use funnelpulse_features::EventSpec;
use funnelpulse_io::{EventRow, Table, each_event};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};

use super::{Input, files::Chunk};
use crate::StreamError;

/// Rows read at a time.
const ROWS: usize = 16_384;

/// A Parquet file that is read in order.
pub(super) struct ParquetFile {
    reader: ParquetRecordBatchReader,
    /// Rows that were handed out.
    pub(super) row: u64,
}

impl ParquetFile {
    /// Opens a file at this row, with the columns of events.
    pub(super) fn open(path: &Path, spec: &EventSpec, row: u64) -> Result<Self, StreamError> {
        let file = File::open(path).map_err(StreamError::file(path))?;
        let fail = |error: &dyn std::fmt::Display| StreamError::contents(path, error);
        guarded(path, || {
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(|e| fail(&e))?;
            let schema = builder.parquet_schema();
            let names: Vec<&str> = schema.root_schema().get_fields().iter().map(|f| f.name()).collect();
            let lacking: Vec<&str> = spec.columns().filter(|c| !names.contains(c)).collect();
            if !lacking.is_empty() {
                return Err(fail(&format!("no column {}; there are: {}", lacking.join(", "), names.join(", "))));
            }
            let mask = ProjectionMask::columns(schema, spec.columns());
            let builder = builder.with_projection(mask).with_batch_size(ROWS).with_offset(row as usize);
            Ok(Self { reader: builder.build().map_err(|e| fail(&e))?, row })
        })
    }

    /// Hands out the next records.
    pub(super) fn read(
        &mut self,
        path: &Path,
        spec: &EventSpec,
        partition: u32,
        take: &mut dyn FnMut(Input<'_>),
    ) -> Result<Chunk, StreamError> {
        let Some(batch) = guarded(path, || Ok(self.reader.next()))? else { return Ok(Chunk::End) };
        let batch = batch.map_err(|e| StreamError::contents(path, e))?;
        self.row += batch.num_rows() as u64;
        if batch.num_rows() == 0 {
            return Ok(Chunk::Records(None));
        }
        let table = Table::from_batches(path, vec![batch]).map_err(|e| StreamError::contents(path, e))?;
        let mut last = None;
        let read = each_event(&table, spec, |row| match row {
            EventRow::Event(event, identity) => {
                last = Some(event.time);
                take(Input::Event { partition, event, identity });
            }
            EventRow::Rejected(reason, value) => {
                take(Input::Broken { partition, reason: reason.to_string().into(), value: value.as_bytes() });
            }
        });
        read.map_err(|e| StreamError::contents(path, e))?;
        Ok(Chunk::Records(last))
    }
}

/// A damaged page can trip an assertion of the decoder, which must not take the process down with it.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StreamError>) -> Result<T, StreamError> {
    panic::catch_unwind(panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StreamError::contents(path, "the Parquet decoder gave up")))
}
