//! How large a table may become while it is read.

use std::{
    cell::Cell,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

use crate::{IoError, ReadOptions};

/// Most bytes of one record of a text file: a file of one line is no table.
pub(super) const MAX_RECORD: u64 = 64 << 20;

/// What is left of the rows and bytes that a table may have.
#[derive(Debug)]
pub(super) struct Budget {
    max_rows: u64,
    max_bytes: u64,
    rows: u64,
    bytes: u64,
    /// The columns that are kept; all by default.
    columns: Option<Vec<String>>,
}

impl Budget {
    /// For files of `size` bytes.
    pub(super) fn new(options: &ReadOptions, size: u64) -> Self {
        Self {
            max_rows: options.max_rows,
            max_bytes: options.bytes_for(size),
            rows: 0,
            bytes: 0,
            columns: options.columns.clone(),
        }
    }

    /// True if the values of a column are kept.
    pub(super) fn keeps(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|c| c == column))
    }

    /// The bytes that were read are gone again; the rows still count.
    pub(super) fn release(&mut self) {
        self.bytes = 0;
    }

    /// Counts rows and bytes that were read from a file.
    pub(super) fn take(&mut self, path: &Path, rows: u64, bytes: u64) -> Result<(), IoError> {
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
        self.check(path, 0, 0)
    }

    /// Refuses what would be too much on top of what was read.
    pub(super) fn check(&self, path: &Path, rows: u64, bytes: u64) -> Result<(), IoError> {
        if self.rows.saturating_add(rows) > self.max_rows {
            return Err(too_large(path, "rows", self.max_rows, "max_rows"));
        }
        if self.bytes.saturating_add(bytes) > self.max_bytes {
            return Err(self.too_many_bytes(path));
        }
        Ok(())
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.max_bytes.saturating_sub(self.bytes)
    }

    pub(super) fn too_many_bytes(&self, path: &Path) -> IoError {
        too_large(path, "bytes in memory", self.max_bytes, "max_bytes")
    }
}

fn too_large(path: &Path, unit: &'static str, limit: u64, setting: &'static str) -> IoError {
    IoError::TooLarge { path: path.to_path_buf(), unit, limit, setting }
}

/// How far a [`Metered`] reader has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    total: Rc<Cell<u64>>,
    record: Rc<Cell<u64>>,
}

impl Meter {
    /// A record ends here.
    pub(super) fn record(&self) {
        self.record.set(0);
    }

    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    pub(super) fn in_record(&self) -> u64 {
        self.record.get()
    }
}

/// Reads no more than a number of bytes, nor endless records.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    meter: Meter,
    most: u64,
}

impl<R: Read> Metered<R> {
    pub(super) fn new(inner: R, meter: Meter, most: u64) -> Self {
        Self { inner, meter, most }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for count in [&self.meter.total, &self.meter.record] {
            count.set(count.get().saturating_add(read as u64));
        }
        if self.meter.total() > self.most || self.meter.in_record() > MAX_RECORD {
            return Err(io::Error::other("too large"));
        }
        Ok(read)
    }
}
