//! The command line.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{
    ArgAction, Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use funnelpulse::{Preset, eval::generator::Variety};

use crate::plot::plot_file;

mod bench;
mod score;
mod series;
mod sides;
mod stream;

pub(crate) use bench::BenchArgs;
pub(crate) use score::{ANY_SERIES, EvalArgs, ScoreArgs};
pub(crate) use series::{ChangepointsArgs, ForecastArgs};
pub(crate) use sides::{CompareArgs, LocateArgs};
#[cfg(feature = "kafka")]
pub(crate) use stream::Stage;
pub(crate) use stream::{RowFormat, SiteArgs, StreamArgs, TextLayout};

/// Find and explain anomalies in shop funnels and other hourly tables.
#[derive(Debug, Parser)]
#[command(
    name = "funnelpulse",
    version,
    after_help = "Start with `funnelpulse demo`: it needs no input and shows everything.\n\n\
                  Exit status: 0 fine, 1 error, 2 wrong command line, 3 nothing could be scored\n\
                  (with --strict also: some series could not), 4 alerts wait for the next run."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Show no progress bars and no remarks, only warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log the steps of the command; twice with their details. `RUST_LOG` says it by module
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Number of threads; by default all cores. Results don't depend on it
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a labelled shop, find its anomalies, measure how well
    Demo(DemoArgs),
    /// Generate labelled funnel data
    Generate(GenerateArgs),
    /// Find and explain the anomalies in a table of events or hourly rows
    Run(RunArgs),
    /// Train a model on a history
    Train(TrainArgs),
    /// Find and explain anomalies with a trained model
    Detect(DetectArgs),
    /// Score any table with one detector
    Score(ScoreArgs),
    /// Measure scores against labels
    Eval(EvalArgs),
    /// Compare detectors on a folder of labelled series, as the public benchmarks have them
    Bench(BenchArgs),
    /// Fit trend, seasonality and events to a series, and forecast it
    Forecast(ForecastArgs),
    /// Find the rows at which the level of a series changes for good
    Changepoints(ChangepointsArgs),
    /// Explain one hour of one series in full
    Explain(ExplainArgs),
    /// Locate a change in the events: devices, categories, brands
    Locate(LocateArgs),
    /// Compare two periods, two series or two models
    Compare(CompareArgs),
    /// Show, check or describe the configuration
    Config(ConfigArgs),
    /// Inspect a model file
    Model(ModelArgs),
    /// Follow events as they come: score each hour when it is over, revise, alert
    Stream(StreamArgs),
    /// Check how alerts are delivered
    Alerts(AlertsArgs),
    /// Print the completions for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

impl Command {
    /// The table that is read, which may be `-`. `stream` reads the standard input as it comes, by itself.
    pub(crate) fn input(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Run(args) => Some(&mut args.input),
            Self::Train(args) => Some(&mut args.input),
            Self::Detect(args) => Some(&mut args.input),
            Self::Score(args) => Some(&mut args.input),
            Self::Eval(args) => Some(&mut args.scores),
            Self::Forecast(args) => Some(&mut args.input),
            Self::Changepoints(args) => Some(&mut args.input),
            Self::Explain(args) => Some(&mut args.input),
            Self::Locate(args) => Some(&mut args.input),
            Self::Compare(args) => Some(&mut args.input),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example for bash: funnelpulse completions bash > ~/.local/share/bash-completion/completions/funnelpulse"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: funnelpulse man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Folder for a page per command
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Options of the settings.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Start from settings for other data than a shop's funnel
    #[arg(long, value_name = "NAME", value_parser = presets())]
    pub(crate) preset: Option<Preset>,
    /// Configuration file, TOML or JSON (see `funnelpulse config show`)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for example `iforest.n_trees=200`; overrides file and environment
    #[arg(long = "set", value_name = "SECTION.FIELD=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// Options of the results.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Results {
    /// Folder for the results: `anomalies/` (Parquet, partitioned by `window_date`), `incidents.jsonl`,
    /// `alerts.jsonl`, `summary.json`, and from events also `hourly.parquet`
    #[arg(long, alias = "out", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Also write an HTML report that opens offline
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write every scored row, not only the anomalies
    #[arg(long)]
    pub(crate) all_rows: bool,
    /// Number of incidents to print
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) top: usize,
    /// Deliver alerts as this file says (TOML; see the book); status 4 when some are left for the next run
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
    /// Print the time that each stage took
    #[arg(long)]
    pub(crate) timings: bool,
    /// Print the summary as JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// End with status 3 when any series could not be scored
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for tables and report
    #[arg(long, alias = "output", default_value = "funnelpulse-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) shop: Shop,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Number of incidents to print
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) top: usize,
}

