//! Folders of labelled series: the layouts of the public benchmarks.

mod nab;
mod npz;
pub(super) mod table;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use table::is_label;

use super::BenchSeries;
use crate::EvalError;

/// How the files of a benchmark are read, where their names and columns do not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuiteOptions {
    /// Column of the labels; by default the first that is called `label`, `is_anomaly`, `anomaly` or the like.
    pub label_column: Option<String>,
    /// Column that names the series of a file with many; by default `file` or `series`, where there is one.
    pub series_column: Option<String>,
    /// Column of times; by default `timestamp`, `datetime` or the like, where there is one.
    pub time_column: Option<String>,
    /// Columns of values; by default all numeric ones but labels, times and row numbers.
    pub columns: Vec<String>,
    /// The JSON file with the anomaly windows of NAB; by default `labels/combined_windows.json`.
    pub windows: Option<PathBuf>,
    /// Only series of these names, with or without the ending of the file.
    pub only: Option<BTreeSet<String>>,
    /// Give detectors the rows of separate training files, before those that are evaluated.
    pub training_files: bool,
}

/// A folder of labelled series.
#[derive(Debug)]
#[non_exhaustive]
pub struct Suite {
    /// The series, by collection and name.
    pub series: Vec<SeriesSource>,
    /// Files that are no labelled series, with the reason.
    pub skipped: Vec<(PathBuf, String)>,
    root: PathBuf,
}

/// Where a series can be read.
#[derive(Clone, Debug)]
pub struct SeriesSource {
    collection: String,
    name: String,
    place: Place,
    options: Arc<SuiteOptions>,
}

#[derive(Clone, Debug)]
enum Place {
    Loaded(Arc<BenchSeries>),
    Table { path: PathBuf, training: Option<PathBuf> },
    Nab { path: PathBuf, windows: Arc<Vec<nab::Window>> },
    Npz(PathBuf),
}

impl Suite {
    /// Finds the series of a folder, or of one file.
    ///
    /// Layouts are recognised by their files: TSB-AD (`Data,Label`, `_tr_` in the name), `TimeEval` (folders with
    /// `is_anomaly`, and a file for training beside the one for testing), NAB (`data/` and a JSON file of windows),
    /// SKAB (semicolons, `anomaly` and `changepoint`), `ADBench` (`.npz` with `X` and `y`), any other CSV or
    /// Parquet file with a column of labels, of one series or of many.
    ///
    /// ```
    /// use funnelpulse_eval::bench::{Suite, SuiteOptions};
    ///
    /// let folder = tempfile::tempdir()?;
    /// std::fs::write(folder.path().join("001_NAB_id_1_Facility_tr_2_1st_3.csv"), "Data,Label\n1,0\n2,0\n9,1\n")?;
    /// let suite = Suite::find(folder.path(), &SuiteOptions::default())?;
    /// let series = suite.series[0].load()?;
    /// assert_eq!((series.collection.as_str(), series.train_rows), ("NAB", Some(2)));
    /// assert_eq!(series.columns, ["Data"]);
    /// assert_eq!(series.labels, [false, false, true]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A folder without any labelled series, or a file that can't be read.
    pub fn find(root: &Path, options: &SuiteOptions) -> Result<Self, EvalError> {
        let options = Arc::new(options.clone());
        let mut suite = Self { series: Vec::new(), skipped: Vec::new(), root: root.to_owned() };
        let windows = options.windows.clone().unwrap_or_else(|| root.join("labels/combined_windows.json"));
        if windows.is_file() {
            nab::find(root, &windows, &options, &mut suite)?;
        } else {
            let mut files = Vec::new();
            collect(root, &mut files).map_err(|error| EvalError::suite(root, error))?;
            files.sort();
            for file in files {
                if file.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz")) {
                    suite.add(Place::Npz(file.clone()), parent(root, &file), stem(&file), &options);
                } else {
                    table::find(root, &file, &options, &mut suite)?;
                }
            }
        }
        if suite.series.is_empty() {
            let reason = suite.skipped.first().map(|(path, reason)| format!("{}: {reason}", path.display()));
            return Err(suite.without_series("there is no labelled series", reason));
        }
        if let Some(only) = &options.only {
            let ends = ["", ".csv", ".parquet", ".npz"];
            suite.series.retain(|s| ends.iter().any(|end| only.contains(&format!("{}{end}", s.name))));
        }
        if suite.series.is_empty() {
            return Err(EvalError::suite(root, "none of its series is in the list of names"));
        }
        suite.series.sort_by(|a, b| (&a.collection, &a.name).cmp(&(&b.collection, &b.name)));
        Ok(suite)
    }

    /// Checks that detectors can be judged on at least one series: it can be read, and has both normal and anomalous
    /// rows. Series after the first such one are not read.
    ///
    /// # Errors
    /// [`EvalError::NoSeries`] with the reason of the first series.
    pub fn check(&self) -> Result<(), EvalError> {
        let mut first = None;
        for source in &self.series {
            let reason = match source.load() {
                Ok(series) if series.can_be_evaluated() => return Ok(()),
                Ok(_) => format!("{} has not both normal and anomalous rows", source.name()),
                Err(error) => error.to_string(),
            };
            first.get_or_insert(reason);
        }
        Err(self.without_series("no series can be used", first))
    }

    fn without_series(&self, what: &str, example: Option<String>) -> EvalError {
        let example = example.map(|example| format!(", for example {example}")).unwrap_or_default();
        EvalError::NoSeries { path: self.root.display().to_string(), reason: format!("{what}{example}") }
    }

    fn add(&mut self, place: Place, collection: String, name: String, options: &Arc<SuiteOptions>) {
        self.series.push(SeriesSource { collection, name, place, options: options.clone() });
    }
}

impl SeriesSource {
    /// The data set that it belongs to.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The name, unique within the collection.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the series.
    ///
    /// # Errors
    /// A file that can't be read, or without proper labels.
    pub fn load(&self) -> Result<Arc<BenchSeries>, EvalError> {
        let (collection, name) = (self.collection.clone(), self.name.clone());
        let series = match &self.place {
            Place::Loaded(series) => return Ok(series.clone()),
            Place::Table { path, training } => {
                table::load(path, training.as_deref(), (collection, name), &self.options)?
            }
            Place::Nab { path, windows } => nab::load(path, windows, (collection, name), &self.options)?,
            Place::Npz(path) => npz::load(path, (collection, name))?,
        };
        Ok(Arc::new(series))
    }
}

/// All files below a folder, but hidden ones and those that begin with `_`.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// The folder of a file below the root, or the root's own name.
fn parent(root: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(root);
    let below = folder.strip_prefix(root).unwrap_or(folder);
    let named = if below.as_os_str().is_empty() { Path::new(folder.file_name().unwrap_or_default()) } else { below };
    named.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
