//! `cargo run --release -p funnelpulse-benches --bin speed -- FOLDER`
//!
//! Every step of the path in a process of its own: processor and wall seconds and peak memory, one
//! JSON line each. `benches/peers/table/run.py` makes the files of the folder, runs this and other
//! libraries on them, and prints the table.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{hint::black_box, path::Path, process::Command, time::Instant};

use anyhow::{Context, bail, ensure};
use funnelpulse::{
    Pipeline,
    changepoint::{Changepoint, ChangepointConfig},
    core::{Columns, Detector, FittedDetector, Frame, FrameView, Panel},
    features::{EventSpec, FeatureConfig, FeatureEngineer, PanelSpec},
    iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel},
    io::{ReadOptions, scan_events},
    seasonal::{Likelihood, Metric, Seasonal, SeasonalConfig},
};
use funnelpulse_benches::{processor_seconds, shop};
use ndarray::Array2;

/// The steps, in the order of the table.
const STEPS: [&str; 21] = [
    "run",
    "train",
    "detect",
    "one hour",
    "seasonal, counts",
    "changepoint",
    "zscore",
    "features",
    "events:parquet",
    "events:csv",
    "forest fit:8",
    "forest score:8 (kernel)",
    "forest score:8 (detect)",
    "forest score:8 (a gap in every row)",
    "forest score:8 (with contributions)",
    "forest score:8 (default forest)",
    "forest score:8 (default forest, a gap in every row)",
    "forest fit:32",
    "forest score:32 (kernel)",
    "forest score:32 (a gap in every row)",
    "forest fit:8 (contamination)",
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [folder] => {
            for step in STEPS {
                let status = Command::new(std::env::current_exe()?).args([*folder, step]).status()?;
                ensure!(status.success(), "{step}: {status}");
            }
            Ok(())
        }
        [folder, step] => measure(Path::new(folder), step),
        _ => bail!("one argument, please: the folder that benches/peers/table/make.py made"),
    }
}

/// Measures one step and prints the line.
fn measure(folder: &Path, step: &str) -> anyhow::Result<()> {
    match step {
        "run" | "train" | "detect" | "one hour" => whole_path(step),
        "events:parquet" => events(&folder.join("events.parquet"), step),
        "events:csv" => events(&folder.join("events.csv"), step),
        "seasonal, counts" | "changepoint" | "zscore" | "features" => per_series(step),
        _ => forest(folder, step),
    }
}

