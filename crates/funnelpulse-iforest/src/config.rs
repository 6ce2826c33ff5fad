//! Hyper-parameters and what can be wrong with them.

use serde::{Deserialize, Serialize};

/// Hyper-parameters of an [`IsolationForest`](crate::IsolationForest).
///
/// The defaults are those of Liu, Ting & Zhou (2008): 100 trees of 256 rows each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// Number of trees, 1 to 100,000.
    pub n_trees: usize,
    /// Rows that each tree sees, 2 or more; the default is 256. Tables with fewer rows are used whole.
    pub max_samples: usize,
    /// Depth at which trees stop, 1 to 64; by default `ceil(log2(max_samples))`.
    pub max_depth: Option<usize>,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Default for IsolationForestConfig {
    fn default() -> Self {
        Self { n_trees: 100, max_samples: 256, max_depth: None, seed: 42 }
    }
}

impl IsolationForestConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), IsolationForestError> {
        let check = |name, value, range: std::ops::RangeInclusive<usize>, allowed| {
            if range.contains(&value) { Ok(()) } else { Err(IsolationForestError::Config { name, value, allowed }) }
        };
        check("n_trees", self.n_trees, 1..=100_000, "1 to 100000")?;
        check("max_samples", self.max_samples, 2..=u32::MAX as usize / 4, "2 to 1073741823")?;
        check("max_depth", self.max_depth.unwrap_or(1), 1..=64, "1 to 64")
    }
}

/// Why a forest could not be grown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationForestError {
    /// A hyper-parameter is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] funnelpulse_core::Error),
}
