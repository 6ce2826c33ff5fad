//! Files that appear whole or not at all.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use crate::PipelineError;

/// How the names of files that are being written begin and end: as `funnelpulse-io` names its own, so that
/// either removes what the other left behind.
const PREFIX: &str = ".funnelpulse-";
const SUFFIX: &str = ".tmp";
/// A file that is younger may belong to a writer that has not locked it yet.
const LEAST_AGE: Duration = Duration::from_secs(60);

/// Writes a temporary file beside `path`, then renames it. What writers that were killed left in the
/// folder is removed first.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    let fail = |source| PipelineError::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_abandoned(folder);
    let mut file = readable().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder).map_err(fail)?;
    // File systems that can't lock have to do without: there the age of a file decides alone.
    let _ = file.as_file().try_lock();
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Temporary files are private; a model is read by whoever may read any other new file.
fn readable() -> tempfile::Builder<'static, 'static> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "permissions are Unix permissions"))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Removes files that nobody is writing any more. What can't be removed is left for the next time.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
    let is_free = |file: File| !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
    metadata.is_file() && age.is_some_and(|age| age >= LEAST_AGE) && File::open(path).is_ok_and(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_killed_writers_are_removed_and_files_in_use_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let long_ago = std::time::SystemTime::now() - 10 * LEAST_AGE;
        let mut held = Vec::new();
        for name in [".funnelpulse-dead.tmp", ".funnelpulse-busy.tmp", "other.tmp"] {
            let file = File::create(path(name)).unwrap();
            file.set_modified(long_ago).unwrap();
            if name.contains("busy") {
                file.lock().unwrap();
                held.push(file);
            }
        }
        File::create(path(".funnelpulse-young.tmp")).unwrap();
        write(&path("shop.model"), b"x").unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".funnelpulse-busy.tmp", ".funnelpulse-young.tmp", "other.tmp", "shop.model"]);
    }
}
