//! Tables in memory.

mod budget;
mod csv;
mod file;
mod folder;
mod json;
mod parquet;

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    error::ArrowError,
};
use funnelpulse_core::Timestamp;

use crate::{
    IoError, ReadOptions,
    cells::{self, Cells, Clock},
};
use budget::Budget;
use file::{FileTable, PIECE, read_file, read_pieces, stem};

/// Any table, in memory as Arrow batches, with its columns found by name.
///
/// CSV columns are kept as text and become numbers or times when they are asked for, so that a key
/// `007` stays `007`. Batches of a folder can differ in their column types (a column of integers
/// in one file, of floats in the next), never in their names.
///
/// ```
/// use funnelpulse_io::Table;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("hours.csv");
/// std::fs::write(&path, "window_start,brand,views\n2019-10-01 05:00:00,runail,12\n2019-10-01 06:00:00,runail,\n")?;
///
/// let table = Table::read(&path)?;
/// assert_eq!(table.columns(), ["window_start", "brand", "views"]);
/// assert_eq!(table.f64_column("views")?[0], 12.0);
/// assert!(table.f64_column("views")?[1].is_nan());
/// assert_eq!(table.time_column("window_start")?[0].to_string(), "2019-10-01T05:00:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    source: PathBuf,
    columns: Vec<String>,
    batches: Vec<RecordBatch>,
    /// The files that the rows came from, in order.
    files: Vec<FileRows>,
    /// The columns that stand for folder names.
    partitions: Vec<String>,
    clock: Clock,
}

/// The rows of one file.
#[derive(Clone, Debug)]
struct FileRows {
    path: PathBuf,
    rows: usize,
    /// In a text file, the line on which each row starts.
    lines: Option<Vec<u64>>,
}

/// Where a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, when the table has more than one.
    file: Option<PathBuf>,
    /// `line` in text files, `row` elsewhere.
    unit: &'static str,
    /// Counted from one.
    pub(crate) number: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}, ", file.display())?;
        }
        write!(f, "{} {}", self.unit, self.number)
    }
}

impl Table {
    /// Reads a file or a folder.
    ///
    /// Files are CSV (`.csv`, separated by commas, or by semicolons where the header has no comma, with
    /// numbers that may have a decimal comma; `.tsv`, separated by tabs; all with a header line), JSON lines
    /// (`.jsonl`, `.ndjson`: an object per row, its names in any order), all also compressed as `.gz`, or Parquet (`.parquet`). Of a folder all such files are read in order
    /// of their names; hidden files and those that start with `_` are skipped, as are other kinds.
    /// Sub-folders named `column=value` (Hive partitions) become columns: of dates or integers
    /// where all values are such, of text otherwise.
    ///
    /// When the folder is one that [`write_partitioned`](crate::write_partitioned) was killed over
    /// while replacing it, the previous table is read.
    ///
    /// Limits are those of [`ReadOptions`].
    pub fn read(path: &Path) -> Result<Self, IoError> {
        Self::read_with(path, &ReadOptions::default())
    }

