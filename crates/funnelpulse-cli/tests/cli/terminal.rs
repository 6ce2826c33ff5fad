//! Standard streams that are closed or full.

use std::process::{Command, Stdio};

use crate::folder::{Folder, HEADER, ordinary};

fn command(folder: &Folder, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_funnelpulse"));
    command.current_dir(folder.path("")).args(line.split_whitespace());
    command
}

/// A pipe that nobody reads.
fn abandoned() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new();
    folder.write("in.csv", format!("{HEADER}{}", ordinary("a", 30)));
    for line in
        ["config show", "config schema", "run --input in.csv --output out", "demo --brands 1 --days 3 --out demo"]
    {
        let ended = command(&folder, line).stdout(abandoned()).stderr(Stdio::piped()).output().unwrap();
        assert!(ended.status.success(), "{line}: {}", ended.status);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!said.contains("panicked") && !said.contains("error"), "{line}: {said}");
    }
    assert!(folder.path("out/summary.json").exists() && folder.path("demo/report.html").exists());
}

#[test]
fn messages_that_nobody_reads_change_nothing() {
    let folder = Folder::new();
    let table = format!("{HEADER}{}{}", ordinary("a", 30), ordinary("short", 3));
    folder.write("in.csv", table);
    let run = "run --input in.csv --output out --strict";
    let ended = command(&folder, run).stdout(abandoned()).stderr(abandoned()).status().unwrap();
    assert_eq!(ended.code(), Some(3));
    let ended = command(&folder, "run --input none.csv --output out").stderr(abandoned()).status().unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = command(&folder, "config show").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8(ended.stderr).unwrap().starts_with("error: standard output: No space left"));
}
