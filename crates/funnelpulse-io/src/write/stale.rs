//! What writers that were killed left behind.

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

/// How the names of files that are being written begin and end.
pub(super) const PREFIX: &str = ".funnelpulse-";
pub(super) const SUFFIX: &str = ".tmp";
/// A file that is younger may belong to a writer that has not locked it yet.
const LEAST_AGE: Duration = Duration::from_secs(60);

/// Marks a file as being written, until it is closed. File systems that can't lock have to do without:
/// there the age of a file decides alone.
pub(super) fn hold(file: &File) {
    let _ = lock(file);
}

/// Removes files that nobody is writing any more. What can't be removed is left for the next time.
pub(super) fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = entry.path();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && is_abandoned(&path) {
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
    metadata.is_file()
        && age.is_some_and(|age| age >= LEAST_AGE)
        && File::open(path).is_ok_and(|file| lock(&file).unwrap_or(true))
}

/// Whether the lock was free; an error where there are no locks.
#[cfg(unix)]
fn lock(file: &File) -> std::io::Result<bool> {
    use rustix::{fs::FlockOperation, io::Errno};
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn lock(_: &File) -> std::io::Result<bool> {
    Err(std::io::ErrorKind::Unsupported.into())
}
