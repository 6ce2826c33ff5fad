//! The Rust half of `run.py` and of `../../accuracy/adbench.py`: scores or times forests on an array
//! of f64 in a file.
//!
//! `score X rows columns CONFIG seed OUT` writes the scores; `time X rows columns threads
//! repeats` prints a JSON line per library; `memory X rows columns` what growing, scoring and saving
//! take.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, Result, bail};
use cpu_time::ProcessTime;
use extended_isolation_forest::{Forest, ForestOptions};
use funnelpulse_core::{Registry, to_bytes};
use funnelpulse_iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel, Split};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::json;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["score", x, rows, columns, config, seed, out] => {
            let mut config: IsolationForestConfig = serde_json::from_str(config)?;
            config.seed = seed.parse()?;
            score(&read(x, rows, columns)?, config, out)
        }
        ["score-eif", x, rows, columns, level, out] => score_eif(&read(x, rows, columns)?, level.parse()?, out),
        ["time", x, rows, columns, threads, repeats] => {
            rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
            time(read(x, rows, columns)?.view(), threads == "1", repeats.parse()?)
        }
        ["memory", x, rows, columns] => memory(read(x, rows, columns)?.view()),
        _ => bail!("see the top of src/main.rs"),
    }
}

fn read(path: &str, rows: &str, columns: &str) -> Result<Array2<f64>> {
    let bytes = std::fs::read(path).with_context(|| path.to_owned())?;
    let values = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    Ok(Array2::from_shape_vec((rows.parse()?, columns.parse()?), values)?)
}

fn write(path: &str, scores: impl IntoIterator<Item = f64>) -> Result<()> {
    let bytes: Vec<u8> = scores.into_iter().flat_map(f64::to_le_bytes).collect();
    Ok(std::fs::write(path, bytes)?)
}

fn score(x: &Array2<f64>, config: IsolationForestConfig, out: &str) -> Result<()> {
    let model = IsolationForest::new(config)?.fit_values(x.view())?;
    write(out, model.score_values(x.view())?)
}

/// The dimension is a const generic there: the arrays of the benchmark are instantiated one by one.
macro_rules! eif_dispatch {
    ($columns:expr, $f:ident $args:tt: $($d:literal)*) => {
        match $columns {
            $($d => $f::<$d> $args,)*
            other => bail!("no instance for {other} columns"),
        }
    };
}

fn eif_rows<const D: usize>(x: ArrayView2<'_, f64>) -> Vec<[f64; D]> {
    x.rows().into_iter().map(|row| std::array::from_fn(|i| row[i])).collect()
}

fn eif_options(n: usize, extension_level: usize) -> ForestOptions {
    ForestOptions { n_trees: 100, sample_size: 256.min(n), max_tree_depth: None, extension_level }
}

fn score_eif(x: &Array2<f64>, level: usize, out: &str) -> Result<()> {
    fn go<const D: usize>(x: ArrayView2<'_, f64>, level: usize) -> Result<Vec<f64>> {
        let rows = eif_rows::<D>(x);
        let forest: Forest<f64, D> =
            Forest::from_slice(&rows, &eif_options(rows.len(), level)).map_err(|e| anyhow::anyhow!("{e:?}"))?;
        Ok(rows.iter().map(|row| forest.score(row)).collect())
    }
    let level = level.min(x.ncols() - 1);
    let scores = eif_dispatch!(x.ncols(), go(x.view(), level):
        3 5 6 7 8 9 10 11 12 13 15 16 18 19 21 27 30 32 33 36 39 57 62 64 100 166 1555)?;
    write(out, scores)
}

/// Seconds of the quickest repetition: of processor time on one thread, which other work on the
/// machine hardly touches, of wall time on several.
fn quickest<T>(repeats: usize, mut work: impl FnMut() -> T) -> f64 {
    let one_thread = rayon::current_num_threads() == 1;
    let once = |_| {
        let (wall, processor) = (Instant::now(), ProcessTime::now());
        black_box(work());
        if one_thread { processor.elapsed().as_secs_f64() } else { wall.elapsed().as_secs_f64() }
    };
    (0..repeats).map(once).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, fit: f64, score: f64) {
    println!("{}", json!({ "library": name, "fit_s": fit, "score_s": score }));
}

/// Batches of fewer rows than the vector kernel is made for are scored by the portable one.
const PORTABLE_ROWS: usize = 255;

