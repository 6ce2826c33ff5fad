//! Tables out, whole or not at all.

mod companions;
pub(crate) mod hive;
mod partitioned;
mod stale;
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

pub use companions::Companion;
pub use partitioned::{WriteReport, write_partitioned, write_results};
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
        Some(end) if end.eq_ignore_ascii_case("csv") => |file, batch| write_csv(file, batch),
        _ => {
            let reason = "the name should end in .csv or .parquet".into();
            return Err(IoError::Unsupported { path: path.to_path_buf(), reason });
        }
    };
    write_whole(path, |file| encode(file, batch).map_err(|source| IoError::Write { path: path.to_path_buf(), source }))
}

/// Writes a file of any contents. It appears, or replaces what was there, complete or not at all, and
/// others may read it as far as the process's mask allows.
///
/// ```
/// use funnelpulse_io::write_bytes;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("summary.json");
/// write_bytes(&path, b"{}")?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_bytes(path: &Path, contents: &[u8]) -> Result<(), IoError> {
    write_whole(path, |file| file.write_all(contents).map_err(IoError::file(path)))
}

/// A batch as the bytes of a Parquet file, for a [`Companion`].
pub fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>, IoError> {
    let mut bytes = Vec::new();
    encode_parquet(&mut bytes, batch).map_err(|source| IoError::Write { path: "Parquet".into(), source })?;
    Ok(bytes)
}

/// A batch as the text of a CSV file with a header.
///
/// ```
/// use arrow::array::{Float64Array, RecordBatch};
/// use funnelpulse_io::csv_bytes;
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([("score", Arc::new(Float64Array::from(vec![0.5])) as _)])?;
/// assert_eq!(csv_bytes(&batch)?, b"score\n0.5\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn csv_bytes(batch: &RecordBatch) -> Result<Vec<u8>, IoError> {
    let mut bytes = Vec::new();
    write_csv(&mut bytes, batch).map_err(|source| IoError::Write { path: "CSV".into(), source })?;
    Ok(bytes)
}

/// A file that is complete and on the disk under a hidden name beside the one that it is to have: it
/// takes that name when the program knows that everything else went well. One that is dropped is gone.
///
/// ```
/// use funnelpulse_io::StagedFile;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("report.html");
/// let page = StagedFile::write(&path, b"<html></html>")?;
/// assert!(!path.exists());
/// page.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"<html></html>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl StagedFile {
    /// Writes the file aside.
    pub fn write(path: &Path, contents: &[u8]) -> Result<Self, IoError> {
        Self::fill(path, |file| file.write_all(contents).map_err(IoError::file(path)))
    }

    /// Gives the file its name.
    pub fn commit(self) -> Result<(), IoError> {
        let path = &self.path;
        self.file.persist(path).map_err(|error| IoError::file(path)(error.error))?;
        swap::sync_folder(&swap::parent(path))
    }

    /// Lets `write` fill a file aside. What writers that were killed left in the folder is removed first.
    fn fill(path: &Path, write: impl FnOnce(&mut File) -> Result<(), IoError>) -> Result<Self, IoError> {
        let folder = swap::parent(path);
        stale::remove(&folder);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let named = builder.prefix(stale::PREFIX).suffix(stale::SUFFIX);
        let mut file = named.tempfile_in(&folder).map_err(IoError::file(&folder))?;
        stale::hold(file.as_file());
        write(file.as_file_mut())?;
        file.as_file().sync_all().map_err(IoError::file(path))?;
        Ok(Self { path: path.to_path_buf(), file })
    }
}

/// Lets `write` fill a file aside, which then takes the place of `path`.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> Result<(), IoError>) -> Result<(), IoError> {
    StagedFile::fill(path, write)?.commit()
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
    encode_parquet(out, batch)
}

fn encode_parquet(out: impl Write + Send, batch: &RecordBatch) -> Result<(), BoxError> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(BufWriter::new(out), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?.flush()?)
}

fn write_csv(out: impl Write, batch: &RecordBatch) -> Result<(), BoxError> {
    let columns = batch.columns().iter().map(cells::in_utc).collect::<Result<Vec<_>, _>>()?;
    let names = batch.schema_ref().fields().iter().map(|field| field.name());
    let batch = &RecordBatch::try_from_iter(names.zip(columns))?;
    let mut out = BufWriter::new(out);
    arrow::csv::Writer::new(&mut out).write(batch)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
