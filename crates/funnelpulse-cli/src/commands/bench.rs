//! `funnelpulse bench`: detectors on labelled series, side by side.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use funnelpulse::{
    Built, Catalog, Entry,
    core::counted,
    eval::{
        EvalError,
        bench::{
            Bench, BenchDetector, DetectorCommand, Leaderboard, Run, Suite, SuiteOptions, TIME, TrainingRows,
            leaderboard_page, runs_to_batch,
        },
    },
    features::MetricSpec,
    io::{Table, write_bytes, write_file},
};
use serde_json::json;

use crate::{
    Outcome,
    args::{ANY_SERIES, BenchArgs},
    context::catalog,
    input::split_setting,
    output, outputs,
};

const ALL: &str = "all";
const RANDOM: &str = "random";
/// Files that are named when they are no labelled series.
const SHOWN: usize = 3;

pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<Outcome> {
    outputs::folder("--out", &args.out)?;
    let suite = suite(args)?;
    note_skipped(&suite);
    let detectors = detectors(args)?;
    let mut bench = Bench::new(&args.out);
    bench.jobs = args.jobs.unwrap_or(bench.jobs);
    bench.time_limit = Duration::from_secs(args.time_limit);
    bench.memory_limit = args.memory_limit.map(|mib| mib << 20);
    bench.training = if args.train_prefix { TrainingRows::Prefix } else { TrainingRows::Whole };
    (bench.times, bench.window) = (args.times, args.window);
    (bench.keep_scores, bench.resume) = (args.keep_scores, args.resume);

    let cancel = Arc::new(AtomicBool::new(false));
    let handler = cancel.clone();
    // Fails only where a program of many commands has set one before; then that one counts.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));
    let bar = output::bar("running", suite.series.len() * detectors.len());
    let runs = bench.run(&suite.series, &detectors, &cancel, &|_| bar.inc(1))?;
    bar.finish_and_clear();
    if cancel.load(Ordering::Relaxed) {
        bail!("stopped after {}; --resume goes on from there", counted(runs.len(), "run", "runs"));
    }
    let board = Leaderboard::new(&runs, args.metric);
    write(args, &runs, &board)?;
    if args.json {
        return output::say(serde_json::to_string_pretty(&document(&board))?).map(|()| Outcome::Done);
    }
    output::say(format_args!("{board}\nLeaderboard in {}", args.out.join("leaderboard.html").display()))?;
    Ok(if board.series == 0 { Outcome::Unscored } else { Outcome::Done })
}

/// The series, at least one of which can be used.
fn suite(args: &BenchArgs) -> anyhow::Result<Suite> {
    let suite = Suite::find(&args.data, &options(args)?).and_then(|suite| suite.check().map(|()| suite));
    suite.map_err(|error| match error {
        EvalError::NoSeries { .. } => anyhow!(
            "{error}. --label-column and --columns name other columns, --windows another file with the windows of NAB"
        ),
        error => error.into(),
    })
}

fn options(args: &BenchArgs) -> anyhow::Result<SuiteOptions> {
    Ok(SuiteOptions {
        label_column: args.label_column.clone(),
        series_column: args.series_column.clone(),
        time_column: args.time_column.clone(),
        columns: args.columns.clone(),
        windows: args.windows.clone(),
        only: args.list.as_deref().map(names).transpose()?,
        training_files: args.train_prefix,
    })
}

