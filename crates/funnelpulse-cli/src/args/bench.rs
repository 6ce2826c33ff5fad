//! Arguments of `bench`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use funnelpulse::eval::bench::{BenchMetric, DetectorCommand};

#[derive(Debug, Args)]
#[command(
    after_help = "Reads the layouts of TSB-AD, TimeEval, NAB, SKAB and ADBench, and any CSV or Parquet file with a \
                        column of labels, of one series or of many. What detectors read holds no labels.\n\n\
                        --external runs any program as a detector: it reads {input}, a CSV file with a header, and \
                        writes {output}, a number per line or a CSV file with a column `score`. {train_rows} is the \
                        number of rows to learn from, {columns} the names of the columns.\n\n\
                        Written to the folder: runs.csv and runs.parquet (a row per run), leaderboard.html and \
                        leaderboard.txt, and runs.jsonl, from which --resume goes on.\n\n\
                        Example: funnelpulse bench --data TSB-AD-U --detectors iforest,zscore --external \
                        \"LOF=python lof.py {input} {output}\" --out results"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct BenchArgs {
    /// Folder of labelled series, or one file
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    /// Detectors, `all` for those that need no settings, `random` for random scores, or `preset:univariate`
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "A,B")]
    pub(crate) detectors: Vec<String>,
    /// Another program as a detector; may be repeated
    #[arg(long, value_name = "NAME=COMMAND", value_parser = command)]
    pub(crate) external: Vec<DetectorCommand>,
    /// Folder for the results
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on with the runs in the folder; those that failed are made again
    #[arg(long)]
    pub(crate) resume: bool,
    /// A parameter of a detector, for example `iforest.n_trees=200`
    #[arg(long = "param", value_name = "DETECTOR.K=V")]
    pub(crate) params: Vec<String>,
    /// Figure by which detectors are ranked
    #[arg(long, default_value = "vus_pr", value_name = "METRIC", value_parser = metric)]
    pub(crate) metric: BenchMetric,
    /// Learn from the rows that the benchmark gives for it, not from the whole series
    #[arg(long)]
    pub(crate) train_prefix: bool,
    /// Let detectors see the times of rows, as a column `timestamp`
    #[arg(long)]
    pub(crate) times: bool,
    /// Only the series in this file, a name per line or in a CSV column `file_name`, `file` or `series`
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Column of the labels; by default the first that is called `label`, `is_anomaly` or the like
    #[arg(long, value_name = "C")]
    pub(crate) label_column: Option<String>,
    /// Column that names the series of a file with many; by default `file` or `series`
    #[arg(long, value_name = "C")]
    pub(crate) series_column: Option<String>,
    /// Column of times; by default `timestamp`, `datetime` or the like
    #[arg(long, value_name = "C")]
    pub(crate) time_column: Option<String>,
    /// Columns of values; by default all numeric ones but labels, times and row numbers
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) columns: Vec<String>,
    /// JSON file with the anomaly windows of NAB; by default `labels/combined_windows.json`
    #[arg(long, value_name = "FILE")]
    pub(crate) windows: Option<PathBuf>,
    /// Tolerance of VUS in rows, instead of the period of each series
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<usize>,
    /// Runs at a time; by default the number of processors
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The longest that a run may take, in seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) time_limit: u64,
    /// The most memory that a run may take, in MiB (Linux)
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) memory_limit: Option<u64>,
    /// Seed of the random scores
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub(crate) seed: u64,
    /// Keep the scores of every run
    #[arg(long)]
    pub(crate) keep_scores: bool,
    /// Print the leaderboard as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn command(text: &str) -> Result<DetectorCommand, String> {
    DetectorCommand::parse(text).map_err(|error| error.to_string())
}

fn metric(name: &str) -> Result<BenchMetric, String> {
    name.parse().map_err(|error: funnelpulse::eval::EvalError| error.to_string())
}
