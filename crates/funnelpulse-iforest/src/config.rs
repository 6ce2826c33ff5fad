//! Hyper-parameters and what can be wrong with them.

use funnelpulse_core::{Columns, Error};
use serde::{Deserialize, Serialize};

use crate::grown::MAX_DEPTH;

/// The way in which a node of a tree divides its rows.
///
/// | split | direction | threshold | source |
/// |---|---|---|---|
/// | `standard` | one column | uniform | Liu, Ting & Zhou 2008 |
/// | `extended` | random, `columns_per_split` columns | uniform | Hariri, Carrasco Kind & Brunner 2019 |
/// | `pooled_gain` | random, `columns_per_split` columns | largest drop of the pooled variance | Cortes 2021 ("fair-cut forest") |
/// | `averaged_gain` | the best of `candidates` random ones | largest drop of the mean of the two standard deviations | Liu, Ting & Zhou 2010 (`SCiForest`) |
/// | `density` | random, `columns_per_split` columns | the most uneven densities | Cortes 2021 |
///
/// Hariri's extension level is `columns_per_split - 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// One column, uniform threshold: fastest, invariant to monotone rescaling by scale and shift.
    Standard,
    /// A random hyperplane through the range of the node's rows.
    Extended,
    /// A random hyperplane, placed where it divides the rows into two tight groups.
    #[default]
    PooledGain,
    /// The best of several random hyperplanes by averaged gain.
    AveragedGain,
    /// A random hyperplane, placed between the sparsest and the densest side.
    Density,
}

impl std::fmt::Display for Split {
    /// The name in a configuration.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Extended => "extended",
            Self::PooledGain => "pooled_gain",
            Self::AveragedGain => "averaged_gain",
            Self::Density => "density",
        })
    }
}

/// The measure of the leaf that a row falls into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Number of splits on the way there (Liu, Ting & Zhou 2008).
    #[default]
    Depth,
    /// Number of training rows in the leaf per share of the volume (Cortes 2021).
    Density,
}

/// Hyper-parameters of an [`IsolationForest`](crate::IsolationForest).
///
/// The default is the most accurate forest of the table in the crate's documentation.
/// [`standard`](Self::standard) is the original of 2008, the smallest and by far the fastest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// The way in which nodes divide their rows.
    pub split: Split,
    /// Columns that take part in one split, 1 or more; tables with fewer columns use all of them.
    /// `standard` always uses one.
    pub columns_per_split: usize,
    /// Random directions that `averaged_gain` chooses the best of, 1 to 1000. The other splits
    /// take the first.
    pub candidates: usize,
    /// The measure of a leaf.
    pub scoring: Scoring,
    /// Number of trees, 1 to 65,535.
    pub n_trees: usize,
    /// Rows that each tree sees, 2 to 32,768. Tables with fewer rows are used whole.
    pub max_samples: usize,
    /// Depth at which trees stop, 1 to 64; by default `ceil(log2(max_samples))`, and 64 for
    /// `averaged_gain`, which tends to split off single rows. Path lengths are counted up to 64.
    pub max_depth: Option<usize>,
    /// Share of the columns that each tree chooses from, above 0 to 1.
    pub max_features: f64,
    /// Draw the rows of a tree with replacement.
    pub bootstrap: bool,
    /// Share of rows to flag, above 0 to 0.5: sets the model's threshold from out-of-bag scores.
    pub contamination: Option<f64>,
    /// Score above which rows are flagged, 0 to 1; not together with `contamination`.
    pub threshold: Option<f64>,
    /// Recent rows that a model keeps to grow new trees from when it is updated (at least as many as
    /// a tree sees); 0 makes a model that cannot be updated.
    pub reservoir: usize,
    /// Seed of all random choices.
    pub seed: u64,
    /// Names of the columns whose values are codes of categories, whole numbers or not, without an order. With
    /// `split = standard` only. None by default: codes are ordered numbers then.
    pub categorical: Vec<String>,
}

