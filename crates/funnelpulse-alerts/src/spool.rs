//! Alerts on disk until every sink has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Alert, AlertsError};

/// Bytes of a spool with nothing pending beyond which it is emptied.
const COMPACT: u64 = 1 << 20;

/// One line: `crc32 json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Put { number: u64, sinks: BTreeSet<String>, alert: Arc<Alert> },
    Done { number: u64, sink: String },
}

/// An alert and the sinks that still lack it.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) alert: Arc<Alert>,
    pub(crate) sinks: BTreeSet<String>,
}

/// An append-only file of what came and what was delivered.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Held as long as the spool is in use; the file itself is replaced when it is compacted.
    _lock: File,
}

/// What was found in a spool.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) damaged: usize,
}

impl Spool {
    /// Opens or creates a spool. Damaged lines are counted and left out, and a copy of the file
    /// that has them is kept beside it, with the ending `damaged`.
    pub(crate) fn open(path: &Path) -> Result<(Self, Found), AlertsError> {
        let failed = |e| AlertsError::file(path, e);
        let lock = File::create(beside(path, "lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AlertsError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let found = match fs::read(path) {
            Ok(bytes) => read(&bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Found::default(),
            Err(e) => return Err(failed(e)),
        };
        if found.damaged > 0 {
            fs::copy(path, beside(path, "damaged")).map_err(failed)?;
        }
        let (file, bytes) = rewrite(path, &found.pending).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, bytes, _lock: lock }, found))
    }

    /// Puts an alert on disk; returns when it is there.
    pub(crate) fn put(&mut self, number: u64, pending: &Pending) -> io::Result<()> {
        self.append(&put(number, pending))?;
        self.file.sync_data()
    }

    /// Notes a delivery. Not synced: after a crash at the worst moment an alert comes twice.
    pub(crate) fn done(&mut self, number: u64, sink: &str) -> io::Result<()> {
        self.append(&Record::Done { number, sink: sink.to_owned() })
    }

    /// Empties a large file of which nothing is pending any more.
    pub(crate) fn compact(&mut self, pending: &BTreeMap<u64, Pending>) -> io::Result<()> {
        if pending.is_empty() && self.bytes > COMPACT {
            (self.file, self.bytes) = rewrite(&self.path, pending)?;
        }
        Ok(())
    }

    /// Keeps an alert that a sink will never take, beside the spool, with the ending `rejected`.
    pub(crate) fn reject(&self, alert: &Alert, sink: &str, reason: &str) -> io::Result<()> {
        let line = serde_json::json!({ "sink": sink, "reason": reason, "alert": alert });
        let mut file = OpenOptions::new().create(true).append(true).open(beside(&self.path, "rejected"))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = line(record);
        let result = self.file.write_all(&line);
        self.bytes += line.len() as u64;
        if result.is_err() {
            // Half a line may be there, on a full disk; the next one must not be glued to it.
            let _ = self.file.write_all(b"\n");
        }
        result
    }
}

fn put(number: u64, pending: &Pending) -> Record {
    Record::Put { number, sinks: pending.sinks.clone(), alert: pending.alert.clone() }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn line(record: &Record) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("text and numbers are always JSON");
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    line
}

fn parse(line: &[u8]) -> Option<Record> {
    let (crc, json) = line.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(json) == crc { serde_json::from_slice(json).ok() } else { None }
}

fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        match parse(line) {
            Some(Record::Put { number, sinks, alert }) => {
                found.pending.insert(number, Pending { alert, sinks });
            }
            Some(Record::Done { number, sink }) => {
                if let Some(pending) = found.pending.get_mut(&number) {
                    pending.sinks.remove(&sink);
                }
            }
            None => found.damaged += 1,
        }
    }
    found.pending.retain(|_, pending| !pending.sinks.is_empty());
    found
}

/// Writes a new file with what is pending and puts it in the place of the old one, all or nothing.
fn rewrite(path: &Path, pending: &BTreeMap<u64, Pending>) -> io::Result<(File, u64)> {
    let fresh = beside(path, "new");
    let mut file = File::create(&fresh)?;
    let lines: Vec<u8> = pending.iter().flat_map(|(number, p)| line(&put(*number, p))).collect();
    file.write_all(&lines)?;
    file.sync_data()?;
    fs::rename(&fresh, path)?;
    // The new name must be on disk too before anything relies on it.
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok((OpenOptions::new().append(true).open(path)?, lines.len() as u64))
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::{Severity, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn pending(name: &str, sinks: &[&str]) -> Pending {
        let alert = Alert::new(name, Severity::Low, Timestamp::from_seconds(0));
        Pending { alert: Arc::new(alert), sinks: sinks.iter().map(|s| (*s).to_owned()).collect() }
    }

    #[test]
    fn what_was_not_delivered_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let (mut spool, found) = Spool::open(&path).unwrap();
        assert!(found.pending.is_empty());
        assert!(matches!(Spool::open(&path), Err(AlertsError::Locked { .. })));
        spool.put(7, &pending("a", &["x", "y"])).unwrap();
        spool.put(8, &pending("b", &["x"])).unwrap();
        spool.done(7, "x").unwrap();
        spool.done(8, "x").unwrap();
        drop(spool);
        let (_, found) = Spool::open(&path).unwrap();
        assert_eq!(found.pending.len(), 1);
        assert_eq!(found.pending[&7].sinks, BTreeSet::from(["y".to_owned()]));
        assert_eq!(found.pending[&7].alert.incident, "a");
    }

    #[test]
    fn damaged_lines_cost_only_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let (mut spool, _) = Spool::open(&path).unwrap();
        for number in 0..3 {
            spool.put(number, &pending(&number.to_string(), &["x"])).unwrap();
        }
        drop(spool);
        let mut bytes = fs::read(&path).unwrap();
        let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 40;
        bytes[second] ^= 1;
        bytes.truncate(bytes.len() - 10);
        fs::write(&path, &bytes).unwrap();
        let (spool, found) = Spool::open(&path).unwrap();
        assert_eq!((found.damaged, found.pending.keys().copied().collect::<Vec<_>>()), (2, vec![0]));
        assert_eq!(fs::read(beside(&path, "damaged")).unwrap(), bytes);
        drop(spool);
        assert_eq!(Spool::open(&path).unwrap().1.damaged, 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).pending.is_empty());
        }
    }
}
