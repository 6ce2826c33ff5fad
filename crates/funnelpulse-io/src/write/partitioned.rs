//! Partitioned Parquet.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, RecordBatch, UInt64Array},
    compute::take_record_batch,
};

use super::{companions::Companion, hive, swap, write_parquet_file};
use crate::{IoError, cells};

/// The name of the only file of a partition.
pub(super) const PART: &str = "part-0.parquet";

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteReport {
    /// The folder.
    pub path: PathBuf,
    /// Rows written.
    pub rows: usize,
    /// The folders of the partitions, in order.
    pub partitions: Vec<String>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether a folder was there before.
    pub replaced: bool,
}

/// Writes a table into a folder of Parquet files (Zstandard), one per value of `partition_column`:
/// `window_date=2019-10-01/part-0.parquet`. As Hive and Spark do, the partition column itself is
/// left out of the files, and null is `__HIVE_DEFAULT_PARTITION__`. A table without rows is a
/// single file that has all columns.
///
/// **All or nothing.** The table is first written completely to a hidden folder beside `folder`,
/// and is on the disk before it takes the place of the previous one. Linux file systems exchange
/// the two in one step. Elsewhere the previous table is moved aside for the moment in between, and
/// when the process is killed in that moment [`Table::read`](crate::Table::read) finds it there and
/// the next run, or [`recover`](crate::recover), puts it back. Leftovers of a killed run are removed
/// by the next one. Two processes that write to the same place take turns.
///
/// **Nothing else is ever deleted.** A folder that is there already is replaced only when it is
/// empty or holds a table written by this function and nothing besides.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
/// use funnelpulse_io::{Table, write_partitioned};
///
/// let date: ArrayRef = Arc::new(StringArray::from(vec!["2019-10-01", "2019-10-02", "2019-10-01"]));
/// let score: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 0.2, 0.3]));
/// let batch = RecordBatch::try_from_iter([("window_date", date), ("score", score)])?;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("anomalies");
/// let report = write_partitioned(&path, &batch, "window_date")?;
/// assert_eq!(report.partitions, ["window_date=2019-10-01", "window_date=2019-10-02"]);
/// assert_eq!(Table::read(&path)?.f64_column("score")?, [0.1, 0.3, 0.2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_partitioned(folder: &Path, batch: &RecordBatch, partition_column: &str) -> Result<WriteReport, IoError> {
    write_results(folder, batch, partition_column, &[])
}

/// The same, together with files that appear beside the table in the same moment: all of the results
/// of a run, or those of the run before.
///
/// The files are part of the folder of the table, under names that readers of tables skip
/// (`anomalies/_summary.json`), and beside it are links to them (`summary.json`), so that the exchange
/// of the folder exchanges them all. Where a file system has no links, copies are written after the
/// exchange. A file of a name that is there already is replaced; files that an earlier table had and
/// this one has not are gone with it, unless they are [kept](Companion::kept).
///
/// ```
/// use std::sync::Arc;
///
/// use arrow::array::{ArrayRef, RecordBatch, StringArray};
/// use funnelpulse_io::{Companion, write_results};
///
/// let date: ArrayRef = Arc::new(StringArray::from(vec!["2019-10-01"]));
/// let score: ArrayRef = Arc::new(StringArray::from(vec!["high"]));
/// let batch = RecordBatch::try_from_iter([("window_date", date), ("score", score)])?;
///
/// let folder = tempfile::tempdir()?;
/// let summary = Companion::new("summary.json", b"{\"anomalies\": 1}");
/// write_results(&folder.path().join("anomalies"), &batch, "window_date", &[summary])?;
/// assert_eq!(std::fs::read_to_string(folder.path().join("summary.json"))?, "{\"anomalies\": 1}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_results(
    folder: &Path,
    batch: &RecordBatch,
    partition_column: &str,
    files: &[Companion<'_>],
) -> Result<WriteReport, IoError> {
    let parts = split(folder, batch, partition_column)?;
    let mut report = WriteReport {
        path: folder.to_path_buf(),
        rows: batch.num_rows(),
        partitions: Vec::new(),
        bytes: 0,
        replaced: false,
    };
    report.replaced = swap::replace(folder, files, |staging| {
        for (name, part) in &parts {
            let partition = name.as_ref().map_or_else(|| staging.to_path_buf(), |name| staging.join(name));
            if name.is_some() {
                fs::create_dir(&partition).map_err(IoError::file(&partition))?;
            }
            let file = partition.join(PART);
            write_parquet_file(file.clone(), part)?;
            swap::sync_folder(&partition)?;
            report.bytes += fs::metadata(&file).map_err(IoError::file(&file))?.len();
        }
        Ok(())
    })?;
    report.partitions = parts.into_keys().flatten().collect();
    Ok(report)
}

/// The rows of each partition in their order, under the name of its folder.
fn split(
    folder: &Path,
    batch: &RecordBatch,
    partition_column: &str,
) -> Result<BTreeMap<Option<String>, RecordBatch>, IoError> {
    let arrow_error = || IoError::arrow(folder);
    let schema = batch.schema();
    let Some((position, _)) = schema.column_with_name(partition_column) else {
        let found = schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
        return Err(IoError::MissingColumn {
            path: folder.to_path_buf(),
            missing: format!("`{partition_column}`"),
            found,
        });
    };
    if batch.num_rows() == 0 {
        return Ok(BTreeMap::from([(None, batch.clone())]));
    }
    let texts = cells::texts(batch.column(position)).map_err(arrow_error())?;
    let mut rows: BTreeMap<Option<String>, Vec<u64>> = BTreeMap::new();
    let mut last: Option<(Option<&str>, Vec<u64>)> = None;
    for row in 0..texts.len() {
        let value = texts.is_valid(row).then(|| texts.value(row));
        match &mut last {
            Some((current, members)) if *current == value => members.push(row as u64),
            _ => {
                if let Some((value, members)) = last.replace((value, vec![row as u64])) {
                    rows.entry(Some(hive::name(partition_column, value))).or_default().extend(members);
                }
            }
        }
    }
    if let Some((value, members)) = last {
        rows.entry(Some(hive::name(partition_column, value))).or_default().extend(members);
    }
    let mut rest = batch.clone();
    rest.remove_column(position);
    let take = |(name, rows): (Option<String>, Vec<u64>)| {
        Ok((name, take_record_batch(&rest, &UInt64Array::from(rows)).map_err(arrow_error())?))
    };
    rows.into_iter().map(take).collect()
}
