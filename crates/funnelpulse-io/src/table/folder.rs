//! Folders of files, with Hive partitions.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};

use super::{
    Table,
    budget::Budget,
    file::{FileTable, Kind, PIECE, read_file, read_pieces, stem},
};
use crate::{IoError, ReadOptions, cells::Clock, write::hive};

/// Levels of partitions; more are a link that leads back.
const DEPTH: usize = 16;

/// The columns that folder names stand for, outermost first.
type Partition = Vec<(String, Option<String>)>;

pub(super) fn read(folder: &Path, options: &ReadOptions) -> Result<Table, IoError> {
    let found = Found::new(folder, options)?;
    let mut budget = Budget::new(options, found.size);
    let mut tables: Vec<(PathBuf, FileTable)> = Vec::new();
    for (path, partition) in &found.files {
        let table = found.complete(folder, options, path, partition, read_file(path, &mut budget)?)?;
        if let Some((first, expected)) = tables.first() {
            check_columns(path, &table.columns, first, &expected.columns)?;
        }
        tables.push((path.clone(), table));
    }
    let clock = Clock::of(options)?;
    Ok(Table { partitions: found.partitions(), clock, ..Table::from_files(folder, tables) })
}

/// Reads the files piece by piece.
pub(super) fn scan(
    folder: &Path,
    options: &ReadOptions,
    take: &mut dyn FnMut(&Table) -> Result<ControlFlow<()>, IoError>,
) -> Result<(), IoError> {
    let found = Found::new(folder, options)?;
    let (clock, mut budget) = (Clock::of(options)?, Budget::new(options, found.size));
    let mut first: Option<(&PathBuf, Vec<String>)> = None;
    for (path, partition) in &found.files {
        let mut piece = |file: FileTable| {
            let file = found.complete(folder, options, path, partition, file)?;
            let (first, expected) = first.get_or_insert_with(|| (path, file.columns.clone()));
            check_columns(path, &file.columns, first, expected)?;
            let table = Table::from_files(folder, vec![(path.clone(), file)]);
            take(&Table { partitions: found.partitions(), clock: clock.clone(), ..table })
        };
        if read_pieces(path, &mut budget, PIECE, &mut piece)?.is_break() {
            return Ok(());
        }
        budget.release();
    }
    Ok(())
}

/// The files of a folder, and the types of the columns that its folders stand for.
struct Found {
    files: Vec<(PathBuf, Partition)>,
    /// Bytes of all files.
    size: u64,
    types: Vec<(String, DataType)>,
}

impl Found {
    fn new(folder: &Path, options: &ReadOptions) -> Result<Self, IoError> {
        let mut search = Search { any_name: options.file_column.is_some(), size: 0, files: Vec::new() };
        search.collect(folder, 0, &mut Vec::new())?;
        let Search { size, files, .. } = search;
        if files.is_empty() {
            let what = "the folder holds no CSV or Parquet file";
            return Err(IoError::Empty { path: folder.to_path_buf(), what });
        }
        let types = partition_types(folder, &files)?;
        Ok(Self { files, size, types })
    }

    fn partitions(&self) -> Vec<String> {
        self.types.iter().map(|(name, _)| name.clone()).collect()
    }

    /// What a file holds, with the columns that its folders and its name stand for.
    fn complete(
        &self,
        folder: &Path,
        options: &ReadOptions,
        path: &Path,
        partition: &Partition,
        table: FileTable,
    ) -> Result<FileTable, IoError> {
        let table = with_partition(path, table, partition, &self.types)?;
        match &options.file_column {
            Some(column) => with_file(path, table, column, &stem(path.strip_prefix(folder).unwrap_or(path))),
            None => Ok(table),
        }
    }
}

/// Files differ in the order of their columns, but not in the columns.
fn check_columns(path: &Path, ours: &[String], first: &Path, expected: &[String]) -> Result<(), IoError> {
    let sorted = |columns: &[String]| columns.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(ours) == sorted(expected) {
        return Ok(());
    }
    let (ours, theirs) = (ours.join(", "), expected.join(", "));
    let reason = format!("columns ({ours}) differ from those of {} ({theirs})", first.display());
    Err(IoError::Unsupported { path: path.to_path_buf(), reason })
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
