//! One file of a table: its kind, and its pieces.

use std::{ops::ControlFlow, path::Path};

use arrow::array::RecordBatch;

use super::{budget::Budget, csv, json, parquet};
use crate::IoError;

/// What one file holds.
#[derive(Debug)]
pub(super) struct FileTable {
    pub(super) columns: Vec<String>,
    pub(super) batches: Vec<RecordBatch>,
    pub(super) lines: Option<Vec<u64>>,
}

/// The kinds of files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text { delimiter: u8, gzip: bool },
    Json { gzip: bool },
    Parquet,
}

impl Kind {
    /// By the end of the name.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let (name, gzip) = name.strip_suffix(".gz").map_or((name.as_str(), false), |name| (name, true));
        match name.rsplit_once('.')?.1 {
            "csv" => Some(Self::Text { delimiter: b',', gzip }),
            "tsv" => Some(Self::Text { delimiter: b'\t', gzip }),
            "jsonl" | "ndjson" => Some(Self::Json { gzip }),
            "parquet" if !gzip => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A path without the ending that says what kind of file it is, with `/` between its parts.
pub(super) fn stem(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let name = parts.join("/");
    let ends = [".gz", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"];
    let cut = |name: &str, end: &str| {
        let at = name.len().checked_sub(end.len())?;
        (at > 0 && name.get(at..)?.eq_ignore_ascii_case(end)).then(|| name[..at].to_owned())
    };
    ends.iter().fold(name, |name, end| cut(&name, end).unwrap_or(name))
}

/// Takes the pieces of a file in order, and says whether to go on.
pub(super) type Pieces<'a> = &'a mut dyn FnMut(FileTable) -> Result<ControlFlow<()>, IoError>;

/// Batches of a text file, and row groups per thread of a Parquet file, that make a piece.
pub(super) const PIECE: (usize, usize) = (8, 1);

/// A file as a whole.
pub(super) fn read_file(path: &Path, budget: &mut Budget) -> Result<FileTable, IoError> {
    let mut whole = None;
    let mut take = |piece| {
        whole = Some(piece);
        Ok(ControlFlow::Continue(()))
    };
    // It goes on to the end.
    let _ = read_pieces(path, budget, (usize::MAX, usize::MAX), &mut take)?;
    Ok(whole.expect("a file that is read has a piece"))
}

pub(super) fn read_pieces(
    path: &Path,
    budget: &mut Budget,
    (batches, groups): (usize, usize),
    take: Pieces<'_>,
) -> Result<ControlFlow<()>, IoError> {
    match Kind::of(path) {
        Some(Kind::Text { delimiter, gzip }) => csv::read(path, (delimiter, gzip), budget, batches, take),
        Some(Kind::Json { gzip }) => json::read(path, gzip, budget, take),
        Some(Kind::Parquet) => parquet::read(path, budget, groups, take),
        None => Err(IoError::Unsupported {
            path: path.to_path_buf(),
            reason: "the name should end in .csv, .tsv or .jsonl, also with .gz, or in .parquet".into(),
        }),
    }
}
