//! Replacing a folder in one step, and finding the way back when that was interrupted.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    companions::{self, Companion},
    hive,
    partitioned::PART,
};
use crate::IoError;

/// The file that marks a folder as a table of ours. Readers of the Hadoop world skip names that
/// start with `_`.
pub(super) const MARKER: &str = "_FUNNELPULSE";

/// The moments at which a run can be killed, for the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The new table is complete, the previous one untouched.
    Staged,
    /// The previous table is aside, the new one not yet in place.
    Between,
    /// The new table is in place, the previous one not yet removed.
    Swapped,
}

/// The two hidden folders beside a table.
struct Siblings {
    staging: PathBuf,
    previous: PathBuf,
}

impl Siblings {
    fn of(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_string_lossy();
        let beside = |kind: &str| parent(folder).join(format!(".{name}.funnelpulse-{kind}"));
        Some(Self { staging: beside("staging"), previous: beside("previous") })
    }
}

/// The folder that holds `path`.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The folder that is meant: behind links, and with a name even where the path ends in `..`.
fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| match fs::read_link(path) {
        Ok(target) => parent(path).join(target),
        Err(_) => path.to_path_buf(),
    })
}

/// Puts names that were just written into a folder on the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), IoError> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(IoError::file(folder))?;
    }
    Ok(())
}

/// The previous table of a replacement that was killed half way, when `folder` itself is gone.
pub(crate) fn previous_of_interrupted(folder: &Path) -> Option<PathBuf> {
    let folder = resolve(folder);
    let previous = Siblings::of(&folder)?.previous;
    (!folder.exists() && previous.is_dir()).then_some(previous)
}

/// Cleans up after a run of [`write_partitioned`](crate::write_partitioned) that was killed: puts
/// the previous table back if it had been moved aside, and removes what was half written. Every
/// write does this first. Returns whether there was anything to do.
pub fn recover(folder: &Path) -> Result<bool, IoError> {
    let folder = &resolve(folder);
    let Some(siblings) = Siblings::of(folder) else { return Ok(false) };
    let _turn = lock(&parent(folder));
    recover_locked(folder, &siblings)
}

fn recover_locked(folder: &Path, siblings: &Siblings) -> Result<bool, IoError> {
    let mut found = false;
    if is_there(&siblings.previous) {
        found = true;
        if is_there(folder) {
            remove_table(&siblings.previous)?;
        } else {
            fs::rename(&siblings.previous, folder).map_err(IoError::file(folder))?;
        }
    }
    if is_there(&siblings.staging) {
        found = true;
        remove_table(&siblings.staging)?;
    }
    Ok(found)
}

