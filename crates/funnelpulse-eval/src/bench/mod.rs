//! A runner of benchmarks: detectors on folders of labelled series.
//!
//! A detector is a command that reads a table of values and writes a score per row ([`DetectorCommand`]), so that
//! programs of any language stand in one table. Each run is a process of its own with limits of time and memory;
//! one that fails stops no other. What it reads holds no labels.
//!
//! ```no_run
//! use std::{path::Path, sync::atomic::AtomicBool};
//! use funnelpulse_eval::bench::{Bench, BenchDetector, BenchMetric, DetectorCommand, Leaderboard, Suite, SuiteOptions};
//!
//! let suite = Suite::find(Path::new("TSB-AD-U"), &SuiteOptions::default())?;
//! let detectors = [
//!     BenchDetector::Random { seed: 0 },
//!     DetectorCommand::parse("lof=python lof.py {input} {output}")?.into(),
//! ];
//! let bench = Bench::new(Path::new("results"));
//! let runs = bench.run(&suite.series, &detectors, &AtomicBool::new(false), &|_| ())?;
//! println!("{}", Leaderboard::new(&runs, BenchMetric::VusPr));
//! # Ok::<(), funnelpulse_eval::EvalError>(())
//! ```

mod detector;
mod layout;
mod leaderboard;
mod page;
mod process;
mod rank;
mod run;
mod runner;
mod series;
mod table;
#[cfg(test)]
mod tests;

pub use detector::{BenchDetector, DetectorCommand};
pub use layout::{SeriesSource, Suite, SuiteOptions, is_label};
pub use leaderboard::{BenchMetric, Leaderboard, Standing};
pub use page::leaderboard_page;
pub use rank::{friedman, mean_ranks, nemenyi_critical_difference, wilcoxon_signed_rank};
pub use run::{Run, RunStatus};
pub use runner::{Bench, TrainingRows};
pub use series::{BenchSeries, TIME};
pub use table::{read_runs, runs_to_batch};