/// The names in a file: a column of a CSV file, or its lines.
fn names(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let first = text.lines().next().unwrap_or_default();
    let column = ["file_name", "file", "series"].into_iter().find(|c| first.split(',').any(|name| name.trim() == *c));
    let names: BTreeSet<String> = match column {
        Some(column) if first.contains(',') => {
            Table::read(path)?.string_column(column)?.into_iter().flatten().collect()
        }
        Some(_) => text.lines().skip(1).map(|line| line.trim().to_owned()).collect(),
        None => text.lines().map(|line| line.trim().to_owned()).collect(),
    };
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

fn note_skipped(suite: &Suite) {
    for (path, reason) in suite.skipped.iter().take(SHOWN) {
        output::note(format_args!("note: {} is left out: {reason}", path.display()));
    }
    if suite.skipped.len() > SHOWN {
        let more = counted(suite.skipped.len() - SHOWN, "more file", "more files");
        output::note(format_args!("note: ... and {more}"));
    }
}

/// The lines of the leaderboard, each by a name of its own.
fn detectors(args: &BenchArgs) -> anyhow::Result<Vec<BenchDetector>> {
    let catalog = catalog();
    let program = std::env::current_exe().context("the path of this program")?;
    let mut names: Vec<&str> = Vec::new();
    for name in &args.detectors {
        match name.as_str() {
            ALL => names.extend(ready(&catalog).into_iter().chain([ANY_SERIES, RANDOM])),
            known if known == RANDOM || known == ANY_SERIES || catalog.get(known).is_some() => names.push(known),
            unknown => {
                let known: Vec<&str> = catalog.names().chain([ANY_SERIES, RANDOM, ALL]).collect();
                bail!("--detectors: there is no `{unknown}`, only {}", known.join(", "));
            }
        }
    }
    let of = |name: &&str| match *name {
        RANDOM => Ok(BenchDetector::Random { seed: args.seed }),
        name => command(args, name, &program).map(BenchDetector::from),
    };
    let own = names.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
    let all: Vec<BenchDetector> = own.into_iter().chain(args.external.iter().cloned().map(Into::into)).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = all.iter().find(|d| !seen.insert(d.name())) {
        bail!("two detectors are called `{}`; --external NAME=COMMAND gives another name", twice.name());
    }
    for param in &args.params {
        let detector = param.split('.').next().unwrap_or_default();
        ensure!(seen.contains(detector), "--param {param}: `{detector}` does not run");
    }
    Ok(all)
}

/// The detectors of this build that run on columns without a meaning.
fn ready(catalog: &Catalog) -> Vec<&'static str> {
    let mut config = catalog.config();
    config.input.metrics = vec![MetricSpec::amount("value")];
    let runs = |entry: &&Entry| matches!(entry.build(&config), Ok(Built::Detector(_)));
    catalog.entries().iter().filter(runs).map(Entry::name).collect()
}

/// `score` with one detector, as a command.
fn command(args: &BenchArgs, name: &str, program: &Path) -> anyhow::Result<DetectorCommand> {
    let mut words = vec!["score", "--quiet", "--detector", name, "--input", "{input}", "--columns", "{columns}"];
    if args.train_prefix {
        words.extend(["--train-rows", "{train_rows}"]);
    }
    if args.times {
        words.extend(["--time-column", TIME]);
    }
    for param in &args.params {
        let (detector, setting) = param
            .split_once('.')
            .with_context(|| format!("--param {param}: expected a detector, for example iforest.n_trees=200"))?;
        split_setting(setting, "--param", "iforest.n_trees=200")?;
        if detector == name {
            words.extend(["--param", setting]);
        }
    }
    words.extend(["--output", "{output}"]);
    let version = env!("CARGO_PKG_VERSION");
    let identity = ["funnelpulse", version].iter().chain(&words).map(ToString::to_string).collect();
    let program = program.display().to_string();
    let words = std::iter::once(program).chain(words.iter().map(ToString::to_string)).collect();
    Ok(DetectorCommand::new(name, words)?.identified_by(identity))
}

fn write(args: &BenchArgs, runs: &[Run], board: &Leaderboard) -> anyhow::Result<()> {
    let table = runs_to_batch(runs)?;
    write_file(&args.out.join("runs.csv"), &table)?;
    write_file(&args.out.join("runs.parquet"), &table)?;
    write_bytes(&args.out.join("leaderboard.txt"), board.to_string().as_bytes())?;
    let name = args.data.file_name().unwrap_or_default().to_string_lossy();
    let page = leaderboard_page(board, runs, &format!("Detectors on {name}"))?;
    Ok(write_bytes(&args.out.join("leaderboard.html"), page.as_bytes())?)
}

fn document(board: &Leaderboard) -> serde_json::Value {
    let name = |at: usize| &board.standings[at].detector;
    let pair = |(&(a, b), p): (&(usize, usize), &f64)| json!({"detectors": [name(a), name(b)], "p": p});
    json!({
        "metric": board.metric.as_str(),
        "series": board.series,
        "collections": board.collections,
        "standings": board.standings,
        "friedman_p": board.friedman,
        "nemenyi_critical_difference": board.critical_difference,
        "wilcoxon_holm": board.wilcoxon.iter().map(pair).collect::<Vec<_>>(),
        "left_out": board.left_out,
    })
}