/// Lets `write` fill a folder, which then takes the place of `folder`. Returns whether there was a
/// table before. The files appear beside `folder` in the same moment.
pub(super) fn replace(
    folder: &Path,
    files: &[Companion<'_>],
    write: impl FnOnce(&Path) -> Result<(), IoError>,
) -> Result<bool, IoError> {
    replace_until(folder, files, write, true, |_| Ok(()))
}

/// The same, with a say at every moment, and with or without the exchange in one step.
pub(super) fn replace_until(
    folder: &Path,
    files: &[Companion<'_>],
    write: impl FnOnce(&Path) -> Result<(), IoError>,
    exchange: bool,
    at: impl Fn(Moment) -> Result<(), IoError>,
) -> Result<bool, IoError> {
    let (named, folder) = (folder, &resolve(folder));
    companions::check(named, files)?;
    let Some(siblings) = Siblings::of(folder) else {
        return Err(IoError::Unsupported { path: folder.clone(), reason: "not a folder that can be replaced".into() });
    };
    let parent = parent(folder);
    fs::create_dir_all(&parent).map_err(IoError::file(&parent))?;
    let _turn = lock(&parent);
    recover_locked(folder, &siblings)?;
    let replaces = is_there(folder);
    if replaces {
        check_ours(folder)?;
    }
    let before = companions::committed(folder);
    let staged = stage(&siblings.staging, files, write);
    if let Err(error) = staged {
        // The first error is the one to report; what is left is removed by the next run.
        let _ = remove_table(&siblings.staging);
        return Err(error);
    }
    at(Moment::Staged)?;
    companions::prepare(named, files, &before)?;
    let exchanged = replaces && exchange && exchange_folders(&siblings.staging, folder);
    if exchanged {
        at(Moment::Swapped)?;
        companions::finish(named, files, &before)?;
        sync_folder(&parent)?;
        remove_table(&siblings.staging)?;
        return Ok(true);
    }
    if replaces {
        if let Err(error) = fs::rename(folder, &siblings.previous) {
            recover_locked(folder, &siblings)?;
            return Err(IoError::file(folder)(error));
        }
        sync_folder(&parent)?;
        at(Moment::Between)?;
    }
    if let Err(error) = fs::rename(&siblings.staging, folder) {
        recover_locked(folder, &siblings)?;
        return Err(IoError::file(folder)(error));
    }
    at(Moment::Swapped)?;
    companions::finish(named, files, &before)?;
    sync_folder(&parent)?;
    if replaces {
        remove_table(&siblings.previous)?;
    }
    Ok(replaces)
}

fn stage(
    staging: &Path,
    files: &[Companion<'_>],
    write: impl FnOnce(&Path) -> Result<(), IoError>,
) -> Result<(), IoError> {
    fs::create_dir(staging).map_err(IoError::file(staging))?;
    let put = |name: &str, contents: &[u8]| {
        let path = staging.join(name);
        let sync = |()| File::open(&path)?.sync_all();
        fs::write(&path, contents).and_then(sync).map_err(IoError::file(&path))
    };
    // First, so that what a kill leaves behind is known to be ours.
    put(MARKER, companions::marker(files).as_bytes())?;
    for file in files {
        put(&companions::inner(file.name), file.contents)?;
    }
    write(staging)?;
    sync_folder(staging)
}

/// Whether the name is taken, be it by a link to nowhere.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Holds others off until dropped. File systems that can't lock have to do without.
#[cfg(unix)]
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).ok()?;
    Some(folder)
}

#[cfg(not(unix))]
fn lock(_: &Path) -> Option<File> {
    None
}

/// Exchanges two folders in one step, where the file system can.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn exchange_folders(a: &Path, b: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn exchange_folders(_: &Path, _: &Path) -> bool {
    false
}

fn remove_table(folder: &Path) -> Result<(), IoError> {
    check_ours(folder)?;
    for (name, is_dir) in entries(folder)?.iter().filter(|(name, _)| name != MARKER) {
        let path = folder.join(name);
        let removed = if *is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(IoError::file(&path))?;
    }
    // The marker goes last: what a kill leaves behind is still known to be ours.
    let marker = folder.join(MARKER);
    if is_there(&marker) {
        fs::remove_file(&marker).map_err(IoError::file(&marker))?;
    }
    fs::remove_dir(folder).map_err(IoError::file(folder))
}

/// Refuses a folder that is neither empty nor a table of ours and nothing besides.
fn check_ours(folder: &Path) -> Result<(), IoError> {
    let foreign = |entry: String| Err(IoError::ForeignFiles { path: folder.to_path_buf(), entry });
    if !fs::symlink_metadata(folder).map_err(IoError::file(folder))?.is_dir() {
        return foreign("a file where the folder should be".into());
    }
    let entries = entries(folder)?;
    if !entries.is_empty() && !entries.iter().any(|(name, is_dir)| name == MARKER && !is_dir) {
        return foreign(format!("`{}` but no file `{MARKER}`", entries[0].0));
    }
    let files: Vec<String> = companions::committed(folder).iter().map(|file| companions::inner(&file.name)).collect();
    for (name, is_dir) in &entries {
        if *is_dir && hive::parse(name).is_some() {
            if let Some((file, _)) = self::entries(&folder.join(name))?.iter().find(|(file, dir)| *dir || file != PART)
            {
                return foreign(format!("`{name}/{file}`"));
            }
        } else if *is_dir || !(name == MARKER || name == PART || files.contains(name)) {
            return foreign(format!("`{name}`"));
        }
    }
    Ok(())
}

/// The names in a folder, in order, and whether they are folders. A link is no folder.
fn entries(folder: &Path) -> Result<Vec<(String, bool)>, IoError> {
    let read = || -> io::Result<Vec<(String, bool)>> {
        let mut entries = fs::read_dir(folder)?
            .map(|entry| {
                entry.and_then(|e| Ok((e.file_name().to_string_lossy().into_owned(), e.file_type()?.is_dir())))
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        Ok(entries)
    };
    read().map_err(IoError::file(folder))
}
