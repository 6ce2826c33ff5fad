//! Exact matches.

use std::collections::BTreeSet;

use funnelpulse_analytics::Localization;

/// The true causes: sets of attribute and value.
pub(crate) type Truth = BTreeSet<BTreeSet<(String, String)>>;

/// Combinations found and right, found in all, and true in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    right: usize,
    found: usize,
    truth: usize,
}

impl Score {
    /// Counts one case.
    pub(crate) fn add(&mut self, found: &Localization, truth: &Truth) {
        let found: Truth = found
            .causes
            .iter()
            .map(|cause| {
                let pair = |(a, v): &(std::sync::Arc<str>, Option<std::sync::Arc<str>>)| {
                    (a.to_string(), v.as_deref().unwrap_or("(none)").to_owned())
                };
                cause.combination.pairs.iter().map(pair).collect()
            })
            .collect();
        self.right += found.intersection(truth).count();
        self.found += found.len();
        self.truth += truth.len();
    }

    /// Harmonic mean of precision and recall over all cases together.
    pub(crate) fn f1(self) -> f64 {
        2.0 * self.right as f64 / (self.found + self.truth) as f64
    }

    /// Part of the true causes that was found exactly.
    pub(crate) fn recall(self) -> f64 {
        self.right as f64 / self.truth as f64
    }
}
