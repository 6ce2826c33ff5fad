//! Arguments of `stream`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use funnelpulse_streaming::RetrainConfig;
use serde::Deserialize;

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
                        A file of --config has the same settings by the same names, with _ for -, and a [[site]] section \
                        with settings of its own for each of several sites.\n\n\
                        Example: funnelpulse stream --model shop --input events/ --follow --lateness 600 --output out"
)]
pub(crate) struct StreamArgs {
    /// Settings from this file (TOML); those on the command line count before them
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
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

/// The settings of one site, on the command line or in a file.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SiteArgs {
    /// Its name, where there are several.
    #[arg(skip)]
    pub(crate) name: Option<String>,
    /// The model that `train` saved; a new one in its place is taken into use between two windows
    #[arg(long, value_name = "PATH", required_unless_present = "config")]
    pub(crate) model: Option<PathBuf>,
    /// A file or folder of events (CSV, JSON lines, Parquet), - for standard input, or kafka://HOST:PORT/TOPIC in a
    /// build with the feature `kafka`
    #[arg(long, value_name = "PATH", required_unless_present = "config")]
    pub(crate) input: Option<PathBuf>,
    /// The layout of standard input [default: jsonl]
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(crate) input_format: Option<TextLayout>,
    /// Folder of the results, one file per checkpoint, - for JSON lines on standard output, or kafka://HOST:PORT/TOPIC
    #[arg(long, alias = "out", value_name = "DIR", required_unless_present = "config")]
    pub(crate) output: Option<PathBuf>,
    /// The format of the results in the folder [default: parquet]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,
    /// Seconds by which an event may be older than the newest one of its file or partition and still count
    #[arg(long, value_name = "SECONDS", required_unless_present = "config")]
    pub(crate) lateness: Option<u64>,
    /// Wait for new files, and for files that grow, until the process is stopped; otherwise all windows are closed at
    /// the end of the input
    #[arg(long)]
    pub(crate) follow: bool,
    /// Folder of the checkpoints; `_checkpoints` within the folder of the results by default
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Seconds between two checkpoints: results become visible with them [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) checkpoint_seconds: Option<f64>,
    /// Seconds without an event after which a partition no longer holds windows open; for ever by default
    #[arg(long, value_name = "SECONDS")]
    pub(crate) idle: Option<u64>,
    /// Seconds without any event after which the feed counts as stopped: an alert, and open windows are closed
    #[arg(long, value_name = "SECONDS")]
    pub(crate) silence: Option<u64>,
    /// Seconds between two looks at an hour that is not over, a divisor of an hour such as 300: early warnings, in
    /// addition to the alerts of full hours
    #[arg(long, value_name = "SECONDS")]
    pub(crate) early: Option<u64>,
    /// Train a new model on the last 90 days every so many hours of event time, and take it into use; section [retrain] of
    /// the file has more settings
    #[arg(long, value_name = "HOURS")]
    #[serde(skip)]
    pub(crate) retrain_hours: Option<u32>,
    /// How new models are trained.
    #[arg(skip)]
    pub(crate) retrain: Option<RetrainConfig>,
    #[cfg(feature = "kafka")]
    /// Consumer group of a Kafka input, and transactional id of a Kafka output [default: funnelpulse, of several sites with
    /// the name of the site]
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    #[cfg(feature = "kafka")]
    /// Setting of the Kafka client (librdkafka), such as fetch.min.bytes=65536; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) kafka_property: Vec<String>,
    #[cfg(feature = "kafka")]
    /// Setting of the Kafka client that is a secret, and the environment variable that holds it, such as
    /// sasl.password=PASSWORD; can be repeated
    #[arg(long, value_name = "NAME=VARIABLE")]
    pub(crate) kafka_secret: Vec<String>,
    #[cfg(feature = "kafka")]
    /// One of two stages from Kafka to Kafka: `windows` turns events into windows, in any number of processes of one
    /// group; `detection` scores these. Both in one process by default
    #[arg(long, value_enum, value_name = "STAGE")]
    pub(crate) stage: Option<Stage>,
    #[cfg(feature = "avro")]
    /// The events of a Kafka topic are Avro, with their schemas in the registry at http://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) avro_registry: Option<String>,
    #[cfg(feature = "kafka")]
    /// Topic for events that are late, rejected or unreadable, where the results go to Kafka
    #[arg(long, value_name = "TOPIC")]
    pub(crate) dead_letters: Option<String>,
    /// Deliver alerts as this file says (TOML; see the book); status 4 when some are left
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
}

impl SiteArgs {
    /// These settings, and those of `general` where there is none.
    pub(crate) fn over(self, general: &Self) -> Self {
        let general = general.clone();
        Self {
            name: self.name.or(general.name),
            model: self.model.or(general.model),
            input: self.input.or(general.input),
            input_format: self.input_format.or(general.input_format),
            output: self.output.or(general.output),
            format: self.format.or(general.format),
            lateness: self.lateness.or(general.lateness),
            follow: self.follow || general.follow,
            checkpoints: self.checkpoints.or(general.checkpoints),
            checkpoint_seconds: self.checkpoint_seconds.or(general.checkpoint_seconds),
            idle: self.idle.or(general.idle),
            silence: self.silence.or(general.silence),
            early: self.early.or(general.early),
            retrain_hours: self.retrain_hours.or(general.retrain_hours),
            retrain: self.retrain.or(general.retrain),
            #[cfg(feature = "kafka")]
            group: self.group.or(general.group),
            #[cfg(feature = "kafka")]
            kafka_property: if self.kafka_property.is_empty() { general.kafka_property } else { self.kafka_property },
            #[cfg(feature = "kafka")]
            kafka_secret: if self.kafka_secret.is_empty() { general.kafka_secret } else { self.kafka_secret },
            #[cfg(feature = "kafka")]
            stage: self.stage.or(general.stage),
            #[cfg(feature = "avro")]
            avro_registry: self.avro_registry.or(general.avro_registry),
            #[cfg(feature = "kafka")]
            dead_letters: self.dead_letters.or(general.dead_letters),
            alerts: self.alerts.or(general.alerts),
        }
    }
}

/// The layout of text.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TextLayout {
    /// One JSON object per line
    Jsonl,
    /// Comma separated, with a header
    Csv,
    /// Tab separated, with a header
    Tsv,
}

/// The format of results.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowFormat {
    /// Parquet
    Parquet,
    /// One JSON object per line
    Jsonl,
}

/// A stage of a deployment in two stages.
#[cfg(feature = "kafka")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Events to windows
    Windows,
    /// Windows to verdicts
    Detection,
}
