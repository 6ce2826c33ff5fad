//! A folder to run commands in.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::{Command, assert::Assert};
use funnelpulse::{
    core::Timestamp,
    io::{Table, write_file},
};
use predicates::str::contains;
use tempfile::TempDir;

pub(crate) const HEADER: &str = "window_start,brand,views,carts,purchases,revenue\n";

/// Names of files and folders with what the files hold.
pub(crate) type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A temporary folder in which commands run, so that they see short paths.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    pub(crate) fn table(&self, name: &str) -> Table {
        Table::read(&self.path(name)).unwrap()
    }

    /// The command with the words of `line` as its arguments.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_funnelpulse"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Assert {
        self.command(line).assert()
    }

    /// Runs a command that should succeed, and gives what it prints.
    pub(crate) fn output(&self, line: &str) -> String {
        stdout(&self.run(line).success())
    }

    /// Runs a command that should fail with `message` and leave everything as it was.
    pub(crate) fn refuses(&self, line: &str, message: &str) {
        let before = self.contents("");
        self.run(line).code(1).stdout("").stderr(contains(message));
        assert!(self.contents("") == before, "{line} wrote something");
    }

    /// Everything under `name`.
    pub(crate) fn contents(&self, name: &str) -> Contents {
        let mut contents = Contents::new();
        collect(&self.path(name), &self.path(name), &mut contents);
        contents
    }

    /// Labelled hours of a small generated shop, as `shop/hourly.parquet` and in `hours.csv`.
    pub(crate) fn with_shop(self) -> Self {
        self.output("generate --out shop --brands 3 --days 20 --difficulty easy");
        write_file(&self.path("hours.csv"), &self.table("shop/hourly.parquet").batches()[0]).unwrap();
        self
    }
}

fn collect(root: &Path, folder: &Path, contents: &mut Contents) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_path_buf();
        // Files that were committed together with a table are no part of it.
        if name.file_name().is_some_and(|n| n.to_string_lossy().starts_with('_')) {
            continue;
        }
        if path.is_dir() {
            contents.insert(name, None);
            collect(root, &path, contents);
        } else {
            contents.insert(name, Some(fs::read(&path).unwrap()));
        }
    }
}

pub(crate) fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

pub(crate) fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The time of an hour, counted from zero.
pub(crate) fn hour(number: usize) -> String {
    let start = funnelpulse::core::parse_timestamp("2019-10-01").unwrap();
    Timestamp::from_micros(start.as_micros() + number as i64 * Timestamp::HOUR).to_string()
}

/// CSV rows of ordinary hours of a brand, without the header.
pub(crate) fn ordinary(brand: &str, hours: usize) -> String {
    let mut text = String::new();
    for h in 0..hours {
        let views = 200 + 40 * (h % 24) + (h * 7919) % 23;
        let (carts, purchases) = (views / 4 + h % 5, views / 12 + h % 3);
        writeln!(text, "{},{brand},{views},{carts},{purchases},{}.5", hour(h), 20 * purchases).unwrap();
    }
    text
}
