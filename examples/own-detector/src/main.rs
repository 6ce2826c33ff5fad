//! cargo run --release -p own-detector
//!
//! Registers the detector of `lib.rs` in the catalog, beside those of the workspace. From then on it has
//! a section in the configuration, a column in the output table, models that can be saved, and scores
//! on any table, as `funnelpulse score` gives them.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use funnelpulse::{
    Catalog, FittedPipeline, Pipeline, TrainedOn,
    eval::generator::{GeneratedFunnel, GeneratorConfig},
};
use own_detector::entry;

fn main() -> anyhow::Result<()> {
    let shop = GeneratedFunnel::generate(&GeneratorConfig { brands: 3, days: 60, ..GeneratorConfig::default() })?;

    let catalog = Catalog::default().with(entry());
    let config = catalog
        .layers()
        .toml("[pipeline]\ndetectors = ['iforest', 'zscore', 'range']\n[range]\noutside = 0.2")?
        .build()?;
    let model = Pipeline::builder().catalog(catalog.clone()).config(config.clone()).build()?.fit(shop.panel())?;

    let bytes = model.to_bytes()?;
    let model = FittedPipeline::from_bytes(&bytes, &catalog)?;
    let findings = model.detect(shop.panel())?;
    for (series, anomaly) in findings.ranked().into_iter().take(5) {
        println!("{}", anomaly.notice.title);
        for scores in &series.models {
            println!("    {:<8} {:.3}", scores.detector, scores.scores[anomaly.row]);
        }
    }
    let table = findings.to_batch(false);
    println!("column `range_anomaly_score` in the table: {}", table.column_by_name("range_anomaly_score").is_some());

    let entry = entry();
    let raw = entry.raw_scores(&config, &TrainedOn::whole(shop.panel()), &|_| ())?;
    for (series, scores) in raw {
        println!("{series}: highest raw score {:.1}", scores?.iter().copied().fold(0.0, f64::max));
    }
    Ok(())
}
