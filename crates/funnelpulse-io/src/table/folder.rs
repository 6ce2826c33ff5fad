//! Folders of files, with Hive partitions.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};

use super::{FileTable, Kind, Table, budget::Budget, read_file, stem};
use crate::{IoError, ReadOptions, cells::Clock, write::hive};

/// Levels of partitions; more are a link that leads back.
const DEPTH: usize = 16;

/// The columns that folder names stand for, outermost first.
type Partition = Vec<(String, Option<String>)>;

pub(super) fn read(folder: &Path, options: &ReadOptions) -> Result<Table, IoError> {
    let mut search = Search { any_name: options.file_column.is_some(), size: 0, files: Vec::new() };
    search.collect(folder, 0, &mut Vec::new())?;
    let (files, mut budget) = (search.files, Budget::new(options, search.size));
    if files.is_empty() {
        let what = "the folder holds no CSV or Parquet file";
        return Err(IoError::Empty { path: folder.to_path_buf(), what });
    }
    let types = partition_types(folder, &files)?;
    let mut tables: Vec<(PathBuf, FileTable)> = Vec::new();
    for (path, partition) in files {
        let mut table = with_partition(&path, read_file(&path, &mut budget)?, &partition, &types)?;
        if let Some(column) = &options.file_column {
            let within = path.strip_prefix(folder).unwrap_or(&path);
            table = with_file(&path, table, column, &stem(within))?;
        }
        if let Some((first, expected)) = tables.first().map(|(p, t)| (p, &t.columns)) {
            let (mut a, mut b) = (expected.clone(), table.columns.clone());
            a.sort();
            b.sort();
            if a != b {
                let (ours, theirs) = (table.columns.join(", "), expected.join(", "));
                let reason = format!("columns ({ours}) differ from those of {} ({theirs})", first.display());
                return Err(IoError::Unsupported { path, reason });
            }
        }
        tables.push((path, table));
    }
    let partitions = types.into_iter().map(|(name, _)| name).collect();
    let clock = Clock::of(options)?;
    Ok(Table { partitions, clock, ..Table::from_files(folder, tables) })
}

/// Adds the column that says which file the rows are from.
pub(super) fn with_file(path: &Path, table: FileTable, column: &str, name: &str) -> Result<FileTable, IoError> {
    if table.columns.iter().any(|c| c == column) {
        return Err(IoError::DuplicateColumn { path: path.to_path_buf(), column: column.to_owned() });
    }
    let partition = vec![(column.to_owned(), Some(name.to_owned()))];
    with_partition(path, table, &partition, &[(column.to_owned(), DataType::Utf8)])
}

/// The files of a folder as they are found.
struct Search {
    /// Whether sub-folders need not be Hive partitions.
    any_name: bool,
    /// Bytes of all files.
    size: u64,
    files: Vec<(PathBuf, Partition)>,
}

impl Search {
    fn collect(&mut self, folder: &Path, depth: usize, partition: &mut Partition) -> Result<(), IoError> {
        let error = || IoError::file(folder);
        let mut entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(error())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with(['.', '_']) {
                continue;
            }
            let metadata = fs::metadata(&path).map_err(IoError::file(&path))?;
            if !metadata.is_dir() {
                if Kind::of(&path).is_some() {
                    self.size += metadata.len();
                    self.files.push((path, partition.clone()));
                }
                continue;
            }
            let column = hive::parse(&name);
            if depth >= DEPTH || (column.is_none() && !self.any_name) {
                let reason = "a folder within a folder of data should be named column=value".to_owned();
                return Err(IoError::Unsupported { path, reason });
            }
            let before = partition.len();
            partition.extend(column);
            self.collect(&path, depth + 1, partition)?;
            partition.truncate(before);
        }
        Ok(())
    }
}

/// The partition columns with the narrowest type that holds all their values. All files have the
/// same partition columns.
fn partition_types(folder: &Path, files: &[(PathBuf, Partition)]) -> Result<Vec<(String, DataType)>, IoError> {
    let names = |partition: &Partition| partition.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let columns = names(&files[0].1);
    if let Some((path, _)) = files.iter().find(|(_, partition)| names(partition) != columns) {
        let reason = format!("is not partitioned by the same columns as {}", files[0].0.display());
        return Err(IoError::Unsupported { path: path.clone(), reason });
    }
    let typed = |(index, name): (usize, String)| {
        let texts = files.iter().map(|(_, partition)| partition[index].1.as_deref()).collect::<StringArray>();
        let texts: ArrayRef = Arc::new(texts);
        for data_type in [DataType::Date32, DataType::Int64] {
            let parsed = cast(&texts, &data_type).map_err(IoError::arrow(folder))?;
            // What the cast changes, such as leading zeros, is text.
            let back = cast(&parsed, &DataType::Utf8).map_err(IoError::arrow(folder))?;
            if *back == *texts && parsed.null_count() < parsed.len() {
                return Ok((name, data_type));
            }
        }
        Ok((name, DataType::Utf8))
    };
    columns.into_iter().enumerate().map(typed).collect()
}

/// Adds the partition columns in front, except those that the file itself has.
fn with_partition(
    path: &Path,
    table: FileTable,
    partition: &Partition,
    types: &[(String, DataType)],
) -> Result<FileTable, IoError> {
    let missing: Vec<_> = partition.iter().zip(types).filter(|((name, _), _)| !table.columns.contains(name)).collect();
    if missing.is_empty() {
        return Ok(table);
    }
    let mut columns: Vec<String> = missing.iter().map(|((name, _), _)| name.clone()).collect();
    columns.extend(table.columns);
    let add = |batch: RecordBatch| {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for ((name, value), (_, data_type)) in &missing {
            fields.push(Arc::new(Field::new(name, data_type.clone(), true)));
            arrays.push(match value {
                None => new_null_array(data_type, batch.num_rows()),
                Some(value) => {
                    let texts = StringArray::from_iter_values(std::iter::repeat_n(value, batch.num_rows()));
                    cast(&texts, data_type)?
                }
            });
        }
        fields.extend(batch.schema_ref().fields().iter().cloned());
        arrays.extend_from_slice(batch.columns());
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    };
    let batches = table.batches.into_iter().map(add).collect::<Result<_, _>>().map_err(IoError::arrow(path))?;
    Ok(FileTable { columns, batches, lines: table.lines })
}
