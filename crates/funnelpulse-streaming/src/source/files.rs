//! One file of a folder.

use std::path::{Path, PathBuf};

use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::TimeReader;

use super::{Input, Position, parquet::ParquetFile, text::TextFile};
use crate::{StreamError, decode::TextFormat};

/// How the records of files are read.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) spec: EventSpec,
    pub(super) times: TimeReader,
    /// Files do not grow: the last line of a text needs no end.
    pub(super) bounded: bool,
}

/// The kind of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text(TextFormat),
    Parquet,
}

impl Kind {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Text(TextFormat::Csv)),
            "tsv" => Some(Self::Text(TextFormat::Tsv)),
            "jsonl" | "ndjson" | "json" => Some(Self::Text(TextFormat::JsonLines)),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

enum Reader {
    Text(TextFile),
    Parquet(ParquetFile),
}

/// A file: a partition.
pub(super) struct EventFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    kind: Kind,
    reader: Option<Reader>,
    pub(super) position: Position,
    /// The time that was read last; before the first read that of the first record.
    pub(super) time: Option<Timestamp>,
    /// At its end for now; its length then.
    pub(super) ended: Option<u64>,
}

/// The records that were read of a file.
pub(super) enum Chunk {
    /// Some, the last of them at this time, as far as there was an event among them.
    Records(Option<Timestamp>),
    /// The file is at its end.
    End,
}

/// What a read came to.
pub(super) enum Progress {
    Records,
    /// Nothing more for now.
    End,
}

impl EventFile {
    pub(super) fn new(name: String, path: PathBuf, kind: Kind, position: Position) -> Self {
        Self { name, path, kind, reader: None, position, time: None, ended: position.done.then_some(position.next) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// Closes the file; the next read opens it again where it was.
    pub(super) fn close(&mut self) {
        self.reader = None;
    }

    /// The earliest time among the first records, without reading on.
    pub(super) fn peek(&mut self, settings: &Settings) -> Result<Option<Timestamp>, StreamError> {
        let (position, ended) = (self.position, self.ended);
        let mut earliest: Option<Timestamp> = None;
        let read = self.read(0, settings, &mut |input| {
            if let Input::Event { event, .. } = input {
                earliest = Some(earliest.map_or(event.time, |time| time.min(event.time)));
            }
        });
        self.close();
        (self.position, self.ended, self.time) = (position, ended, earliest);
        read.map(|_| earliest)
    }

    /// Hands out the next records.
    pub(super) fn read(
        &mut self,
        partition: u32,
        settings: &Settings,
        take: &mut dyn FnMut(Input<'_>),
    ) -> Result<Progress, StreamError> {
        let Settings { spec, times, bounded } = settings;
        if self.reader.is_none() {
            self.reader = match self.kind {
                Kind::Parquet => Some(Reader::Parquet(ParquetFile::open(&self.path, spec, self.position.next)?)),
                Kind::Text(format) => {
                    let file = TextFile::open(&self.path, format, spec, times, self.position.next, *bounded)?;
                    file.map(Reader::Text)
                }
            };
        }
        let read = match &mut self.reader {
            None => Chunk::End,
            Some(Reader::Text(file)) => {
                let read = file.read(partition, *bounded, take)?;
                self.position.next = file.offset;
                read
            }
            Some(Reader::Parquet(file)) => {
                let read = file.read(&self.path, spec, partition, take)?;
                self.position.next = file.row;
                read
            }
        };
        if let Chunk::Records(time) = read {
            self.time = self.time.max(time);
            return Ok(Progress::Records);
        }
        self.finish();
        Ok(Progress::End)
    }

    /// Reads no further, for now.
    pub(super) fn finish(&mut self) {
        self.close();
        self.position.done = true;
        self.ended = Some(self.length().unwrap_or(0));
    }

    /// Whether a file that was at its end has grown since. Only text grows.
    pub(super) fn has_grown(&mut self) -> bool {
        let grown = self.kind != Kind::Parquet
            && self.ended.is_some_and(|ended| self.length().is_some_and(|now| now > ended.max(self.position.next)));
        if grown {
            self.ended = None;
            self.position.done = false;
        }
        grown
    }

    fn length(&self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|m| m.len())
    }
}

impl std::fmt::Debug for EventFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventFile").field("name", &self.name).field("position", &self.position).finish_non_exhaustive()
    }
}
