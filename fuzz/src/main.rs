//! cargo run --release -p funnelpulse-fuzz -- TARGET --seconds 60 --seed 1
//!
//! Reads mutated inputs and fails if one of them panics, allocates more than its length justifies, or
//! takes too long. Needs no nightly compiler.
#![allow(clippy::print_stdout, reason = "a program that reports")]

mod allocation;
mod corpus;
mod envelope;
mod mutate;
mod targets;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use mutate::Mutator;
use targets::Fixture;

/// Bytes that reading may allocate per byte of input.
const BYTES_PER_BYTE: usize = 200;
/// Bytes that reading may allocate besides.
const FREE_BYTES: usize = 64 << 20;
/// Longest time for one input.
const LONGEST: Duration = Duration::from_secs(10);
/// After so many findings there is enough to do.
const MOST_FINDINGS: usize = 10;

/// The text of the last panic, of any thread.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// The reader under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// Model files, of single detectors and of pipelines.
    Model,
    /// Hourly tables in CSV.
    Csv,
    /// Tables in Parquet.
    Parquet,
    /// Tables of events in CSV.
    Events,
    /// Configurations in TOML.
    Config,
    /// Alerts files in TOML.
    Alerts,
    /// What is remembered of earlier alerts.
    State,
    /// Alerts that wait for their receivers.
    Spool,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Events => "events",
            Self::Config => "config",
            Self::Alerts => "alerts",
            Self::State => "state",
            Self::Spool => "spool",
        }
    }
}

/// Reads mutated inputs until the time is over.
#[derive(Debug, Parser)]
#[command(name = "fuzz")]
struct Args {
    /// The reader under test.
    target: Target,
    /// Seconds to run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the mutations: the same seed gives the same inputs in the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder of the seed inputs, one folder per target; made if absent.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))]
    corpus: PathBuf,
    /// The folder for the input at work and for findings.
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
    /// Read only this file, unchanged.
    #[arg(long)]
    input: Option<PathBuf>,
}

/// Counts of the inputs read.
#[derive(Debug, Default)]
struct Tally {
    inputs: usize,
    accepted: usize,
    findings: usize,
    largest: usize,
    slowest: Duration,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let name = args.target.name();
    let out = args.out.join(name);
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let mut run = Run { target: args.target, fixture: Fixture::new(out.clone())?, out, tally: Tally::default() };
    let seeds = match &args.input {
        Some(file) => vec![fs::read(file).with_context(|| file.display().to_string())?],
        None => corpus::seeds(args.target, &args.corpus.join(name))?,
    };
    ensure!(!seeds.is_empty(), "no seed input for {name}");
    panic::set_hook(Box::new(|info| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(info.to_string());
    }));
    for seed in &seeds {
        run.read(seed)?;
    }
    if args.input.is_none() {
        run.fuzz(&Mutator::new(seeds), Duration::from_secs(args.seconds), args.seed)?;
    }
    let Tally { inputs, accepted, findings, largest, slowest } = run.tally;
    println!("{name}: {inputs} inputs, {accepted} of them accepted, {findings} findings");
    println!("{name}: at most {} KiB above the start, {} ms for one input", largest >> 10, slowest.as_millis());
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads inputs with one target.
#[derive(Debug)]
struct Run {
    target: Target,
    fixture: Fixture,
    out: PathBuf,
    tally: Tally,
}

impl Run {
    fn fuzz(&mut self, mutator: &Mutator, time: Duration, seed: u64) -> Result<()> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let start = Instant::now();
        while start.elapsed() < time && self.tally.findings < MOST_FINDINGS {
            let mut input = mutator.next(&mut rng);
            // A wrong checksum hides the payload from the mutations.
            match self.target {
                Target::Model if rng.random_range(0..4u8) > 0 => envelope::repair(&mut input),
                Target::Spool if rng.random_range(0..4u8) > 0 => envelope::repair_lines(&mut input),
                _ => {}
            }
            self.read(&input)?;
        }
        Ok(())
    }

    /// Reads one input, and keeps it if something is wrong.
    fn read(&mut self, input: &[u8]) -> Result<()> {
        // Written before it is read: an abort takes the process along.
        fs::write(self.out.join("current"), input)?;
        let start = Instant::now();
        let work = || panic::catch_unwind(AssertUnwindSafe(|| self.fixture.read(self.target, input)));
        let (result, memory) = allocation::peak_of(work);
        let time = start.elapsed();
        let problem = match result {
            Err(_) => Some(last_panic()),
            // The dispatcher has threads of its own.
            Ok(_) if self.target == Target::Spool && has_panicked() => Some(last_panic()),
            Ok(accepted) => {
                self.tally.accepted += usize::from(accepted?);
                too_much(input.len(), memory, time)
            }
        };
        self.tally.inputs += 1;
        self.tally.largest = self.tally.largest.max(memory);
        self.tally.slowest = self.tally.slowest.max(time);
        if let Some(problem) = problem {
            self.tally.findings += 1;
            keep(&self.out, self.tally.findings, input, &problem)?;
        }
        Ok(())
    }
}

fn has_panicked() -> bool {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn last_panic() -> String {
    let text = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Why an input took more than it should.
fn too_much(length: usize, memory: usize, time: Duration) -> Option<String> {
    let allowed = length * BYTES_PER_BYTE + FREE_BYTES;
    if memory > allowed {
        return Some(format!("{memory} bytes allocated for an input of {length}, allowed are {allowed}"));
    }
    (time > LONGEST).then(|| format!("{} ms, allowed are {}", time.as_millis(), LONGEST.as_millis()))
}

fn keep(out: &Path, number: usize, input: &[u8], problem: &str) -> Result<()> {
    let path = out.join(format!("finding-{number}"));
    fs::write(&path, input).with_context(|| path.display().to_string())?;
    println!("{}: {problem}", path.display());
    Ok(())
}
