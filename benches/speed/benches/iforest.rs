//! cargo bench -p funnelpulse-benches --bench iforest
//!
//! Isolation forest against the crate `extended-isolation-forest` (axis-parallel there too: extension
//! level 0): 100 trees of 256 rows, the same 20,000 rows, one thread, in the same run. The ratios are
//! printed first.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::{hint::black_box, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use extended_isolation_forest::{Forest, ForestOptions};
use funnelpulse::{
    core::{Detector, FittedDetector, Frame},
    iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel},
};
use funnelpulse_testing::noise_frame;

const ROWS: usize = 20_000;
const COLUMNS: usize = 9;

fn options() -> ForestOptions {
    ForestOptions { n_trees: 100, sample_size: 256, max_tree_depth: None, extension_level: 0 }
}

fn ours(frame: &Frame) -> IsolationForestModel {
    IsolationForest::new(IsolationForestConfig::standard()).unwrap().fit(frame.view()).unwrap()
}

fn theirs(rows: &[[f64; COLUMNS]]) -> Forest<f64, COLUMNS> {
    Forest::from_slice(rows, &options()).unwrap()
}

/// The quickest of five.
fn seconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let time = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..5).map(time).fold(f64::INFINITY, f64::min)
}

fn iforest(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let frame = noise_frame(ROWS, COLUMNS, 1);
    let rows: Vec<[f64; COLUMNS]> = frame.values().rows().into_iter().map(|r| std::array::from_fn(|i| r[i])).collect();
    let (model, peer) = (ours(&frame), theirs(&rows));
    let score = |forest: &Forest<f64, COLUMNS>| rows.iter().map(|r| forest.score(r)).sum::<f64>();

    let (our_fit, their_fit) = (seconds(|| ours(&frame)), seconds(|| theirs(&rows)));
    let (our_score, their_score) = (seconds(|| model.detect(frame.view()).unwrap()), seconds(|| score(&peer)));
    let per_tree = |s: f64| s / (ROWS * 100) as f64 * 1e9;
    println!("{ROWS} rows, {COLUMNS} columns, 100 trees of 256 rows, one thread; ours / theirs");
    println!("  fit    {:.2} ms / {:.2} ms = {:.2}", 1e3 * our_fit, 1e3 * their_fit, our_fit / their_fit);
    println!(
        "  score  {:.1} ns / {:.1} ns per row and tree = {:.2} (ours with contributions)",
        per_tree(our_score),
        per_tree(their_score),
        our_score / their_score
    );

    let mut group = c.benchmark_group("iforest");
    group.sample_size(10);
    group.bench_function("fit", |b| b.iter(|| ours(&frame)));
    group.bench_function("fit, extended-isolation-forest", |b| b.iter(|| theirs(&rows)));
    group.bench_function("score", |b| b.iter(|| model.detect(frame.view()).unwrap()));
    group.bench_function("score, extended-isolation-forest", |b| b.iter(|| score(&peer)));
    group.finish();
}

criterion_group!(benches, iforest);
criterion_main!(benches);
