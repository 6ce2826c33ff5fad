//! What can go wrong with files, naming the file, the row and the column.

use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use funnelpulse_core::{BoxError, FrameError};
use funnelpulse_features::FeatureError;

/// Why a table can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// The operating system says no.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Neither CSV nor Parquet.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What is supported.
        reason: String,
    },
    /// A setting out of its range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A table has more rows, or takes more memory, than is allowed.
    #[error("{}: the table has more than {limit} {unit}, the most that {setting} allows; raise it where that is meant", path.display())]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// `rows`, or `bytes in memory`.
        unit: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// The setting that says so.
        setting: &'static str,
    },
    /// There is nothing in it.
    #[error("{}: {what}", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A line of a CSV file is broken.
    #[error("{}, line {line}: {reason}", path.display())]
    CsvLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from one, as an editor does.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A Parquet file is truncated or damaged.
    #[error("{}: not a readable Parquet file, truncated or damaged: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// Columns that are needed are not there.
    #[error("{}: column {missing} is missing (found: {found})", path.display())]
    MissingColumn {
        /// The file or folder.
        path: PathBuf,
        /// The columns, comma separated.
        missing: String,
        /// The columns that are there, comma separated.
        found: String,
    },
    /// A column name appears twice.
    #[error("{}: column `{column}` appears twice", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column does not hold what it should.
    #[error("{}: column `{column}` should hold {expected}, found {found}", path.display())]
    WrongType {
        /// The file or folder.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it should hold.
        expected: &'static str,
        /// The type or the first value, with its place, that is something else.
        found: String,
    },
    /// The table is neither events nor hourly rows.
    #[error(
        "{}: neither events nor regular rows (found the columns: {found}); events lack {events}, regular \
         rows lack {rows}; columns of other names are settings: `input.time`, `input.keys`, `aliases`",
        path.display()
    )]
    Unrecognised {
        /// The file or folder.
        path: PathBuf,
        /// The columns that are there.
        found: String,
        /// The columns that events would need in addition.
        events: String,
        /// The columns that regular rows would need in addition.
        rows: String,
    },
    /// A folder holds something that is not ours to delete.
    #[error(
        "{} is not replaced: it holds {entry}, which is no part of a table written by FunnelPulse; choose another output",
        path.display()
    )]
    ForeignFiles {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        entry: String,
    },
    /// An Arrow operation failed.
    #[error("{}: {source}", path.display())]
    Arrow {
        /// The file or folder.
        path: PathBuf,
        /// What Arrow says.
        source: Box<ArrowError>,
    },
    /// Writing failed in an encoder.
    #[error("{}: could not be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        source: BoxError,
    },
    /// A specification is invalid.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The rows don't make a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl IoError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    pub(crate) fn arrow(path: &Path) -> impl FnOnce(ArrowError) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Arrow { path, source: Box::new(source) }
    }
}
