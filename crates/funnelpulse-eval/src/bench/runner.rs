//! Detectors on series, in parallel.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use funnelpulse_core::counted;
use funnelpulse_io::{Table, write_file};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    BenchDetector, BenchSeries, Run, RunStatus, SeriesSource,
    process::{self, End, Limits},
};
use crate::EvalError;

/// The file that runs are added to as they end.
const RUNS: &str = "runs.jsonl";
/// How the folders begin that a benchmark works in.
const WORK: &str = ".work-";

/// The rows that detectors learn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainingRows {
    /// All rows of a series, without labels.
    #[default]
    Whole,
    /// The rows at the start that the benchmark gives for it; all where it gives none.
    Prefix,
}

/// How a benchmark is run. Runs are added to `runs.jsonl` in its folder as they end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bench {
    /// The folder of the results.
    pub folder: PathBuf,
    /// Runs at a time.
    pub jobs: NonZeroUsize,
    /// Threads of each run.
    pub threads: NonZeroUsize,
    /// The longest that a run may take.
    pub time_limit: Duration,
    /// The most bytes of memory that a run may take; enforced on Linux.
    pub memory_limit: Option<u64>,
    /// The rows that detectors learn from.
    pub training: TrainingRows,
    /// Whether detectors see the times of rows, as a column `timestamp`.
    pub times: bool,
    /// Tolerance of VUS in rows, instead of the period of each series.
    pub window: Option<usize>,
    /// Whether to keep the scores, as `scores/DETECTOR/COLLECTION/SERIES.csv`.
    pub keep_scores: bool,
    /// Take over the runs that are in the folder already; those that failed are made again.
    pub resume: bool,
}

impl Bench {
    /// All processors, an hour per run, any memory.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            threads: NonZeroUsize::MIN,
            time_limit: Duration::from_secs(3600),
            memory_limit: None,
            training: TrainingRows::Whole,
            times: false,
            window: None,
            keep_scores: false,
            resume: false,
        }
    }

    /// Runs every detector on every series. The result is in the order of series, then of detectors,
    /// whatever ended first; empty without any of either. `cancel` ends it early, with what is there. `report` sees each run as it ends.
    ///
    /// # Errors
    /// A folder that can't be written, or that has runs which are not to be resumed. A detector that fails is
    /// no error but a run that failed.
    pub fn run(
        &self,
        series: &[SeriesSource],
        detectors: &[BenchDetector],
        cancel: &AtomicBool,
        report: &(dyn Fn(&Run) + Sync),
    ) -> Result<Vec<Run>, EvalError> {
        let wrong = |error: std::io::Error| EvalError::suite(&self.folder, error);
        fs::create_dir_all(&self.folder).map_err(wrong)?;
        let known = self.known()?;
        self.remove_leftovers().map_err(wrong)?;
        let work = tempfile::Builder::new().prefix(WORK).tempdir_in(&self.folder).map_err(wrong)?;
        let shared = Shared {
            bench: self,
            detectors,
            known,
            work: work.path(),
            slots: series.iter().map(|source| Slot::new(source, detectors.len())).collect(),
            next: AtomicUsize::new(0),
            cancel,
        };
        let (sender, receiver) = mpsc::channel::<(usize, Run)>();
        let mut runs: BTreeMap<usize, Run> = BTreeMap::new();
        let mut log = self.log(&shared.known)?;
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                let (sender, shared) = (sender.clone(), &shared);
                scope.spawn(move || shared.work(&sender));
            }
            drop(sender);
            for (task, run) in receiver {
                if !shared.known.contains_key(&run.checksum) {
                    let line = serde_json::to_string(&run).map_err(|e| EvalError::suite(&self.folder, e))?;
                    writeln!(log, "{line}").and_then(|()| log.flush()).map_err(wrong)?;
                }
                report(&run);
                runs.insert(task, run);
            }
            Ok::<(), EvalError>(())
        })?;
        Ok(runs.into_values().collect())
    }

    /// Folders of work that was killed.
    fn remove_leftovers(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(WORK) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Runs of before, by what they were made of.
    fn known(&self) -> Result<BTreeMap<String, Run>, EvalError> {
        let path = self.folder.join(RUNS);
        let Ok(file) = File::open(&path) else { return Ok(BTreeMap::new()) };
        if !self.resume {
            let reason =
                "there are results already: go on from them with --resume (`Bench::resume`), or choose another folder";
            return Err(EvalError::suite(&path, reason));
        }
        // The last line may be half a run, where the writer was killed.
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        let runs = lines.filter_map(|line| serde_json::from_str::<Run>(&line).ok());
        let kept = |run: &Run| !matches!(run.status, RunStatus::Failed | RunStatus::NoLabels);
        Ok(runs.filter(kept).map(|run| (run.checksum.clone(), run)).collect())
    }

    /// The log, with the runs of before.
    fn log(&self, known: &BTreeMap<String, Run>) -> Result<File, EvalError> {
        let path = self.folder.join(RUNS);
        let kept: Result<Vec<String>, _> = known.values().map(serde_json::to_string).collect();
        let kept = kept.map_err(|error| EvalError::suite(&path, error))?;
        let text: String = kept.into_iter().map(|line| line + "\n").collect();
        funnelpulse_io::write_bytes(&path, text.as_bytes()).map_err(|error| EvalError::suite(&path, error))?;
        File::options().append(true).open(&path).map_err(|error| EvalError::suite(&path, error))
    }
}

