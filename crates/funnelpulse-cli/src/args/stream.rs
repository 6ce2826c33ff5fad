//! Arguments of `stream`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "Events are counted per window of the model (an hour) and series; a window is closed once events \
                        are --lateness seconds past its end, and scored with the trained model. Rows of the three days \
                        before can still be revised: each row has a revision and says whether it is final. Final \
                        rows are those that `detect` gives to the whole table.\n\n\
                        What was read, counted and found is saved with each checkpoint; a second start goes on where \
                        the last checkpoint ended, without losing or repeating a row.\n\n\
                        RUST_LOG=info, or RUST_LOG=funnelpulse_streaming=debug, writes what happens to the error \
                        stream.\n\n\
                        Example: funnelpulse stream --model shop --input events/ --follow --lateness 600 --output out"
)]
pub(crate) struct StreamArgs {
    /// The model that `train` saved; a new one in its place is taken into use between two windows
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,
    /// A file or folder of events (CSV, JSON lines, Parquet), - for standard input, or kafka://HOST:PORT/TOPIC in a
    /// build with the feature `kafka`
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// The layout of standard input
    #[arg(long, value_enum, default_value_t = TextLayout::Jsonl, value_name = "LAYOUT")]
    pub(crate) input_format: TextLayout,
    /// Folder of the results, one file per checkpoint, - for JSON lines on standard output, or kafka://HOST:PORT/TOPIC
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// The format of the results in the folder
    #[arg(long, value_enum, default_value_t = RowFormat::Parquet, value_name = "FORMAT")]
    pub(crate) format: RowFormat,
    /// Seconds by which an event may be older than the newest one of its file or partition and still count
    #[arg(long, value_name = "SECONDS")]
    pub(crate) lateness: u64,
    /// Wait for new files, and for files that grow, until the process is stopped; otherwise all windows are closed at
    /// the end of the input
    #[arg(long)]
    pub(crate) follow: bool,
    /// Folder of the checkpoints; `_checkpoints` within the folder of the results by default
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Seconds between two checkpoints: results become visible with them
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub(crate) checkpoint_seconds: f64,
    /// Seconds without any event after which the feed counts as stopped: an alert, and open windows are closed
    #[arg(long, value_name = "SECONDS")]
    pub(crate) silence: Option<u64>,
    /// Seconds between two looks at an hour that is not over, a divisor of an hour such as 300: early warnings, in
    /// addition to the alerts of full hours
    #[arg(long, value_name = "SECONDS", requires = "alerts")]
    pub(crate) early: Option<u64>,
    #[cfg(feature = "kafka")]
    /// Consumer group of a Kafka input, and transactional id of a Kafka output
    #[arg(long, default_value = "funnelpulse", value_name = "NAME")]
    pub(crate) group: String,
    #[cfg(feature = "kafka")]
    /// Setting of the Kafka client, such as security.protocol=SSL; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) kafka_property: Vec<String>,
    #[cfg(feature = "kafka")]
    /// Topic for events that are late, rejected or unreadable, where the results go to Kafka
    #[arg(long, value_name = "TOPIC")]
    pub(crate) dead_letters: Option<String>,
    /// Deliver alerts as this file says (TOML; see the book); status 4 when some are left
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
    /// Serve /metrics (for Prometheus), /healthz and /readyz at HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) status: Option<String>,
    /// Only say how much memory it will take with so many events per hour
    #[arg(long, value_name = "EVENTS")]
    pub(crate) estimate: Option<u64>,
    /// Print the counts at the end as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The layout of text.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TextLayout {
    /// One JSON object per line
    Jsonl,
    /// Comma separated, with a header
    Csv,
    /// Tab separated, with a header
    Tsv,
}

/// The format of results.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RowFormat {
    /// Parquet
    Parquet,
    /// One JSON object per line
    Jsonl,
}
