//! Options of `score` and `eval`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser},
};
use funnelpulse::Entry;

use super::table_file;
use crate::{context::catalog, plot::plot_file};

#[derive(Debug, Args)]
#[command(after_help = "The output has one row per input row: the series, the row number within it (from 0), and \
                        the raw score (empty where the detector has none).\n\n\
                        Example: funnelpulse score --detector iforest --input nab.parquet --series-column file \
                        --columns data --param n_trees=200 --output scores.csv")]
pub(crate) struct ScoreArgs {
    /// The detector, or a whole pipeline: `preset:univariate`
    #[arg(long, value_name = "NAME", value_parser = scorers())]
    pub(crate) detector: String,
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Column that names the series; by default a file is one series, and each file of a folder
    #[arg(long, value_name = "C")]
    pub(crate) series_column: Option<String>,
    /// Column of times; by default rows have no time but their order
    #[arg(long, value_name = "C")]
    pub(crate) time_column: Option<String>,
    /// Columns to score; by default all numeric ones but labels and those named in other options
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) columns: Vec<String>,
    /// Column that holds, per series, the number of rows to learn from
    #[arg(long, value_name = "C", conflicts_with = "train_rows")]
    pub(crate) train_rows_column: Option<String>,
    /// Number of rows at the start of each series to learn from; by default all
    #[arg(long, value_name = "N")]
    pub(crate) train_rows: Option<usize>,
    /// A parameter of the detector, for example `n_trees=200`
    #[arg(long = "param", value_name = "K=V")]
    pub(crate) params: Vec<String>,
    /// CSV or Parquet, by the end of its name; - for CSV on the standard output
    #[arg(long, alias = "out", value_name = "FILE", value_parser = table_file)]
    pub(crate) output: PathBuf,
    /// Also draw it: a page (.html) with all series, or the first of them (.svg, .png)
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Series are matched by name, rows by their order within the series; a row without a score \
                        counts as the least anomalous.\n\n\
                        Example: funnelpulse eval --labels nab.parquet --scores scores.csv")]
pub(crate) struct EvalArgs {
    /// Table with a 0/1 label per row, or a folder in a layout that `bench` reads
    #[arg(long, value_name = "PATH")]
    pub(crate) labels: PathBuf,
    /// Scores as `score` writes them: series, row, score; or a folder of such files, or of files with a column
    /// `score` that have the names of the series
    #[arg(long, value_name = "PATH")]
    pub(crate) scores: PathBuf,
    /// Column of the labels; by default the first that is called `label`, `is_anomaly` or the like
    #[arg(long, value_name = "C")]
    pub(crate) label_column: Option<String>,
    /// Column of the label table that names the series; by default `series`, `file` or `brand`,
    /// where there is one
    #[arg(long, value_name = "C")]
    pub(crate) series_column: Option<String>,
    /// Column of values whose period sets the tolerance of VUS; by default `data` or `value`,
    /// where there is one
    #[arg(long, value_name = "C")]
    pub(crate) value_column: Option<String>,
    /// Tolerance of VUS in rows, instead of the period of the values
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<usize>,
    /// Rows that make a day, for the false alarms per day
    #[arg(long, default_value_t = 24.0, value_name = "N")]
    pub(crate) rows_per_day: f64,
    /// Print every series and the mean as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The settings for any series, as a detector of `score` and `bench`.
pub(crate) const ANY_SERIES: &str = "preset:univariate";

fn scorers() -> PossibleValuesParser {
    let catalog = catalog();
    let value = |entry: &Entry| PossibleValue::new(entry.name()).help(entry.summary());
    let preset = PossibleValue::new(ANY_SERIES).help("the pipeline with the settings for any series");
    PossibleValuesParser::new(catalog.entries().iter().map(value).chain([preset]).collect::<Vec<_>>())
}
