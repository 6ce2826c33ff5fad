//! A file, or a folder that grows.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::{ReadOptions, TimeReader};

use super::{
    Input, Polled, Positions, Source,
    files::{EventFile, Kind, Progress, Settings},
};
use crate::StreamError;

/// Files that are open at a time.
const OPEN: usize = 64;
/// Folders within folders that are looked into.
const DEPTH: usize = 16;

/// Whether a folder is read once or watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Its files as they are, to the end.
    Once,
    /// New files, and files that grow, are looked for at this interval.
    Watch(Duration),
}

/// Files of events: CSV (`.csv`, `.tsv`), JSON lines (`.jsonl`, `.ndjson`, `.json`) and Parquet (`.parquet`), in one
/// folder and the folders within it; hidden files and those that start with `_` are skipped.
///
/// Each file is a partition. The file whose records are the oldest is read next, so that files whose times overlap or
/// follow each other are merged by time, whatever their names: within a file, records may be out of order by as much as
/// the allowed lateness. A file at its end no longer holds windows open; when it grows, records of closed windows are late.
///
/// A file that can't be read at all counts as one broken record with the reason, and the others are read on.
///
/// ```
/// use std::time::Duration;
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::ReadOptions;
/// use funnelpulse_streaming::{FolderSource, Input, Polled, Reading, Source};
///
/// let folder = tempfile::tempdir()?;
/// let line = r#"{"event_time": "2019-10-01 00:00:00 UTC", "event_type": "view", "brand": "runail"}"#;
/// std::fs::write(folder.path().join("a.jsonl"), line)?;
/// let mut source =
///     FolderSource::new(folder.path(), &EventSpec::default(), &ReadOptions::default(), Reading::Once)?;
/// let mut events = 0;
/// let mut take = |input: Input<'_>| events += i32::from(matches!(input, Input::Event { .. }));
/// while source.poll(Duration::ZERO, &mut take)? != Polled::End {}
/// assert_eq!(events, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    settings: Settings,
    reading: Reading,
    files: Vec<EventFile>,
    places: BTreeMap<String, usize>,
    /// Positions of a checkpoint.
    from: Positions,
    scanned: Option<Instant>,
}

impl FolderSource {
    /// Reads this file or folder. It must be there.
    pub fn new(root: &Path, spec: &EventSpec, options: &ReadOptions, reading: Reading) -> Result<Self, StreamError> {
        std::fs::metadata(root).map_err(StreamError::file(root))?;
        spec.validate()?;
        let times = TimeReader::new(options).map_err(|e| StreamError::contents(root, e))?;
        let settings = Settings { spec: spec.clone(), times, bounded: reading == Reading::Once };
        let (files, places, from) = (Vec::new(), BTreeMap::new(), Positions::new());
        Ok(Self { root: root.to_path_buf(), settings, reading, files, places, from, scanned: None })
    }

    /// Looks for new files and for files that grew.
    fn scan(&mut self, take: &mut dyn FnMut(Input<'_>)) -> Result<(), StreamError> {
        for (place, file) in self.files.iter_mut().enumerate() {
            if file.has_grown() {
                take(Input::Assigned { partition: place as u32, name: &file.name, not_before: file.time });
            }
        }
        let mut found = Vec::new();
        if self.root.is_dir() {
            list(&self.root, &self.root, DEPTH, &mut found)?;
        } else if let Some(kind) = Kind::of(&self.root) {
            let name = self.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, self.root.clone(), kind));
        } else {
            return Err(StreamError::contents(&self.root, "not .csv, .tsv, .jsonl, .ndjson, .json or .parquet"));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, path, kind) in found {
            if !self.places.contains_key(&name) {
                self.add(name, path, kind, take);
            }
        }
        self.scanned = Some(Instant::now());
        Ok(())
    }

    fn add(&mut self, name: String, path: PathBuf, kind: Kind, take: &mut dyn FnMut(Input<'_>)) {
        let place = self.files.len();
        let position = self.from.get(&name).copied().unwrap_or_default();
        let mut file = EventFile::new(name.clone(), path, kind, position);
        self.places.insert(name, place);
        let partition = place as u32;
        // A file that was read to its end before is left alone until it grows.
        if position.done && !file.has_grown() {
            self.files.push(file);
            return;
        }
        match file.peek(&self.settings) {
            Ok(not_before) => {
                take(Input::Assigned { partition, name: &file.name, not_before });
            }
            Err(error) => {
                take(Input::Assigned { partition, name: &file.name, not_before: None });
                give_up(&mut file, partition, &error, take);
            }
        }
        self.files.push(file);
    }

    /// The file with the oldest records.
    fn next(&self) -> Option<usize> {
        let open = self.files.iter().enumerate().filter(|(_, file)| file.ended.is_none());
        open.min_by_key(|(_, file)| file.time.unwrap_or(Timestamp::from_micros(i64::MIN))).map(|(place, _)| place)
    }

    fn is_scan_due(&self) -> bool {
        match (self.scanned, self.reading) {
            (None, _) => true,
            (Some(_), Reading::Once) => false,
            (Some(at), Reading::Watch(interval)) => at.elapsed() >= interval,
        }
    }
}

impl Source for FolderSource {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        if self.is_scan_due() {
            self.scan(take)?;
        }
        let Some(place) = self.next() else {
            if self.reading == Reading::Once {
                return Ok(Polled::End);
            }
            std::thread::sleep(wait);
            return Ok(Polled::Nothing);
        };
        let partition = place as u32;
        if !self.files[place].is_open() && self.files.iter().filter(|f| f.is_open()).count() >= OPEN {
            self.files.iter_mut().for_each(EventFile::close);
        }
        match self.files[place].read(partition, &self.settings, take) {
            Ok(Progress::Records) => {}
            Ok(Progress::End) => take(Input::Finished { partition }),
            Err(error) => give_up(&mut self.files[place], partition, &error, take),
        }
        Ok(Polled::Records)
    }

    fn positions(&self) -> Positions {
        let mut positions = self.from.clone();
        positions.extend(self.files.iter().map(|file| (file.name.clone(), file.position)));
        positions
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        self.from = positions.clone();
        Ok(())
    }
}

/// A file that can't be read counts as one broken record.
fn give_up(file: &mut EventFile, partition: u32, error: &StreamError, take: &mut dyn FnMut(Input<'_>)) {
    file.finish();
    take(Input::Broken { partition, reason: error.to_string().into(), value: file.name.as_bytes() });
    take(Input::Finished { partition });
}

/// The files of a folder and of those within it, with their names below the root.
fn list(root: &Path, folder: &Path, depth: usize, found: &mut Vec<(String, PathBuf, Kind)>) -> Result<(), StreamError> {
    for entry in std::fs::read_dir(folder).map_err(StreamError::file(folder))? {
        let entry = entry.map_err(StreamError::file(folder))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() && depth > 0 {
            list(root, &path, depth - 1, found)?;
        } else if let Some(kind) = Kind::of(&path) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push((name, path, kind));
        }
    }
    Ok(())
}