    /// Reads a file or a folder with other settings.
    ///
    /// A folder with a file for each series, whatever its sub-folders:
    ///
    /// ```
    /// use funnelpulse_io::{ReadOptions, Table};
    ///
    /// let folder = tempfile::tempdir()?;
    /// std::fs::create_dir(folder.path().join("eu"))?;
    /// for (name, text) in [("eu/de.csv", "time,views\n2019-10-01,12\n"), ("us.csv", "time,views\n2019-10-01,9\n")] {
    ///     std::fs::write(folder.path().join(name), text)?;
    /// }
    /// let options = ReadOptions { file_column: Some("series".into()), ..ReadOptions::default() };
    /// let table = Table::read_with(folder.path(), &options)?;
    /// let series: Vec<_> = table.string_column("series")?.into_iter().flatten().collect();
    /// assert_eq!(series, ["eu/de", "us"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Self, IoError> {
        options.validate()?;
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => match crate::write::previous_of_interrupted(path) {
                Some(previous) => return Self::read_with(&previous, options),
                None => return Err(IoError::file(path)(error)),
            },
        };
        if metadata.is_dir() {
            return folder::read(path, options);
        }
        let mut table = read_file(path, &mut Budget::new(options, metadata.len()))?;
        if let Some(column) = &options.file_column {
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            table = folder::with_file(path, table, column, &stem(&name))?;
        }
        let clock = Clock::of(options)?;
        Ok(Self { clock, ..Self::from_files(path, vec![(path.to_path_buf(), table)]) })
    }

    /// Reads a file or a folder in pieces, each a table of some hundred thousand rows that is gone
    /// before the next one: memory does not grow with the files. The first piece of each file has no
    /// rows, only columns. `take` says whether to go on.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use funnelpulse_io::{ReadOptions, Table};
    ///
    /// let folder = tempfile::tempdir()?;
    /// for (name, text) in [("a.csv", "time,views\n2019-10-01,12\n"), ("b.csv", "time,views\n2019-10-02,9\n")] {
    ///     std::fs::write(folder.path().join(name), text)?;
    /// }
    /// let mut views = 0.0;
    /// Table::scan(folder.path(), &ReadOptions::default(), |piece| {
    ///     views += piece.f64_column("views")?.iter().sum::<f64>();
    ///     Ok(ControlFlow::Continue(()))
    /// })?;
    /// assert_eq!(views, 21.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scan(
        path: &Path,
        options: &ReadOptions,
        mut take: impl FnMut(&Self) -> Result<ControlFlow<()>, IoError>,
    ) -> Result<(), IoError> {
        options.validate()?;
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => match crate::write::previous_of_interrupted(path) {
                Some(previous) => return Self::scan(&previous, options, take),
                None => return Err(IoError::file(path)(error)),
            },
        };
        if metadata.is_dir() {
            return folder::scan(path, options, &mut take);
        }
        let (clock, name) = (Clock::of(options)?, path.file_name().map(PathBuf::from).unwrap_or_default());
        let mut budget = Budget::new(options, metadata.len());
        let mut piece = |file: FileTable| {
            let file = match &options.file_column {
                Some(column) => folder::with_file(path, file, column, &stem(&name))?,
                None => file,
            };
            take(&Self { clock: clock.clone(), ..Self::from_files(path, vec![(path.to_path_buf(), file)]) })
        };
        read_pieces(path, &mut budget, PIECE, &mut piece).map(|_| ())
    }

    /// A table of batches that have the same column names. `source` is what errors call it.
    pub fn from_batches(source: impl Into<PathBuf>, batches: Vec<RecordBatch>) -> Result<Self, IoError> {
        let source = source.into();
        let Some(first) = batches.first() else {
            return Err(IoError::Empty { path: source, what: "no columns" });
        };
        let columns = names(&source, first)?;
        for batch in &batches[1..] {
            let found = names(&source, batch)?;
            if found != columns {
                let error = format!("batches differ in columns: {} and {}", columns.join(", "), found.join(", "));
                return Err(IoError::arrow(&source)(ArrowError::SchemaError(error)));
            }
        }
        let table = FileTable { columns, batches, lines: None };
        Ok(Self::from_files(&source, vec![(source.clone(), table)]))
    }

    /// The same table, with its times read as the options say: time zone and unit. The other options
    /// are of files.
    ///
    /// ```
    /// use arrow::array::{Int64Array, RecordBatch};
    /// use funnelpulse_io::{Epoch, ReadOptions, Table};
    /// use std::sync::Arc;
    ///
    /// let batch = RecordBatch::try_from_iter([("time", Arc::new(Int64Array::from(vec![60_000])) as _)])?;
    /// let options = ReadOptions { epoch: Epoch::Milliseconds, ..ReadOptions::default() };
    /// let table = Table::from_batches("batches", vec![batch])?.with_options(&options)?;
    /// assert_eq!(table.time_column("time")?[0].to_string(), "1970-01-01T00:01:00Z");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_options(self, options: &ReadOptions) -> Result<Self, IoError> {
        options.validate()?;
        Ok(Self { clock: Clock::of(options)?, ..self })
    }

    /// Of files with the same columns, at least one.
    fn from_files(source: &Path, tables: Vec<(PathBuf, FileTable)>) -> Self {
        let columns = tables[0].1.columns.clone();
        let (mut batches, mut files) = (Vec::new(), Vec::new());
        for (path, table) in tables {
            let rows = table.batches.iter().map(RecordBatch::num_rows).sum();
            files.push(FileRows { path, rows, lines: table.lines });
            batches.extend(table.batches);
        }
        Self { source: source.to_path_buf(), columns, batches, files, partitions: Vec::new(), clock: Clock::default() }
    }

    /// The file or folder it came from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The columns that stand for names of folders, Hive partitions, outermost first.
    pub fn partition_columns(&self) -> &[String] {
        &self.partitions
    }

    /// The files that the rows are from, in order, and how many each has.
    pub fn files(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.files.iter().map(|file| (file.path.as_path(), file.rows))
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether there is a column called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c == name)
    }

    /// The rows.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The columns that hold nothing but numbers: at least one, and missing values.
    pub fn numeric_columns(&self) -> Vec<String> {
        let is_number = |name: &&String| self.numbers(name).is_ok_and(|c| c.good > 0 && c.bad.values().all(|t| nan(t)));
        self.columns.iter().filter(is_number).cloned().collect()
    }

    /// A column of numbers: integers, floats, decimals, booleans, or text that reads as numbers.
    /// Missing values are NaN.
    pub fn f64_column(&self, name: &str) -> Result<Vec<f64>, IoError> {
        let cells = self.numbers(name)?;
        match cells.bad.iter().find(|(_, text)| !nan(text)) {
            Some((row, text)) => Err(self.wrong_cell(name, "numbers", *row, text)),
            None => Ok(cells.values),
        }
    }

    /// A column of text; other types are rendered.
    pub fn string_column(&self, name: &str) -> Result<Vec<Option<String>>, IoError> {
        let mut values = Vec::with_capacity(self.num_rows());
        for batch in &self.batches {
            values.extend(self.texts_of(batch, name)?.iter().map(|text| text.map(str::to_owned)));
        }
        Ok(values)
    }

    /// A column of times: timestamps of any unit and zone, dates, text such as
    /// `2019-10-01 13:00:00`, or numbers since 1970 ([`ReadOptions::epoch`]). Without a zone they are
    /// in [`ReadOptions::timezone`]. A missing time is an error.
    pub fn time_column(&self, name: &str) -> Result<Vec<Timestamp>, IoError> {
        let cells = self.times(name)?;
        let time = |(row, value): (usize, &Option<Timestamp>)| {
            value.ok_or_else(|| {
                self.wrong_cell(name, "times", row, cells.bad.get(&row).map_or("an empty cell", String::as_str))
            })
        };
        cells.values.iter().enumerate().map(time).collect()
    }

    pub(crate) fn numbers(&self, name: &str) -> Result<Cells<f64>, IoError> {
        self.gather(name, "numbers", cells::numbers)
    }

    pub(crate) fn times(&self, name: &str) -> Result<Cells<Option<Timestamp>>, IoError> {
        self.gather(name, "times", |array| cells::times(array, &self.clock))
    }

    /// The cells of all batches. A column without a single proper value, but with improper ones,
    /// is of the wrong type.
    fn gather<T: Default>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl Fn(&ArrayRef) -> Result<Option<Cells<T>>, ArrowError>,
    ) -> Result<Cells<T>, IoError> {
        let mut all = Cells::default();
        for batch in &self.batches {
            all.append(self.cells_of(batch, name, expected, &read)?);
        }
        match all.bad.first_key_value().filter(|(_, text)| all.good == 0 && !nan(text)) {
            Some((row, text)) => Err(self.wrong_cell(name, expected, *row, text)),
            None => Ok(all),
        }
    }

    /// The cells of one batch.
    pub(crate) fn cells_of<T>(
        &self,
        batch: &RecordBatch,
        name: &str,
        expected: &'static str,
        read: impl Fn(&ArrayRef) -> Result<Option<Cells<T>>, ArrowError>,
    ) -> Result<Cells<T>, IoError> {
        let column = self.column_of(batch, name)?;
        let cells = read(column).map_err(IoError::arrow(&self.source))?;
        cells.ok_or_else(|| self.wrong_type(name, expected, column.data_type().to_string()))
    }

    /// A column of one batch as text.
    pub(crate) fn texts_of(&self, batch: &RecordBatch, name: &str) -> Result<StringArray, IoError> {
        cells::texts(self.column_of(batch, name)?).map_err(IoError::arrow(&self.source))
    }

    /// The times of one batch.
    pub(crate) fn times_of(&self, batch: &RecordBatch, name: &str) -> Result<Cells<Option<Timestamp>>, IoError> {
        self.cells_of(batch, name, "times", |array| cells::times(array, &self.clock))
    }

    pub(crate) fn column_of<'a>(&self, batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, IoError> {
        batch.column_by_name(name).ok_or_else(|| self.missing(&[name]))
    }

    pub(crate) fn missing(&self, names: &[&str]) -> IoError {
        let missing = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        IoError::MissingColumn { path: self.source.clone(), missing, found: self.columns.join(", ") }
    }

    pub(crate) fn wrong_type(&self, name: &str, expected: &'static str, found: String) -> IoError {
        IoError::WrongType { path: self.source.clone(), column: name.to_owned(), expected, found }
    }

    fn wrong_cell(&self, name: &str, expected: &'static str, row: usize, text: &str) -> IoError {
        self.wrong_type(name, expected, format!("`{text}` in {}", self.place(row)))
    }

    /// Where row `row` (counted from zero over all files) is.
    pub(crate) fn place(&self, row: usize) -> Place {
        let mut within = row;
        for file in &self.files {
            if within < file.rows {
                let path = (self.files.len() > 1).then(|| file.path.clone());
                return match &file.lines {
                    Some(lines) => Place { file: path, unit: "line", number: lines[within] as usize },
                    None => Place { file: path, unit: "row", number: within + 1 },
                };
            }
            within -= file.rows;
        }
        Place { file: None, unit: "row", number: row + 1 }
    }
}

/// Whether a text spells the missing value of floating point numbers.
fn nan(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_nan)
}

fn names(source: &Path, batch: &RecordBatch) -> Result<Vec<String>, IoError> {
    let names: Vec<String> = batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect();
    unique(source, &names)?;
    Ok(names)
}

fn unique(source: &Path, names: &[String]) -> Result<(), IoError> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|n| !seen.insert(n.as_str())) {
        Some(name) => Err(IoError::DuplicateColumn { path: source.to_path_buf(), column: name.clone() }),
        None => Ok(()),
    }
}
