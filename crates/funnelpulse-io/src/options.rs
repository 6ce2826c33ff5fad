//! How tables are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IoError;

/// Bytes that a table may take whatever the size of its files: 1 GiB.
const LEAST_BYTES: u64 = 1 << 30;
/// Bytes that a table may take for each byte of its files. Text takes about as much as its file;
/// columns of Parquet that compress well take 20 to 50 times as much.
const EXPANSION: u64 = 200;

/// Settings of [`Table::read_with`](crate::Table::read_with).
///
/// The limits are there for files that are damaged or made to do harm: a few megabytes that become
/// more than the machine has. Tables that people work with stay far below.
///
/// ```
/// use funnelpulse_io::{ReadOptions, Table};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("hours.csv");
/// std::fs::write(&path, "hour,views\n2019-10-01,12\n2019-10-02,9\n")?;
/// let options = ReadOptions { max_rows: 1, ..ReadOptions::default() };
/// let error = Table::read_with(&path, &options).unwrap_err().to_string();
/// assert!(error.ends_with("the table has more than 1 rows, the most that max_rows allows; raise it where that is meant"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Most rows of a table, 1 to 1000000000000.
    pub max_rows: u64,
    /// Most bytes that a table may take in memory, from 1048576. By default 200 times the size of its
    /// files, and at least 1073741824 (1 GiB).
    pub max_bytes: Option<u64>,
    /// Add a column of this name that says which file each row is from: the path within the folder,
    /// without the ending. Sub-folders whose names are no Hive partitions are then read too.
    pub file_column: Option<String>,
    /// The IANA time zone of times without an offset, for example `Europe/Berlin`; UTC by default. A
    /// time that comes twice, when clocks are set back, is the first of the two; of rows of a panel
    /// the second such row of a series is the second. A time that is skipped, when clocks are set
    /// forward, is as much later.
    pub timezone: Option<String>,
    /// What numbers in a column of times are.
    pub epoch: Epoch,
    /// The columns whose values are kept, as far as they are there; all by default. Of the others
    /// only the names are known. Chosen by the program that reads, not in a configuration.
    #[serde(skip)]
    pub columns: Option<Vec<String>>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_rows: 1_000_000_000,
            max_bytes: None,
            file_column: None,
            timezone: None,
            epoch: Epoch::Auto,
            columns: None,
        }
    }
}

/// What numbers in a column of times are: time since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Epoch {
    /// By their size: seconds from 10^8 (the year 1973), milliseconds from 10^11, microseconds from
    /// 10^14, nanoseconds from 10^17. Smaller numbers are no times, nor are numbers such as
    /// 2019100113 that are also read as year, month, day and hour.
    #[default]
    Auto,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl ReadOptions {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), IoError> {
        let wrong = |name, value: String, allowed| Err(IoError::Setting { name, value, allowed });
        if !(1..=1_000_000_000_000).contains(&self.max_rows) {
            return wrong("max_rows", self.max_rows.to_string(), "1 to 1000000000000");
        }
        if let Some(bytes) = self.max_bytes.filter(|bytes| *bytes < 1 << 20) {
            return wrong("max_bytes", bytes.to_string(), "1048576 or more");
        }
        if let Some(name) = self.file_column.as_ref().filter(|name| name.trim().is_empty()) {
            return wrong("file_column", format!("`{name}`"), "a name that is not empty");
        }
        if let Some(name) = self.timezone.as_ref().filter(|name| jiff::tz::TimeZone::get(name).is_err()) {
            return wrong(
                "timezone",
                format!("`{name}`"),
                "a name of the IANA time zone database, such as Europe/Berlin",
            );
        }
        Ok(())
    }

    /// The most bytes for files of this size.
    pub(crate) fn bytes_for(&self, files: u64) -> u64 {
        self.max_bytes.unwrap_or_else(|| files.saturating_mul(EXPANSION).max(LEAST_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_checked() {
        let refused = |options: ReadOptions| options.validate().unwrap_err().to_string();
        let good = ReadOptions::default;
        good().validate().unwrap();
        assert_eq!(refused(ReadOptions { max_rows: 0, ..good() }), "max_rows = 0 is out of range (1 to 1000000000000)");
        let error = refused(ReadOptions { max_bytes: Some(1), ..good() });
        assert_eq!(error, "max_bytes = 1 is out of range (1048576 or more)");
        assert!(refused(ReadOptions { file_column: Some(" ".into()), ..good() }).starts_with("file_column = ` `"));
        let error = refused(ReadOptions { timezone: Some("Europe/Berln".into()), ..good() });
        assert!(error.starts_with("timezone = `Europe/Berln` is out of range (a name of the IANA"), "{error}");
        let json = r#"{"timezone": "Europe/Berlin", "epoch": "milliseconds", "max_bytes": 9000000}"#;
        serde_json::from_str::<ReadOptions>(json).unwrap().validate().unwrap();
        assert!(serde_json::from_str::<ReadOptions>(r#"{"max_row": 1}"#).is_err());
    }
}