fn time(x: ArrayView2<'_, f64>, one_thread: bool, repeats: usize) -> Result<()> {
    let extended =
        IsolationForestConfig { split: Split::Extended, columns_per_split: 2, n_trees: 100, ..Default::default() };
    let ours = [
        ("funnelpulse standard", IsolationForestConfig::standard()),
        ("funnelpulse extended, 2 columns", extended),
        ("funnelpulse default, 200 trees", IsolationForestConfig::default()),
    ];
    for (name, config) in ours {
        // What others don't keep: rows to update from.
        let forest = IsolationForest::new(IsolationForestConfig { reservoir: 0, ..config })?;
        let model = forest.fit_values(x)?;
        let fit = quickest(3 * repeats, || forest.fit_values(x));
        report(name, fit, quickest(repeats, || model.score_values(x)));
        if one_thread && name.ends_with("standard") {
            let batches = || x.axis_chunks_iter(Axis(0), PORTABLE_ROWS).map(|rows| model.score_values(rows)).count();
            report("funnelpulse standard, portable kernel", fit, quickest(repeats, batches));
        }
    }
    if one_thread {
        eif_dispatch!(x.ncols(), time_eif(x, repeats): 8 32)?;
    }
    time_rustyml(&x, repeats);
    time_scry(x, repeats);
    Ok(())
}

fn time_eif<const D: usize>(x: ArrayView2<'_, f64>, repeats: usize) -> Result<()> {
    let rows = eif_rows::<D>(x);
    for level in [0, 1] {
        let options = eif_options(rows.len(), level);
        let grow = || -> Forest<f64, D> { Forest::from_slice(&rows, &options).expect("valid options") };
        let forest = grow();
        let fit = quickest(repeats, grow);
        let score = quickest(repeats.min(2), || rows.iter().map(|row| forest.score(row)).sum::<f64>());
        report(&format!("extended-isolation-forest 0.2.3, level {level}"), fit, score);
    }
    Ok(())
}

fn time_rustyml(x: &ArrayView2<'_, f64>, repeats: usize) {
    use rustyml::machine_learning::IsolationForest;
    let grow = || {
        let mut forest = IsolationForest::new(100, 256).expect("valid options").with_random_state(1);
        forest.fit(x).expect("finite values");
        forest
    };
    let forest = grow();
    // Its `fit` scores all rows for a threshold; with more rows that is all there is to see.
    let fit = quickest(repeats.min(2), grow);
    report("rustyml 0.17", fit, quickest(repeats.min(2), || forest.score_samples(x)));
}

fn time_scry(x: ArrayView2<'_, f64>, repeats: usize) {
    let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
    let grow = || {
        let mut forest = scry_learn::prelude::IsolationForest::new().n_estimators(100).max_samples(256).seed(1);
        forest.fit(&rows).expect("finite values");
        forest
    };
    let forest = grow();
    let fit = quickest(1, grow);
    report("scry-learn 0.1 (fit scores all rows)", fit, quickest(repeats.min(2), || forest.predict(&rows)));
}

/// Peak memory of growing and of scoring beyond the array itself, size of the file, time to load.
fn memory(x: ArrayView2<'_, f64>) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let bytes = |field: &str| -> Result<f64> {
        let status = std::fs::read_to_string("/proc/self/status").context("needs Linux")?;
        let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
        Ok(1024.0 * line.split_whitespace().nth(1).context("no number")?.parse::<f64>()?)
    };
    let registry = Registry::new().with::<IsolationForestModel>();
    for (name, config) in [("standard", IsolationForestConfig::standard()), ("default", Default::default())] {
        let before = bytes("VmRSS")?;
        let model = IsolationForest::new(IsolationForestConfig { reservoir: 0, ..config })?.fit_values(x)?;
        let grown = bytes("VmRSS")?;
        // The peak begins anew: reading the array had one of its own.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let scores = model.score_values(x)?;
        let scored = bytes("VmHWM")?;
        let file = to_bytes(&model)?;
        let load = quickest(20, || registry.load(&file));
        let report = json!({
            "forest": name,
            "fit_mb": (grown - before) / 1e6,
            "score_mb_beyond_scores": (scored - grown - 8.0 * scores.len() as f64) / 1e6,
            "file_kb": file.len() as f64 / 1e3,
            "bytes_per_node": file.len() as f64 / model.n_nodes() as f64,
            "load_ms": 1e3 * load,
        });
        println!("{report}");
    }
    Ok(())
}