/// A series while its runs are made.
struct Slot<'a> {
    source: &'a SeriesSource,
    prepared: Mutex<Option<Result<Arc<Prepared>, EvalError>>>,
    left: AtomicUsize,
}

/// A series in memory and, without labels, on the disk.
struct Prepared {
    series: Arc<BenchSeries>,
    checksum: u64,
    window: usize,
    folder: TempDir,
}

const INPUT: &str = "input.csv";

impl<'a> Slot<'a> {
    fn new(source: &'a SeriesSource, detectors: usize) -> Self {
        Self { source, prepared: Mutex::new(None), left: AtomicUsize::new(detectors) }
    }

    fn prepared(&self, bench: &Bench, work: &Path) -> Result<Arc<Prepared>, EvalError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.get_or_insert_with(|| Prepared::new(self.source, bench, work).map(Arc::new)).clone()
    }

    /// Frees the series after its last run.
    fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Prepared {
    fn new(source: &SeriesSource, bench: &Bench, work: &Path) -> Result<Self, EvalError> {
        let series = source.load()?;
        let folder = TempDir::new_in(work).map_err(|error| EvalError::suite(work, error))?;
        let input = series.input(bench.times).map_err(|error| EvalError::suite(Path::new(source.name()), error))?;
        let path = folder.path().join(INPUT);
        write_file(&path, &input).map_err(|error| EvalError::suite(&path, error))?;
        let window = bench.window.unwrap_or_else(|| series.window());
        Ok(Self { checksum: series.checksum(), window, series, folder })
    }
}

/// What all workers share.
struct Shared<'a> {
    bench: &'a Bench,
    detectors: &'a [BenchDetector],
    known: BTreeMap<String, Run>,
    work: &'a Path,
    slots: Vec<Slot<'a>>,
    next: AtomicUsize,
    cancel: &'a AtomicBool,
}

