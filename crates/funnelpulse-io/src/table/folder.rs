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

use super::{FileTable, Kind, Table, read_file};
use crate::{IoError, write::hive};

/// Levels of partitions; more are a link that leads back.
const DEPTH: usize = 16;

/// The columns that folder names stand for, outermost first.
type Partition = Vec<(String, Option<String>)>;

pub(super) fn read(folder: &Path) -> Result<Table, IoError> {
    let mut files = Vec::new();
    collect(folder, &mut Vec::new(), &mut files)?;
    if files.is_empty() {
        let what = "the folder holds no CSV or Parquet file";
        return Err(IoError::Empty { path: folder.to_path_buf(), what });
    }
    let types = partition_types(folder, &files)?;
    let mut tables: Vec<(PathBuf, FileTable)> = Vec::new();
    for (path, partition) in files {
        let table = with_partition(&path, read_file(&path)?, &partition, &types)?;
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
    Ok(Table::from_files(folder, tables))
}

fn collect(folder: &Path, partition: &mut Partition, files: &mut Vec<(PathBuf, Partition)>) -> Result<(), IoError> {
    let error = || IoError::file(folder);
    let mut entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(error())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with(['.', '_']) {
            continue;
        }
        if !fs::metadata(&path).map_err(IoError::file(&path))?.is_dir() {
            if Kind::of(&path).is_some() {
                files.push((path, partition.clone()));
            }
            continue;
        }
        let Some(column) = hive::parse(&name).filter(|_| partition.len() < DEPTH) else {
            let reason = "a folder within a folder of data should be named column=value".to_owned();
            return Err(IoError::Unsupported { path, reason });
        };
        partition.push(column);
        collect(&path, partition, files)?;
        partition.pop();
    }
    Ok(())
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
