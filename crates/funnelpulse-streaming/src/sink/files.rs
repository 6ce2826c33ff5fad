//! Rows in files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde::{Deserialize, Serialize};

use super::{Channel, Commit, Sink};
use crate::StreamError;

/// The folder of files that are not committed. Readers of tables skip names that start with `_`.
const PENDING: &str = "_pending";

/// The format of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// One JSON object per line.
    JsonLines,
}

enum Writer {
    Parquet(ArrowWriter<File>),
    JsonLines(LineDelimitedWriter<BufWriter<File>>),
}

/// Files called `CHANNEL-EPOCH-TASK`, one per epoch with rows. They are written in a folder `_pending` within the
/// folder and moved out of it once their epoch is committed, so that a reader sees whole epochs only.
///
/// ```
/// use funnelpulse_streaming::{FileFormat, FileSink, Sink};
///
/// let folder = tempfile::tempdir()?;
/// let mut sink = FileSink::new(folder.path(), FileFormat::Parquet, "task-0")?;
/// sink.recover(&[])?;
/// assert!(sink.prepare(1)?.is_empty(), "no rows, no file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileSink {
    folder: PathBuf,
    format: FileFormat,
    task: String,
    open: BTreeMap<Channel, Writer>,
}

impl std::fmt::Debug for FileSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSink").field("folder", &self.folder).field("task", &self.task).finish_non_exhaustive()
    }
}

impl FileSink {
    /// Writes into this folder, which is made if it is missing. The name of the task is part of file names.
    pub fn new(folder: &Path, format: FileFormat, task: &str) -> Result<Self, StreamError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if task.is_empty() || !task.chars().all(allowed) {
            return Err(StreamError::setting("task", format!("`{task}`"), "letters, digits, - and _"));
        }
        let pending = folder.join(PENDING);
        fs::create_dir_all(&pending).map_err(StreamError::file(&pending))?;
        Ok(Self { folder: folder.to_path_buf(), format, task: task.to_owned(), open: BTreeMap::new() })
    }

    fn pending(&self, name: &str) -> PathBuf {
        self.folder.join(PENDING).join(name)
    }

    /// While it is written the epoch is not known: it is that of the commit.
    fn draft(&self, channel: Channel) -> PathBuf {
        self.pending(&format!("{}-{}.draft", channel.name(), self.task))
    }

    fn name(&self, channel: Channel, epoch: u64) -> String {
        let ending = match self.format {
            FileFormat::Parquet => "parquet",
            FileFormat::JsonLines => "jsonl",
        };
        format!("{}-{epoch:010}-{}.{ending}", channel.name(), self.task)
    }

    fn create(&self, channel: Channel, rows: &RecordBatch) -> Result<Writer, StreamError> {
        let path = self.draft(channel);
        let file = File::create(&path).map_err(StreamError::file(&path))?;
        Ok(match self.format {
            FileFormat::JsonLines => Writer::JsonLines(LineDelimitedWriter::new(BufWriter::new(file))),
            FileFormat::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(file, rows.schema(), Some(properties));
                Writer::Parquet(writer.map_err(|e| StreamError::contents(&path, e))?)
            }
        })
    }

    /// Moves a file of a committed epoch to where readers look. A second time it does nothing.
    fn publish(&self, name: &str) -> Result<(), StreamError> {
        let (from, to) = (self.pending(name), self.folder.join(name));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && to.exists() => Ok(()),
            result => result.map_err(StreamError::file(&from)),
        }
    }

    /// Makes moves in a folder durable.
    fn sync(folder: &Path) -> Result<(), StreamError> {
        File::open(folder).and_then(|f| f.sync_all()).map_err(StreamError::file(folder))
    }
}

impl Sink for FileSink {
    fn recover(&mut self, committed: &[String]) -> Result<(), StreamError> {
        for name in committed {
            self.publish(name)?;
        }
        let pending = self.folder.join(PENDING);
        for entry in fs::read_dir(&pending).map_err(StreamError::file(&pending))? {
            let path = entry.map_err(StreamError::file(&pending))?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(&format!("-{}", self.task)) {
                fs::remove_file(&path).map_err(StreamError::file(&path))?;
            }
        }
        Self::sync(&self.folder)
    }

    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if !self.open.contains_key(&channel) {
            let writer = self.create(channel, rows)?;
            self.open.insert(channel, writer);
        }
        let path = self.draft(channel);
        match self.open.get_mut(&channel) {
            Some(Writer::Parquet(writer)) => writer.write(rows).map_err(|e| StreamError::contents(&path, e)),
            Some(Writer::JsonLines(writer)) => writer.write(rows).map_err(|e| StreamError::contents(&path, e)),
            None => Ok(()),
        }
    }

    fn prepare(&mut self, epoch: u64) -> Result<Vec<String>, StreamError> {
        let mut names = Vec::new();
        for (channel, writer) in std::mem::take(&mut self.open) {
            let path = self.draft(channel);
            let file = match writer {
                Writer::Parquet(writer) => writer.into_inner().map_err(|e| StreamError::contents(&path, e))?,
                Writer::JsonLines(mut writer) => {
                    writer.finish().map_err(|e| StreamError::contents(&path, e))?;
                    let mut buffered = writer.into_inner();
                    buffered.flush().map_err(StreamError::file(&path))?;
                    buffered.into_inner().map_err(|e| StreamError::contents(&path, e))?
                }
            };
            file.sync_all().map_err(StreamError::file(&path))?;
            let name = self.name(channel, epoch);
            fs::rename(&path, self.pending(&name)).map_err(StreamError::file(&path))?;
            names.push(name);
        }
        if !names.is_empty() {
            Self::sync(&self.folder.join(PENDING))?;
        }
        Ok(names)
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StreamError> {
        for name in commit.files {
            self.publish(name)?;
        }
        if commit.files.is_empty() { Ok(()) } else { Self::sync(&self.folder) }
    }
}
