//! Outputs are checked before the work: a path that can't be written costs no time.

use std::{fs::OpenOptions, path::Path};

use anyhow::bail;

/// Checks a folder that is made, with those above it, where it is missing.
pub(crate) fn folder(option: &str, path: &Path) -> anyhow::Result<()> {
    made(option, path, path)
}

/// Checks that the folder of an output can be made, or written where it is there.
fn made(option: &str, path: &Path, folder: &Path) -> anyhow::Result<()> {
    let present = folder.ancestors().find(|folder| folder.exists());
    let present = present.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !present.is_dir() {
        bail!("{option} {}: {} is a file, not a folder", path.display(), present.display());
    }
    writable(option, path, present)
}

/// Checks a file that is written whole and then gets its name.
pub(crate) fn staged(option: &str, path: &Path) -> anyhow::Result<()> {
    refuse_folder(option, path)?;
    writable(option, path, parent(path))
}

/// The same for a table, which may go to the standard output.
pub(crate) fn table(option: &str, path: &Path) -> anyhow::Result<()> {
    if path.as_os_str() == "-" { Ok(()) } else { staged(option, path) }
}

/// Checks a file that is written in its place, which may be a device or a pipe.
pub(crate) fn in_place(option: &str, path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    refuse_folder(option, path)?;
    if !path.exists() {
        return writable(option, path, parent(path));
    }
    // A pipe without a reader would not open.
    if path.is_file()
        && let Err(error) = OpenOptions::new().append(true).open(path)
    {
        bail!("{option} {}: the file can't be written: {error}", path.display());
    }
    Ok(())
}

/// Checks a report, whose folder is made where it is missing.
pub(crate) fn report(option: &str, path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    refuse_folder(option, path)?;
    made(option, path, parent(path))
}

/// Checks a model: a file where its name has an extension, else a folder.
pub(crate) fn model(option: &str, path: &Path) -> anyhow::Result<()> {
    if path.extension().is_some() && !path.is_dir() { staged(option, path) } else { folder(option, path) }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refuse_folder(option: &str, path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{option} {}: this is a folder, the name of a file is needed", path.display());
    }
    Ok(())
}

/// Makes a file without a name in the folder, which leaves nothing behind.
fn writable(option: &str, path: &Path, folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        bail!("{option} {}: there is no folder {}", path.display(), folder.display());
    }
    if let Err(error) = tempfile::tempfile_in(folder) {
        bail!("{option} {}: the folder {} can't be written: {error}", path.display(), folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(result: anyhow::Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_written_is_accepted_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        folder("--output", &at("a/b/c")).unwrap();
        folder("--output", Path::new("a")).unwrap();
        table("--output", &at("x.csv")).unwrap();
        table("--output", Path::new("-")).unwrap();
        in_place("--plot", Some(&at("x.svg"))).unwrap();
        report("--report", Some(&at("new/x.html"))).unwrap();
        model("--model", &at("new/model")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_can_not_be_written_is_named_with_its_option() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        let missing = refused(table("--output", &at("none/x.csv")));
        assert!(missing.starts_with("--output") && missing.contains("there is no folder"), "{missing}");
        assert!(refused(model("--model", &at("none/x.fpm"))).contains("there is no folder"));
        assert!(refused(in_place("--plot", Some(&at("none/x.svg")))).contains("there is no folder"));
        assert!(refused(folder("--out", &at("file/out"))).contains("is a file, not a folder"));
        assert!(refused(report("--report", Some(&at("file/x.html")))).contains("is a file, not a folder"));
        assert!(refused(staged("--state", dir.path())).contains("this is a folder"));
        // Even root can't make a file there.
        if cfg!(target_os = "linux") {
            let refused = refused(folder("--output", Path::new("/proc/out")));
            assert!(refused.contains("the folder /proc can't be written"), "{refused}");
        }
    }
}
