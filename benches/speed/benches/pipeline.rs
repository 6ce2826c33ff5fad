//! cargo bench -p funnelpulse-benches --bench pipeline
//!
//! The whole path over the shop of `funnelpulse demo` (40 brands, 150 days) on all threads: features,
//! baseline, isolation forest, z-score, ensemble, analysis, result table. For stages and memory see
//! the program `stages`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use funnelpulse::Pipeline;
use funnelpulse_benches::{config, shop};

fn pipeline(c: &mut Criterion) {
    let shop = shop().unwrap();
    let panel = shop.panel();
    let with_features = Pipeline::builder().config(config()).build().unwrap();
    let default = Pipeline::builder().build().unwrap();
    let model = with_features.fit(panel).unwrap();
    let mut group = c.benchmark_group("pipeline");
    group.sample_size(10).throughput(Throughput::Elements(panel.total_rows() as u64));
    group.bench_function("run, default", |b| b.iter(|| default.run(panel).unwrap().to_batch(true)));
    group.bench_function("run, with engineered columns", |b| {
        b.iter(|| with_features.run(panel).unwrap().to_batch(true));
    });
    group.bench_function("detect, with engineered columns", |b| b.iter(|| model.detect(panel).unwrap().to_batch(true)));
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
