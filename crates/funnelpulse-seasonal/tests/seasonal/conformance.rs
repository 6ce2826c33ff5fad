//! The contract of all detectors.

use funnelpulse_core::Registry;
use funnelpulse_seasonal::{Combine, FourierOrder, Growth, Mode, Seasonal, SeasonalConfig, SeasonalDetectorModel};
use funnelpulse_testing::Conformance;

fn run(config: SeasonalConfig) {
    let seasonal = Seasonal::new(config).unwrap();
    Conformance::new(&seasonal, Registry::new().with::<SeasonalDetectorModel>()).run();
}

#[test]
fn default_settings() {
    run(SeasonalConfig::default());
}

#[test]
fn multiplicative_online() {
    run(SeasonalConfig {
        seasonality_mode: Mode::Multiplicative,
        daily_seasonality: FourierOrder::On,
        combine: Combine::Cauchy,
        online: true,
        ..Default::default()
    });
}

#[test]
fn robust_flat_fisher() {
    run(SeasonalConfig { growth: Growth::Flat, robust: true, combine: Combine::Fisher, ..Default::default() });
}
