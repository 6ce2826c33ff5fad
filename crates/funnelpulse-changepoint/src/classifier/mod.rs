//! Changes of any kind in several columns at once: a classifier that tells the rows before a break from those after it.
//!
//! Binary segmentation with the two-step search of Londschien, Bühlmann & Kovács (2023, "Random Forests for Change Point
//! Detection", JMLR 24). A classifier is trained to tell the rows on both sides of a guess; the log-likelihood ratio of its
//! out-of-sample probabilities is a curve over all splits that peaks at the break, also where the guess was wrong. Three
//! guesses give the first peak, a fourth training there the break, and a permutation test decides whether it is one.
//!
//! Mean, covariance and kernel costs compare what they were made for. A classifier sees any difference that it can
//! learn: columns that stay what they are and only depend on each other in another way.

mod forest;
mod gain;
mod neighbours;
mod search;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::search::{ClassifierBreak, ClassifierSearch};
use crate::ChangepointError;

/// The classifier that tells rows before a break from rows after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierKind {
    /// Random forest (Breiman 2001) with out-of-bag probabilities. Needs no scaling of the columns and passes over those
    /// that say nothing.
    #[default]
    RandomForest,
    /// Share of the nearest rows, `sqrt(rows of the segment)` of them, with columns divided by their standard deviations.
    /// For few columns of which all count. Time grows with the square of the rows.
    NearestNeighbours,
}

impl ClassifierKind {
    /// Every classifier.
    pub const ALL: [Self; 2] = [Self::RandomForest, Self::NearestNeighbours];

    /// The name as it stands in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RandomForest => "random_forest",
            Self::NearestNeighbours => "nearest_neighbours",
        }
    }
}

impl std::fmt::Display for ClassifierKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads what `Display` writes.
impl std::str::FromStr for ClassifierKind {
    type Err = ChangepointError;

    fn from_str(text: &str) -> Result<Self, ChangepointError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| ChangepointError::config("classifier", text, "random_forest, nearest_neighbours"))
    }
}

/// Hyper-parameters of a [`ClassifierSearch`]. The defaults are those of the Python package changeforest 1.2, but for
/// `min_size`, which there is a hundredth of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The classifier.
    pub classifier: ClassifierKind,
    /// Fewest rows of a segment, 2 or more.
    pub min_size: usize,
    /// Largest p-value at which a segment is divided, above 0, below 1.
    pub max_p_value: f64,
    /// Permutations of the test, `1 / max_p_value - 1` or more: the smallest p-value is one over their number plus one.
    pub permutations: usize,
    /// Trees of a random forest, 1 to 10,000.
    pub n_trees: usize,
    /// Splits from the root to a leaf at most, 1 to 32.
    pub max_depth: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self {
            classifier: ClassifierKind::RandomForest,
            min_size: 24,
            max_p_value: 0.02,
            permutations: 199,
            n_trees: 100,
            max_depth: 8,
            seed: 42,
        }
    }
}

impl ClassifierConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ChangepointError> {
        let refuse = |name, value: String, allowed| Err(ChangepointError::config(name, value, allowed));
        if self.min_size < 2 {
            return refuse("min_size", self.min_size.to_string(), "2 or more");
        }
        if !(self.max_p_value > 0.0 && self.max_p_value < 1.0) {
            return refuse("max_p_value", self.max_p_value.to_string(), "above 0, below 1");
        }
        if (self.permutations as f64 + 1.0) * self.max_p_value < 1.0 - 1e-9 || self.permutations > 1_000_000 {
            return refuse("permutations", self.permutations.to_string(), "1 / max_p_value - 1 to 1000000");
        }
        if !(1..=10_000).contains(&self.n_trees) {
            return refuse("n_trees", self.n_trees.to_string(), "1 to 10000");
        }
        if !(1..=32).contains(&self.max_depth) {
            return refuse("max_depth", self.max_depth.to_string(), "1 to 32");
        }
        Ok(())
    }
}