impl Default for IsolationForestConfig {
    fn default() -> Self {
        Self {
            split: Split::PooledGain,
            columns_per_split: 6,
            candidates: 10,
            scoring: Scoring::Depth,
            n_trees: 200,
            max_samples: 256,
            max_depth: None,
            max_features: 1.0,
            bootstrap: false,
            contamination: None,
            threshold: None,
            reservoir: 1024,
            seed: 42,
            categorical: Vec::new(),
        }
    }
}

impl IsolationForestConfig {
    /// The forest of Liu, Ting & Zhou (2008): one column per split, uniform thresholds, 100 trees.
    pub fn standard() -> Self {
        Self { split: Split::Standard, n_trees: 100, ..Self::default() }
    }

    /// Checks every field.
    pub fn validate(&self) -> Result<(), IsolationForestError> {
        let refuse = |name, value: String, allowed| Err(IsolationForestError::Config { name, value, allowed });
        let counts = [
            ("columns_per_split", self.columns_per_split, 1..=65_535, "1 to 65535"),
            ("candidates", self.candidates, 1..=1_000, "1 to 1000"),
            ("n_trees", self.n_trees, 1..=65_535, "1 to 65535"),
            ("max_samples", self.max_samples, 2..=32_768, "2 to 32768"),
            ("max_depth", self.max_depth.unwrap_or(1), 1..=64, "1 to 64"),
            ("reservoir", self.reservoir, 0..=1 << 24, "0 to 16777216"),
        ];
        for (name, value, range, allowed) in counts {
            if !range.contains(&value) {
                return refuse(name, value.to_string(), allowed);
            }
        }
        if !(self.max_features > 0.0 && self.max_features <= 1.0) {
            return refuse("max_features", self.max_features.to_string(), "above 0 to 1");
        }
        if !self.categorical.is_empty() && self.split != Split::Standard {
            return refuse("categorical", self.categorical.join(", "), "none unless split = standard");
        }
        match (self.contamination, self.threshold) {
            (Some(c), _) if !(c > 0.0 && c <= 0.5) => refuse("contamination", c.to_string(), "above 0 to 0.5"),
            (_, Some(t)) if !(0.0..=1.0).contains(&t) => refuse("threshold", t.to_string(), "0 to 1"),
            (Some(_), Some(t)) => refuse("threshold", t.to_string(), "not together with contamination"),
            _ => Ok(()),
        }
    }

    /// An error if a categorical column is not among these.
    pub(crate) fn require_categorical(&self, columns: &Columns) -> Result<(), IsolationForestError> {
        self.categorical.iter().try_for_each(|name| columns.require(name).map(drop)).map_err(|e| Error::from(e).into())
    }

    /// True for every column that is categorical; empty where none is.
    pub(crate) fn categorical_flags(&self, columns: &Columns) -> Vec<bool> {
        if self.categorical.is_empty() {
            return Vec::new();
        }
        columns.iter().map(|column| self.categorical.iter().any(|name| **name == **column)).collect()
    }

    /// Depth at which the trees on `samples` rows stop.
    pub(crate) fn depth_limit(&self, samples: usize) -> usize {
        self.max_depth.unwrap_or_else(|| match self.split {
            Split::AveragedGain => MAX_DEPTH,
            _ => (samples as f64).log2().ceil().max(1.0) as usize,
        })
    }
}

/// Errors of growing, updating and merging forests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationForestError {
    /// A hyper-parameter is out of range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Config {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// Sample weights must be finite, at least 0, one per row, and leave two rows to draw.
    #[error("sample weights: {0}")]
    Weights(String),
    /// Forests that measure different things cannot be merged.
    #[error("forests differ in {0} and can't be merged")]
    Merge(&'static str),
    /// A format or method is for splits on one column only.
    #[error(
        "{format} knows no splits on several columns at once: not possible with split = {split} (allowed: standard)"
    )]
    Export {
        /// The format or method asked for.
        format: &'static str,
        /// The way in which the forest's nodes divide their rows.
        split: Split,
    },
    /// A format or method is for splits of ordered numbers only.
    #[error("{format} is not possible with categorical columns (here: {columns}); allowed: none")]
    Categorical {
        /// The format or method asked for.
        format: &'static str,
        /// The categorical columns of the forest, comma separated.
        columns: String,
    },
    /// The data don't fit, or there are too few rows.
    #[error(transparent)]
    Core(#[from] Error),
}
