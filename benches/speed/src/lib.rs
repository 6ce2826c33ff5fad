//! What the benches have in common.

use funnelpulse::{
    Config,
    eval::{
        EvalError,
        generator::{GeneratedFunnel, GeneratorConfig},
    },
};

/// Engineered columns that the isolation forest sees besides residuals, so that every feature has to
/// be computed.
const ENGINEERED: [&str; 4] =
    ["conversion_rate_percentile", "conversion_rate_zscore", "views_change_24h", "purchases_change_168h"];

/// The generated shop of `funnelpulse demo`: 40 brands, 150 days.
pub fn shop() -> Result<GeneratedFunnel, EvalError> {
    GeneratedFunnel::generate(&GeneratorConfig::default())
}

/// The default configuration, with engineered columns in front of the isolation forest.
pub fn config() -> Config {
    let mut config = Config::default();
    let residuals = config.input.metrics.iter().map(|m| format!("{}_residual", m.name));
    let columns = residuals.chain(ENGINEERED.map(str::to_owned)).collect();
    config.pipeline.columns.insert("iforest".to_owned(), columns);
    config
}