/// The generated shop.
#[derive(Debug, Args)]
pub(crate) struct Shop {
    /// Number of brands
    #[arg(long, default_value_t = 40, value_name = "N")]
    pub(crate) brands: usize,
    /// Number of days; the first 28 (at most half) are free of anomalies
    #[arg(long, default_value_t = 150, value_name = "N")]
    pub(crate) days: usize,
    /// The same seed gives the same shop
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub(crate) seed: u64,
    /// Size of the anomalies: the harder, the smaller
    #[arg(long, value_enum, default_value_t = Difficulty::Medium)]
    pub(crate) difficulty: Difficulty,
    /// Variety of the anomalies: `tabulated` has named kinds of fixed size, `open` draws sizes, lengths and onsets, and
    /// half of its anomalies have no name
    #[arg(long, default_value_t = Variety::Tabulated, value_name = "VARIETY")]
    pub(crate) variety: Variety,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Difficulty {
    Easy,
    Medium,
    Hard,
}

#[derive(Debug, Args)]
#[command(after_help = "labels.parquet says which rows are anomalous and how; truth.parquet what each row would have \
                        been without anomalies and noise.\n\n\
                        Example of a feed to follow, an hour each second: \
                        funnelpulse generate --days 28 --from-day 21 --replay 3600 --to -")]
pub(crate) struct GenerateArgs {
    /// Folder for `hourly.parquet`, `labels.parquet` and `truth.parquet`
    #[arg(long, alias = "output", value_name = "DIR", required_unless_present = "replay")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shop: Shop,
    /// Also write the raw events, one Parquet file a day under `events/`
    #[arg(long, requires = "out")]
    pub(crate) events: bool,
    /// Only from this day on, counted from 0
    #[arg(long, value_name = "DAY")]
    pub(crate) from_day: Option<usize>,
    /// Only the days before this one
    #[arg(long, value_name = "DAY")]
    pub(crate) until_day: Option<usize>,
    /// Write the events as JSON lines, so many times as fast as they happened; 0 is as fast as possible
    #[arg(long, value_name = "SPEED")]
    pub(crate) replay: Option<f64>,
    /// Where --replay writes to: - for standard output, or kafka://HOST:PORT/TOPIC in a build with the feature `kafka`
    #[arg(long, value_name = "PLACE", default_value = "-", requires = "replay")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Events and hourly rows are recognised by their columns; the names are settings \
                        ([events] and [input] of `funnelpulse config show`). A folder may hold Hive partitions.\n\n\
                        A series that can't be read or is too short is left out and named; the others are scored.\n\n\
                        Example: funnelpulse run --input events.parquet --output out --report out/report.html")]
pub(crate) struct RunArgs {
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) results: Results,
    /// Also save the trained model: a folder, or a file when the name has an extension
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
#[command(after_help = "`run` is `train` and `detect` on the same rows.\n\n\
                        Example: funnelpulse train --input history/ --model shop")]
pub(crate) struct TrainArgs {
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// The model to write: a folder, or a file when the name has an extension
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,
    /// Feedback on earlier alarms: CSV or Parquet with `series`, `start`, `end` (no longer part of
    /// it) and `verdict` (`incident` or `false_alarm`)
    #[arg(long, value_name = "FILE")]
    pub(crate) feedback: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// End with status 3 when any series could not be trained
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "The configuration is the model's.\n\n\
                        With --state a table is scored as the continuation of those before it: day after day gives \
                        what one long table would give. The results then also hold the rows of the days before that \
                        the state keeps, since later rows revise the last three of them. Rows have to be later than \
                        those of the table before; a new series is scored once its rows make a baseline.\n\n\
                        Example: funnelpulse detect --model shop --input today.csv --output out")]
pub(crate) struct DetectArgs {
    /// The model that `train` saved
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,
    /// CSV, JSON lines or Parquet, a file or a folder; - for the standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// File with the state after the table before, which this run replaces; created by the first run
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) results: Results,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: funnelpulse explain --model shop --input today.csv --series runail --time \
                        \"2019-10-26 08:00\"")]
pub(crate) struct ExplainArgs {
    /// The model that `train` saved
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,
    /// The table that holds the hour
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// The series, for example a brand
    #[arg(long, value_name = "NAME")]
    pub(crate) series: String,
    /// The start of the hour, for example "2019-10-26 08:00"
    #[arg(long, value_name = "TIME")]
    pub(crate) time: String,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Also draw the week before and the day after, in a page (.html) or a picture (.svg, .png)
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    pub(crate) plot: Option<PathBuf>,
}

const LAYERS: &str = "Each of these overrides the ones before: defaults, the file, environment variables \
                      (FUNNELPULSE_IFOREST__N_TREES=200), --set iforest.n_trees=200.\n\n\
                      To start a file of your own: funnelpulse config show > funnelpulse.toml";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print the configuration in force, every setting spelt out
    #[command(after_help = LAYERS)]
    Show {
        #[command(flatten)]
        settings: Settings,
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration in force
    Check {
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the JSON Schema of the configuration
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    pub(crate) action: ModelAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelAction {
    /// Show the training data and the settings of a model
    Inspect {
        /// The model that `train` saved
        #[arg(value_name = "MODEL")]
        path: PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    pub(crate) action: AlertsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsAction {
    /// Check a file of settings, and say which messages would be sent where. Nothing is sent
    Check {
        /// The file of `run --alerts` and `detect --alerts` (TOML; see the book)
        #[arg(long, value_name = "FILE")]
        alerts: PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

fn presets() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::ALL.map(Preset::as_str)).try_map(|name| name.parse())
}

/// Refused now rather than when all the work is done.
fn table_file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    match path.extension() {
        _ if name == "-" => Ok(path),
        Some(end) if end.eq_ignore_ascii_case("csv") || end.eq_ignore_ascii_case("parquet") => Ok(path),
        _ => Err("the name should end in .csv or .parquet, or be - for the standard output".to_owned()),
    }
}
