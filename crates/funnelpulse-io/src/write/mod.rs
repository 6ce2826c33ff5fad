//! Tables out, whole or not at all.

pub(crate) mod hive;
mod partitioned;
mod swap;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::array::RecordBatch;
use funnelpulse_core::BoxError;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

pub use partitioned::{WriteReport, write_partitioned};
pub(crate) use swap::previous_of_interrupted;
pub use swap::recover;

use crate::{IoError, cells};

/// Writes one file, Parquet or CSV by the end of its name. It appears, or replaces what was there,
/// complete or not at all.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow::array::{ArrayRef, Float64Array, RecordBatch};
/// use funnelpulse_io::{Table, write_file};
///
/// let views: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None]));
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("views.parquet");
/// write_file(&path, &RecordBatch::try_from_iter([("views", views)])?)?;
/// assert_eq!(Table::read(&path)?.num_rows(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file(path: &Path, batch: &RecordBatch) -> Result<(), IoError> {
    let encode: fn(&mut File, &RecordBatch) -> Result<(), BoxError> = match path.extension() {
        Some(end) if end.eq_ignore_ascii_case("parquet") => write_parquet,
        Some(end) if end.eq_ignore_ascii_case("csv") => write_csv,
        _ => {
            let reason = "the name should end in .csv or .parquet".into();
            return Err(IoError::Unsupported { path: path.to_path_buf(), reason });
        }
    };
    let folder = swap::parent(path);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".funnelpulse-").tempfile_in(&folder).map_err(IoError::file(&folder))?;
    encode(file.as_file_mut(), batch).map_err(|source| IoError::Write { path: path.to_path_buf(), source })?;
    file.as_file().sync_all().map_err(IoError::file(path))?;
    file.persist(path).map_err(|error| IoError::file(path)(error.error))?;
    swap::sync_folder(&folder)
}

/// A new Parquet file, on the disk when this returns.
fn write_parquet_file(path: PathBuf, batch: &RecordBatch) -> Result<(), IoError> {
    let mut file = File::create_new(&path).map_err(IoError::file(&path))?;
    match write_parquet(&mut file, batch) {
        Ok(()) => file.sync_all().map_err(IoError::file(&path)),
        Err(source) => Err(IoError::Write { path, source }),
    }
}

fn write_parquet(out: &mut File, batch: &RecordBatch) -> Result<(), BoxError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(BufWriter::new(out), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.flush()?)
}

fn write_csv(out: &mut File, batch: &RecordBatch) -> Result<(), BoxError> {
    let columns = batch.columns().iter().map(cells::in_utc).collect::<Result<Vec<_>, _>>()?;
    let names = batch.schema_ref().fields().iter().map(|field| field.name());
    let batch = &RecordBatch::try_from_iter(names.zip(columns))?;
    let mut out = BufWriter::new(out);
    arrow::csv::Writer::new(&mut out).write(batch)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
