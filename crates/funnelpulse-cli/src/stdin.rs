//! `-` as an input: the standard input, read to its end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

/// The first bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";
/// The first bytes of a file that gzip compressed.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The standard input as a file, which is gone when this is dropped.
pub(crate) struct Spooled {
    /// Holds the file.
    _folder: TempDir,
    path: PathBuf,
}

impl Spooled {
    /// Reads the standard input where `input` is `-`. Parquet, JSON lines and CSV are recognised by their first bytes.
    pub(crate) fn of(input: &Path) -> anyhow::Result<Option<Self>> {
        if input.as_os_str() != "-" {
            return Ok(None);
        }
        Self::read(BufReader::new(io::stdin().lock())).context("standard input").map(Some)
    }

    fn read(mut stream: impl BufRead) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(format!("standard-input.{}", ending(stream.fill_buf()?)));
        io::copy(&mut stream.by_ref(), &mut File::create(&path)?)?;
        Ok(Self { _folder: folder, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn ending(start: &[u8]) -> &'static str {
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    if start.starts_with(PARQUET) {
        "parquet"
    } else if start.starts_with(GZIP) {
        "csv.gz"
    } else if first == Some(&b'{') {
        "jsonl"
    } else {
        "csv"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_recognised_by_their_first_bytes() {
        let kinds = [(&b"PAR1\x15"[..], "parquet"), (b" {\"a\": 1}", "jsonl"), (b"a,b\n", "csv"), (b"", "csv")];
        for (start, kind) in kinds {
            assert_eq!(ending(start), kind);
        }
        let spooled = Spooled::read(&b"a\n1\n"[..]).unwrap();
        assert_eq!(std::fs::read(spooled.path()).unwrap(), b"a\n1\n");
    }
}
