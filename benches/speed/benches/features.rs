//! cargo bench -p funnelpulse-benches --bench features
//!
//! All default features of 40 series of 3,600 hours, on one thread.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use funnelpulse::{
    core::{Frame, Timestamp},
    features::{FeatureConfig, FeatureEngineer, PanelSpec},
};
use ndarray::Array2;

const SERIES: usize = 40;
const HOURS: usize = 3_600;

fn series(number: usize) -> Frame {
    let hours = (0..HOURS).map(|h| Timestamp::from_seconds(1_569_888_000 + 3_600 * h as i64)).collect();
    let values = Array2::from_shape_fn((HOURS, 4), |(hour, column)| {
        let busy = 1.0 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let noise = ((hour * 7_919 + number * 104_729 + column * 31) % 997) as f64 / 997.0;
        (busy * [400.0, 120.0, 60.0, 300.0][column] * (0.5 + noise)).round()
    });
    Frame::new(hours, PanelSpec::funnel().columns(), values).unwrap()
}

fn features(c: &mut Criterion) {
    let engineer = FeatureEngineer::new(&PanelSpec::funnel(), &FeatureConfig::default()).unwrap();
    let panel: Vec<Frame> = (0..SERIES).map(series).collect();
    let mut group = c.benchmark_group("features");
    group.sample_size(10).throughput(Throughput::Elements((SERIES * HOURS) as u64));
    group.bench_function("all default features, 40 x 3600 rows", |b| {
        b.iter(|| panel.iter().map(|f| engineer.transform(f.view()).unwrap().nrows()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, features);
criterion_main!(benches);
