//! `cargo run --release -p funnelpulse-benches --bin stages`
//!
//! The whole path on one thread, stage by stage, with the peak memory of the process: 40 brands and
//! 150 days of hourly rows from Parquet, all engineered features, isolation forest and z-score, the
//! ensemble, the analysis, and every scored row to partitioned Parquet.
//!
//! Both the seconds that passed and the seconds of processor time are shown: on a busy machine only
//! the latter say something. The table is generated first. Each way through it is a process of its own, so that its peak
//! memory is what it needs itself.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{ffi::OsString, path::Path, process::Command, sync::Mutex, time::Instant};

use anyhow::{Context, ensure};
use funnelpulse::{
    Findings, FittedPipeline, Phase, Pipeline,
    features::PanelSpec,
    io::{Table, panel_to_batch, read_panel, write_file, write_partitioned},
};
use funnelpulse_benches::{config, peak_mib, shop};

fn main() -> anyhow::Result<()> {
    match std::env::args_os().skip(1).collect::<Vec<OsString>>().as_slice() {
        [] => generate_and_measure(),
        [way, folder] => {
            rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
            if way == "run" { run(Path::new(folder)) } else { train_and_detect(Path::new(folder)) }
        }
        _ => anyhow::bail!("no arguments, please"),
    }
}

fn generate_and_measure() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let shop = shop()?;
    write_file(&folder.path().join("hourly.parquet"), &panel_to_batch(shop.panel(), &PanelSpec::funnel())?)?;
    drop(shop);
    for way in ["run", "train and detect"] {
        let status = Command::new(std::env::current_exe()?).arg(way).arg(folder.path()).status()?;
        ensure!(status.success(), "{way}: {status}");
    }
    Ok(())
}

/// A moment: on the wall, and on this process's processor clock where the system tells.
#[derive(Clone, Copy)]
struct Moment(Instant, f64);

impl Moment {
    fn now() -> Self {
        // Fields 14 and 15 of the line, counted behind the name in parentheses: hundredths of a
        // second in user and in kernel mode, of all threads.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        Self(Instant::now(), ticks / 100.0)
    }

    fn show(self, stage: &str, start: Self) {
        println!("  {stage:<54}{:>8.2} s{:>8.2} s", (self.0 - start.0).as_secs_f64(), self.1 - start.1);
    }
}

/// Shows what passed since the last stage.
struct Clock(Moment);

impl Clock {
    fn start(what: &str) -> Self {
        println!("{what:<56}{:>10}{:>10}", "wall", "processor");
        Self(Moment::now())
    }

    fn lap(&mut self, stage: &str) {
        self.lap_at(stage, Moment::now());
    }

    fn lap_at(&mut self, stage: &str, now: Moment) {
        now.show(stage, self.0);
        self.0 = now;
    }
}

/// What `funnelpulse run` does.
fn run(folder: &Path) -> anyhow::Result<()> {
    let mut clock = Clock::start("run: train on a table and score the same rows, one thread");
    let start = clock.0;
    let read = read_panel(&Table::read(&folder.join("hourly.parquet"))?, &PanelSpec::funnel())?;
    clock.lap("read Parquet");
    let (pipeline, prepared) = pipeline()?;
    let findings = pipeline.run(&read.panel)?;
    clock.lap_at("prepare: metrics, baseline, features", last(&prepared)?);
    clock.lap("train, calibrate, score, ensemble, analysis");
    deliver(&findings, folder, &mut clock)?;
    finish(start, &findings)
}

/// What `funnelpulse train` and `funnelpulse detect` do.
fn train_and_detect(folder: &Path) -> anyhow::Result<()> {
    let mut clock = Clock::start("train, save, load and detect, one thread");
    let start = clock.0;
    let read = read_panel(&Table::read(&folder.join("hourly.parquet"))?, &PanelSpec::funnel())?;
    clock.lap("read Parquet");
    let (pipeline, prepared) = pipeline()?;
    let model = pipeline.fit(&read.panel)?;
    clock.lap_at("prepare: metrics, baseline, features", last(&prepared)?);
    clock.lap("train and calibrate: isolation forest, z-score");
    let path = folder.join("shop.model");
    model.save(&path)?;
    drop(model);
    clock.lap("save the model");
    let model = FittedPipeline::load(&path)?;
    clock.lap("load the model");
    let findings = model.detect(&read.panel)?;
    clock.lap("detect: features, both detectors, ensemble, analysis");
    deliver(&findings, folder, &mut clock)?;
    finish(start, &findings)
}

/// A pipeline, and the moment at which its last series was prepared.
fn pipeline() -> anyhow::Result<(Pipeline, std::sync::Arc<Mutex<Option<Moment>>>)> {
    let prepared = std::sync::Arc::new(Mutex::new(None));
    let moment = prepared.clone();
    let builder = Pipeline::builder().config(config()).progress(move |p| {
        if p.phase == Phase::Prepare
            && let Ok(mut moment) = moment.lock()
        {
            *moment = Some(Moment::now());
        }
    });
    Ok((builder.build()?, prepared))
}

fn last(moment: &Mutex<Option<Moment>>) -> anyhow::Result<Moment> {
    moment.lock().ok().and_then(|m| *m).context("no series was prepared")
}

fn deliver(findings: &Findings, folder: &Path, clock: &mut Clock) -> anyhow::Result<()> {
    let batch = findings.to_batch(true);
    clock.lap("Arrow table of every scored row");
    write_partitioned(&folder.join("anomalies"), &batch, "window_date")?;
    clock.lap("write partitioned Parquet");
    Ok(())
}

fn finish(start: Moment, findings: &Findings) -> anyhow::Result<()> {
    ensure!(findings.failures().is_empty(), "{:?}", findings.failures());
    Moment::now().show("all", start);
    println!("  {} rows of {} series, peak memory {}\n", findings.rows(), findings.series().len(), memory());
    Ok(())
}

fn memory() -> String {
    peak_mib().map_or_else(|| "unknown on this system".to_owned(), |mib| format!("{mib:.0} MiB"))
}