impl Shared<'_> {
    fn work(&self, sender: &mpsc::Sender<(usize, Run)>) {
        while !self.cancel.load(Ordering::Relaxed) {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            let place = task.checked_div(self.detectors.len());
            let Some(slot) = place.and_then(|place| self.slots.get(place)) else { return };
            let run = self.one(slot, &self.detectors[task % self.detectors.len()]);
            slot.done();
            // Without a receiver the results can't be written, which it has said.
            if run.is_some_and(|run| sender.send((task, run)).is_err()) {
                return;
            }
        }
    }

    /// One run; none when it was cancelled.
    fn one(&self, slot: &Slot<'_>, detector: &BenchDetector) -> Option<Run> {
        let mut run = Run {
            collection: slot.source.collection().to_owned(),
            series: slot.source.name().to_owned(),
            detector: detector.name().to_owned(),
            status: RunStatus::NoLabels,
            message: None,
            rows: 0,
            columns: 0,
            seconds: 0.0,
            peak_bytes: None,
            evaluation: None,
            checksum: String::new(),
        };
        let prepared = match slot.prepared(self.bench, self.work) {
            Ok(prepared) => prepared,
            Err(error) => {
                run.message = Some(error.to_string());
                return Some(run);
            }
        };
        let series = &prepared.series;
        (run.rows, run.columns) = (series.labels.len(), series.columns.len());
        if !series.can_be_evaluated() {
            run.message = Some("there are not both anomalous and normal rows".to_owned());
            return Some(run);
        }
        let train_rows = match self.bench.training {
            TrainingRows::Whole => series.labels.len(),
            TrainingRows::Prefix => series.train_rows.unwrap_or(series.labels.len()),
        };
        // Series can be copies of each other.
        let names = format!("{}/{}", run.collection, run.series);
        run.checksum = format!(
            "{:016x}-{:016x}-{:016x}-{train_rows}-{}-{}",
            xxh3_64(names.as_bytes()),
            prepared.checksum,
            detector.checksum(),
            prepared.window,
            self.bench.times
        );
        if let Some(known) = self.known.get(&run.checksum).filter(|known| known.key() == run.key()) {
            return Some(known.clone());
        }
        let scores = self.scores(&prepared, detector, train_rows, &mut run)?;
        let evaluation = scores.and_then(|scores| {
            series.evaluate(&scores, Some(prepared.window)).map_err(|error| (RunStatus::Failed, error.to_string()))
        });
        match evaluation {
            Ok(evaluation) => (run.status, run.evaluation) = (RunStatus::Ok, Some(evaluation)),
            Err((status, message)) => (run.status, run.message) = (status, Some(message)),
        }
        Some(run)
    }

    /// The scores, or how the run ended without; none when it was cancelled.
    fn scores(
        &self,
        prepared: &Prepared,
        detector: &BenchDetector,
        train_rows: usize,
        run: &mut Run,
    ) -> Option<Result<Vec<f64>, (RunStatus, String)>> {
        let rows = prepared.series.labels.len();
        let command = match detector {
            BenchDetector::Random { seed } => {
                let mut random = Pcg64Mcg::seed_from_u64(seed ^ prepared.checksum);
                return Some(Ok((0..rows).map(|_| random.random::<f64>()).collect()));
            }
            BenchDetector::Command(command) => command,
        };
        let failed = |message: String| Some(Err((RunStatus::Failed, message)));
        let Ok(folder) = TempDir::new_in(prepared.folder.path()) else {
            return failed("a temporary folder can't be made".to_owned());
        };
        let (input, output) = (prepared.folder.path().join(INPUT), folder.path().join("scores.csv"));
        let limits =
            Limits { time: self.bench.time_limit, memory: self.bench.memory_limit, threads: self.bench.threads.get() };
        let words = command.filled(&input, &output, train_rows, &prepared.series.columns);
        let finished = match process::run(&words, folder.path(), limits, self.cancel) {
            Ok(finished) => finished,
            Err(error) => return failed(error.to_string()),
        };
        (run.seconds, run.peak_bytes) = (finished.seconds, finished.peak);
        match finished.end {
            End::Done => {}
            End::Cancelled => return None,
            End::Failed(message) => return failed(message),
            End::Time => {
                let message = format!("longer than {} s", self.bench.time_limit.as_secs());
                return Some(Err((RunStatus::Timeout, message)));
            }
            End::Memory => {
                let message = format!("more than {} MiB", self.bench.memory_limit.unwrap_or(0) >> 20);
                return Some(Err((RunStatus::OutOfMemory, message)));
            }
        }
        let scores = match read_scores(&output, rows) {
            Ok(scores) => scores,
            Err(message) => return failed(message),
        };
        if self.bench.keep_scores
            && let Err(error) = self.keep(run, &scores)
        {
            return failed(format!("the scores can't be kept: {error}"));
        }
        Some(Ok(scores))
    }

    /// Keeps scores in one form, whatever the detector wrote: a column `score`, `NaN` for none.
    fn keep(&self, run: &Run, scores: &[f64]) -> Result<(), EvalError> {
        let folder = self.bench.folder.join("scores").join(&run.detector).join(&run.collection);
        fs::create_dir_all(&folder).map_err(|error| EvalError::suite(&folder, error))?;
        let path = folder.join(format!("{}.csv", run.series.replace('/', "_")));
        let lines: Vec<String> = scores.iter().map(|score| format!("{score}\n")).collect();
        let text = format!("score\n{}", lines.concat());
        funnelpulse_io::write_bytes(&path, text.as_bytes()).map_err(|error| EvalError::suite(&path, error))
    }
}

/// A number per line, or a table with a column `score`; as many as there are rows.
fn read_scores(path: &Path, rows: usize) -> Result<Vec<f64>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("no scores were written: {error}"))?;
    let number = |line: &str| match line.trim() {
        "" => Some(f64::NAN),
        cell => cell.parse::<f64>().ok(),
    };
    let first = text.lines().next().unwrap_or_default();
    let scores = if first.trim().parse::<f64>().is_ok() {
        let line =
            |(row, line): (usize, &str)| number(line).ok_or_else(|| format!("row {}: `{line}` is no score", row + 1));
        text.lines().enumerate().map(line).collect::<Result<Vec<f64>, String>>()?
    } else {
        let table = Table::read(path).map_err(|error| error.to_string())?;
        table.f64_column("score").map_err(|error| error.to_string())?
    };
    match scores.iter().position(|score| score.is_infinite()) {
        Some(row) => Err(format!("row {}: {} is not finite", row + 1, scores[row])),
        None if scores.len() != rows => {
            Err(format!("{} for {}", counted(scores.len(), "score", "scores"), counted(rows, "row", "rows")))
        }
        None => Ok(scores),
    }
}
