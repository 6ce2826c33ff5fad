//! cargo run --release -p own-detector
//!
//! Puts the detector of `lib.rs` beside the isolation forest and the z-score, with a weight of its
//! own, saves the model and loads it again.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use funnelpulse::{
    FittedPipeline, Pipeline,
    config::Config,
    eval::generator::{GeneratedFunnel, GeneratorConfig},
    registry,
};
use own_detector::{RangeConfig, RangeModel, RobustRange};

fn main() -> anyhow::Result<()> {
    let shop = GeneratedFunnel::generate(&GeneratorConfig { brands: 3, days: 60, ..GeneratorConfig::default() })?;

    let mut config = Config::default();
    config.ensemble.weights.insert("range".to_owned(), 0.2);
    let detector = RobustRange::try_from(RangeConfig::default())?;
    // `None`: it sees the seasonal residuals of all metrics, as the isolation forest does.
    let model = Pipeline::builder().config(config).detector(detector, None).build()?.fit(shop.panel())?;

    let bytes = model.to_bytes()?;
    let model = FittedPipeline::from_bytes(&bytes, &registry().with::<RangeModel>())?;
    let findings = model.detect(shop.panel())?;
    for (series, anomaly) in findings.ranked().into_iter().take(5) {
        println!("{}", anomaly.alert.title);
        for scores in &series.models {
            println!("    {:<8} {:.3}", scores.detector, scores.scores[anomaly.row]);
        }
    }
    Ok(())
}