/// The quickest of `times`, in processor and wall seconds.
fn quickest<T>(times: usize, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(f64, f64)> {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..times {
        let (processor, wall) = (processor_seconds(), Instant::now());
        black_box(work()?);
        best = (best.0.min(processor_seconds() - processor), best.1.min(wall.elapsed().as_secs_f64()));
    }
    Ok(best)
}

fn print(step: &str, (processor, wall): (f64, f64), note: &str) {
    let peak = funnelpulse_benches::peak_mib().unwrap_or(f64::NAN);
    println!(
        "{{\"what\":\"{step}\",\"library\":\"funnelpulse\",\"cpu_s\":{processor},\"wall_s\":{wall},\"peak_mib\":{peak},\"note\":\"{note}\"}}"
    );
}

/// The shop of `funnelpulse demo` by the default detectors.
fn whole_path(step: &str) -> anyhow::Result<()> {
    let shop = shop()?;
    let (panel, pipeline) = (shop.panel(), Pipeline::builder().build()?);
    let rows = panel.total_rows();
    if step == "run" {
        let mut stages = Vec::new();
        let time = quickest(1, || {
            let findings = pipeline.run(panel)?;
            stages = findings.timings().to_vec();
            Ok(findings.rows())
        })?;
        let shown: Vec<String> = stages.iter().take(6).map(|(n, t)| format!("{n} {:.2}", t.as_secs_f64())).collect();
        print(step, time, &format!("{rows} rows; {}", shown.join(", ")));
        return Ok(());
    }
    let mut model = None;
    let training = quickest(1, || {
        model = Some(pipeline.fit(panel)?);
        Ok(())
    })?;
    let model = model.context("trained")?;
    if step == "train" {
        let bytes = model.to_bytes()?.len();
        print(step, training, &format!("model of {:.0} kB a brand", bytes as f64 / panel.len() as f64 / 1e3));
    } else if step == "detect" {
        print(step, quickest(1, || Ok(model.detect(panel)?.rows()))?, "");
    } else {
        let last = |frame: &Frame| frame.view().rows(frame.nrows() - 1..frame.nrows()).select(panel.columns());
        let mut hour = Panel::new(panel.columns().clone());
        for (key, frame) in panel {
            hour.insert(key.clone(), last(frame)?)?;
        }
        print(step, quickest(3, || Ok(model.detect(&hour)?.rows()))?, "40 brands");
    }
    Ok(())
}

/// Detectors and features over the series of the shop.
fn per_series(step: &str) -> anyhow::Result<()> {
    let shop = shop()?;
    let panel = shop.panel();
    let frames: Vec<FrameView<'_>> = panel.iter().map(|(_, frame)| frame.view()).collect();
    let note = format!("{} series, {} rows", frames.len(), panel.total_rows());
    let over = |work: &dyn Fn(FrameView<'_>) -> anyhow::Result<usize>| {
        quickest(2, || frames.iter().map(|frame| work(frame.reborrow())).sum::<anyhow::Result<usize>>())
    };
    let time = match step {
        "seasonal, counts" => {
            let metric = |name: &str, likelihood, exposure: Option<&str>| Metric {
                column: name.to_owned(),
                likelihood: Some(likelihood),
                exposure: exposure.map(str::to_owned),
            };
            let metrics = vec![
                metric("views", Likelihood::NegativeBinomial, None),
                metric("carts", Likelihood::BetaBinomial, Some("views")),
                metric("purchases", Likelihood::BetaBinomial, Some("views")),
            ];
            let seasonal = Seasonal::new(SeasonalConfig { metrics, robust: true, ..SeasonalConfig::default() })?;
            over(&|frame| Ok(seasonal.fit_cross_validated(frame, 5)?.1.context("held-out scores")?.len()))?
        }
        "changepoint" => {
            let detector = Changepoint::new(ChangepointConfig::default())?;
            over(&|frame| Ok(detector.fit_cross_validated(frame, 5)?.1.context("held-out scores")?.len()))?
        }
        "zscore" => {
            let detector = funnelpulse::baseline::ZScore::default();
            over(&|frame| Ok(detector.fit_cross_validated(frame, 5)?.1.context("held-out scores")?.len()))?
        }
        _ => {
            let engineer = FeatureEngineer::new(&PanelSpec::funnel(), &FeatureConfig::default())?;
            over(&|frame| Ok(engineer.transform(frame)?.nrows()))?
        }
    };
    print(step, time, &note);
    Ok(())
}

fn events(path: &Path, step: &str) -> anyhow::Result<()> {
    let spec = EventSpec::default();
    let mut read = 0;
    let time = quickest(3, || {
        let (gold, _) = scan_events(path, &ReadOptions::default(), &PanelSpec::funnel(), &spec)?.context("events")?;
        read = gold.report.read;
        Ok(gold)
    })?;
    print(step, time, &format!("{read} events, {:.2} million a second", read as f64 / time.1 / 1e6));
    Ok(())
}

fn matrix(folder: &Path, name: &str, columns: usize) -> anyhow::Result<Array2<f64>> {
    let bytes = std::fs::read(folder.join(name)).with_context(|| name.to_owned())?;
    let values: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
    Ok(Array2::from_shape_vec((values.len() / columns, columns), values)?)
}

fn forest(folder: &Path, step: &str) -> anyhow::Result<()> {
    let columns: usize = if step.contains(":32") { 32 } else { 8 };
    let values = matrix(folder, &format!("x{columns}.f64"), columns)?;
    let config = match step.split_once('(').map(|(_, what)| what) {
        Some(what) if what.starts_with("default forest") => IsolationForestConfig::default(),
        Some("contamination)") => {
            IsolationForestConfig { contamination: Some(0.01), ..IsolationForestConfig::standard() }
        }
        _ => IsolationForestConfig::standard(),
    };
    let detector = IsolationForest::new(config)?;
    if step.starts_with("forest fit") {
        print(step, quickest(5, || Ok(detector.fit_values(values.view())?.n_trees()))?, "20000 rows");
        return Ok(());
    }
    let model: IsolationForestModel = detector.fit_values(values.view())?;
    let names = Columns::new((0..columns).map(|column| column.to_string()))?;
    let gaps = matrix(folder, &format!("gaps{columns}.f64"), columns)?;
    let frame = Frame::from_rows(names, if step.contains("gap") { gaps } else { values.clone() })?;
    let time = match step.split_once('(').map(|(_, what)| what) {
        Some("kernel)") => quickest(5, || Ok(model.score_values(values.view())?.len()))?,
        Some("with contributions)") => quickest(2, || Ok(model.explain(frame.view())?.len()))?,
        _ => quickest(5, || Ok(model.detect(frame.view())?.len()))?,
    };
    let (rows, trees) = (values.nrows() as f64, model.n_trees() as f64);
    let note = format!("{:.2} ns per row and tree, {:.2} us per row", 1e9 * time.0 / rows / trees, 1e6 * time.0 / rows);
    print(step, time, &note);
    Ok(())
}
