//! Files that are committed together with a table.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::swap::{MARKER, parent};
use crate::IoError;

/// A file that appears beside a table in the same moment as the table.
///
/// See [`write_results`](crate::write_results).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Companion<'a> {
    /// Its name, without a folder; not beginning with `.` or `_`.
    pub name: &'a str,
    /// What it holds.
    pub contents: &'a [u8],
    /// Whether it stays, as a file of its own, when a later table comes without a file of this name.
    /// Otherwise it goes with its table.
    pub keep: bool,
}

impl<'a> Companion<'a> {
    /// A file that goes with its table.
    pub fn new(name: &'a str, contents: &'a [u8]) -> Self {
        Self { name, contents, keep: false }
    }

    /// A file that stays when a later table comes without it, a report for example.
    pub fn kept(name: &'a str, contents: &'a [u8]) -> Self {
        Self { name, contents, keep: true }
    }
}

/// The name within the folder of the table. Readers of tables skip names that start with `_`.
pub(super) fn inner(name: &str) -> String {
    format!("_{name}")
}

/// Checks that names are plain, different, and not taken by folders.
pub(super) fn check(table: &Path, files: &[Companion<'_>]) -> Result<(), IoError> {
    let mut seen = BTreeSet::new();
    for name in files.iter().map(|file| file.name) {
        let plain = !name.is_empty() && !name.starts_with(['.', '_']) && !name.contains(['/', '\\', '\n', '\0']);
        if !plain || !seen.insert(name) || table.file_name().is_some_and(|table| table == name) {
            let allowed = "different names without a folder, not beginning with . or _, other than that of the table";
            return Err(IoError::Setting { name: "companion", value: format!("`{name}`"), allowed });
        }
        let path = parent(table).join(name);
        if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            return Err(IoError::ForeignFiles { path, entry: "a folder where a file should be".into() });
        }
    }
    Ok(())
}

/// The text of the file that marks a table.
pub(super) fn marker(files: &[Companion<'_>]) -> String {
    let line = |file: &Companion<'_>| format!("{} {}\n", if file.keep { KEPT } else { FILE }, file.name);
    files.iter().map(line).fold("table 1\n".to_owned(), |text, line| text + &line)
}

/// The word in front of a name in the marker.
const FILE: &str = "file";
const KEPT: &str = "kept";

/// A file that a table was committed with, as its marker has it.
pub(super) struct Committed {
    pub(super) name: String,
    keep: bool,
}

/// The files that a table was committed with.
pub(super) fn committed(table: &Path) -> Vec<Committed> {
    let text = fs::read_to_string(table.join(MARKER)).unwrap_or_default();
    let file = |line: &str| {
        let (kind, name) = line.split_once(' ')?;
        matches!(kind, FILE | KEPT).then(|| Committed { name: name.to_owned(), keep: kind == KEPT })
    };
    text.lines().filter_map(file).collect()
}

/// Where a companion appears, and the link that leads into the table.
fn place(table: &Path, name: &str) -> (PathBuf, PathBuf) {
    let link = PathBuf::from(table.file_name().unwrap_or_default()).join(inner(name));
    (parent(table).join(name), link)
}

/// Before the table is exchanged: links for the names that are free, which lead nowhere until then, and
/// files in place of links to what stays.
pub(super) fn prepare(table: &Path, files: &[Companion<'_>], before: &[Committed]) -> Result<(), IoError> {
    for Committed { name, .. } in before.iter().filter(|old| old.keep && !is_among(files, &old.name)) {
        let (path, link) = place(table, name);
        if fs::read_link(&path).is_ok_and(|found| found == link) {
            let contents = fs::read(&path).map_err(IoError::file(&path))?;
            super::write_bytes(&path, &contents)?;
        }
    }
    for file in files {
        let (path, link) = place(table, file.name);
        if fs::symlink_metadata(&path).is_err() {
            // Where there are no links the files are copied afterwards.
            let _ = symlink(&link, &path);
        }
    }
    Ok(())
}

fn is_among(files: &[Companion<'_>], name: &str) -> bool {
    files.iter().any(|file| file.name == name)
}

/// After the table is exchanged: links in place of what else has the names, copies where there are no
/// links, and no links of an earlier table that lead nowhere now.
pub(super) fn finish(table: &Path, files: &[Companion<'_>], before: &[Committed]) -> Result<(), IoError> {
    for file in files {
        let (path, link) = place(table, file.name);
        if fs::read_link(&path).is_ok_and(|found| found == link) {
            continue;
        }
        let aside = parent(table).join(format!(".{}.funnelpulse-link", file.name));
        let _ = fs::remove_file(&aside);
        match symlink(&link, &aside) {
            Ok(()) => fs::rename(&aside, &path).map_err(IoError::file(&path))?,
            Err(_) => super::write_bytes(&path, file.contents)?,
        }
    }
    for Committed { name, .. } in before.iter().filter(|old| !is_among(files, &old.name)) {
        let (path, link) = place(table, name);
        if fs::read_link(&path).is_ok_and(|found| found == link) {
            fs::remove_file(&path).map_err(IoError::file(&path))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(link: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(link, path)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
