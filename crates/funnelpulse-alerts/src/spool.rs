//! Alerts on disk until every sink has them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Alert, AlertsError};

/// Bytes of a spool with nothing pending beyond which it is emptied. The remembered ids take less.
const COMPACT: u64 = 4 << 20;
/// Ids of finished alerts that are remembered: as many as may wait by default.
const REMEMBERED: usize = 10_000;

/// The endings of the files that a spool has beside it.
pub(crate) const ENDINGS: [&str; 4] = ["lock", "new", "damaged", "rejected"];

/// One line: `crc32 json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Put {
        number: u64,
        sinks: BTreeSet<String>,
        alert: Arc<Alert>,
    },
    Done {
        number: u64,
        sink: String,
    },
    /// Alerts that every sink has taken or refused, the oldest first.
    Finished {
        ids: Vec<String>,
    },
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
    finished: Ids,
    /// Held as long as the spool is in use; the file itself is replaced when it is compacted.
    _lock: File,
}

/// What was found in a spool.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) damaged: usize,
    /// The first number that is free.
    pub(crate) next: u64,
    finished: Ids,
}

/// The ids that were added last.
#[derive(Clone, Debug, Default)]
struct Ids {
    order: VecDeque<String>,
    set: BTreeSet<String>,
}

impl Ids {
    fn add(&mut self, id: String) {
        if self.set.insert(id.clone()) {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
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
        let (file, bytes) = rewrite(path, &found.pending, &found.finished).map_err(failed)?;
        let finished = found.finished.clone();
        Ok((Self { path: path.to_owned(), file, bytes, finished, _lock: lock }, found))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an alert of this id is remembered as finished.
    pub(crate) fn has_finished(&self, id: &str) -> bool {
        self.finished.set.contains(id)
    }

    /// Puts an alert on disk; returns when it is there.
    pub(crate) fn put(&mut self, number: u64, pending: &Pending) -> io::Result<()> {
        self.append(&put(number, pending))?;
        self.file.sync_data()
    }

    /// Notes that a sink took or refused an alert, and its id when it was the last sink; returns
    /// when that is on disk.
    pub(crate) fn done(&mut self, number: u64, sink: &str, last: Option<String>) -> io::Result<()> {
        if let Some(id) = last {
            self.finished.add(id);
        }
        self.append(&Record::Done { number, sink: sink.to_owned() })?;
        self.file.sync_data()
    }

    /// Empties a large file of which nothing is pending any more.
    pub(crate) fn compact(&mut self, pending: &BTreeMap<u64, Pending>) -> io::Result<()> {
        if pending.is_empty() && self.bytes > COMPACT {
            (self.file, self.bytes) = rewrite(&self.path, pending, &self.finished)?;
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

    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = file;
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

/// How many alerts wait in a spool that nobody needs to hold.
pub(crate) fn peek(path: &Path) -> io::Result<usize> {
    match fs::read(path) {
        Ok(bytes) => Ok(read(&bytes).pending.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

fn put(number: u64, pending: &Pending) -> Record {
    Record::Put { number, sinks: pending.sinks.clone(), alert: pending.alert.clone() }
}

pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
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
                found.next = found.next.max(number.saturating_add(1));
                found.pending.insert(number, Pending { alert, sinks });
            }
            Some(Record::Done { number, sink }) => {
                let Some(pending) = found.pending.get_mut(&number) else { continue };
                pending.sinks.remove(&sink);
                if pending.sinks.is_empty() {
                    found.finished.add(pending.alert.id.clone());
                    found.pending.remove(&number);
                }
            }
            Some(Record::Finished { ids }) => ids.into_iter().for_each(|id| found.finished.add(id)),
            None => found.damaged += 1,
        }
    }
    found.pending.retain(|_, pending| !pending.sinks.is_empty());
    found
}

/// Writes a new file with what is pending and the ids of what is finished, and puts it in the place
/// of the old one, all or nothing.
fn rewrite(path: &Path, pending: &BTreeMap<u64, Pending>, finished: &Ids) -> io::Result<(File, u64)> {
    let fresh = beside(path, "new");
    let mut file = File::create(&fresh)?;
    let mut lines: Vec<u8> = pending.iter().flat_map(|(number, p)| line(&put(*number, p))).collect();
    if !finished.order.is_empty() {
        lines.extend(line(&Record::Finished { ids: finished.order.iter().cloned().collect() }));
    }
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
        spool.done(7, "x", None).unwrap();
        spool.done(8, "x", Some("b".into())).unwrap();
        drop(spool);
        // Twice: what is remembered survives that the file is written anew.
        drop(Spool::open(&path).unwrap());
        let (spool, found) = Spool::open(&path).unwrap();
        assert!(spool.has_finished("b") && !spool.has_finished("a"));
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

    /// A spool that is there and can't be read must not be replaced by an empty one.
    #[cfg(unix)]
    #[test]
    fn a_spool_that_cannot_be_read_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(matches!(Spool::open(&path), Err(AlertsError::File { .. })));
        assert!(path.is_symlink());
    }
}
