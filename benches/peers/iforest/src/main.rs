//! The Rust half of `run.py` and of `../../accuracy/adbench.py`: scores or times forests on an array
//! of f64 in a file.
//!
//! `score X rows columns config.json seed OUT` writes the scores; `time X rows columns threads
//! repeats` prints a JSON line per library.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, Result, bail};
use extended_isolation_forest::{Forest, ForestOptions};
use funnelpulse_iforest::{IsolationForest, IsolationForestConfig, Split};
use ndarray::{Array2, ArrayView2};
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

/// Seconds of the quickest repetition.
fn quickest<T>(repeats: usize, mut work: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..repeats).map(once).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, fit: f64, score: f64) {
    println!("{}", json!({ "library": name, "fit_s": fit, "score_s": score }));
}

fn time(x: ArrayView2<'_, f64>, one_thread: bool, repeats: usize) -> Result<()> {
    let ours = [
        ("funnelpulse standard", IsolationForestConfig::standard()),
        ("funnelpulse extended (2 columns)", IsolationForestConfig {
            split: Split::Extended,
            columns_per_split: 2,
            n_trees: 100,
            ..Default::default()
        }),
        ("funnelpulse default", IsolationForestConfig::default()),
    ];
    for (name, config) in ours {
        let forest = IsolationForest::new(config)?;
        let model = forest.fit_values(x)?;
        let fit = quickest(3 * repeats, || forest.fit_values(x));
        report(name, fit, quickest(repeats, || model.score_values(x)));
    }
    if one_thread {
        for level in [0, 1] {
            fn go<const D: usize>(x: ArrayView2<'_, f64>, level: usize, repeats: usize) -> Result<()> {
                let rows = eif_rows::<D>(x);
                let options = eif_options(rows.len(), level);
                let grow = || -> Forest<f64, D> { Forest::from_slice(&rows, &options).expect("valid options") };
                let forest = grow();
                let fit = quickest(repeats, grow);
                let score = quickest(1, || rows.iter().map(|row| forest.score(row)).sum::<f64>());
                report(&format!("extended-isolation-forest, level {level}"), fit, score);
                Ok(())
            }
            eif_dispatch!(x.ncols(), go(x, level, repeats): 8 32)?;
        }
    }
    Ok(())
}
