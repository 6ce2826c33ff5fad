//! One group of rows against another: period against period, brand against brand.

use std::sync::Arc;

use serde::Serialize;

use crate::{Attribution, Decomposition, Level, StageError, decompose_levels};

/// A total in two groups.
///
/// In JSON it also has `difference` and `percentage`.
///
/// ```
/// use funnelpulse_analytics::Change;
///
/// let revenue = Change { metric: "revenue".into(), before: 80.0, after: 100.0 };
/// assert_eq!((revenue.difference(), revenue.percentage()), (20.0, Some(25.0)));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "Told")]
pub struct Change {
    /// The metric.
    pub metric: Arc<str>,
    /// Its total in the group compared with.
    pub before: f64,
    /// Its total in the group compared.
    pub after: f64,
}

impl Change {
    /// `after - before`.
    pub fn difference(&self) -> f64 {
        self.after - self.before
    }

    /// In per cent of `before`; `None` where that is zero or either is missing.
    pub fn percentage(&self) -> Option<f64> {
        let percentage = 100.0 * self.difference() / self.before;
        percentage.is_finite().then_some(percentage)
    }
}

/// A change as it is written.
#[derive(Serialize)]
struct Told {
    metric: Arc<str>,
    before: f64,
    after: f64,
    difference: f64,
    percentage: Option<f64>,
}

impl From<Change> for Told {
    fn from(change: Change) -> Self {
        let (difference, percentage) = (change.difference(), change.percentage());
        let Change { metric, before, after } = change;
        Self { metric, before, after, difference, percentage }
    }
}

/// Two groups of rows side by side.
///
/// ```
/// use funnelpulse_analytics::compare;
///
/// let comparison = compare(&[("orders", "orders", 50.0, 40.0)])?;
/// assert_eq!(comparison.changes[0].difference(), comparison.stages.change());
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The totals, in the order they were given.
    pub changes: Vec<Change>,
    /// The decomposition of the change of the last total, if the totals are a chain.
    pub stages: Decomposition,
}

/// Compares totals that form a chain, each a share or a multiple of the one before: visits, carts,
/// purchases, revenue. `levels` has name, name of the ratio to the level before, and the totals
/// before and after.
///
/// ```
/// use funnelpulse_analytics::compare;
///
/// let week = compare(&[
///     ("views", "traffic", 10_000.0, 12_000.0),
///     ("purchases", "conversion", 1_000.0, 900.0),
///     ("revenue", "order_value", 5_000.0, 4_500.0),
/// ])?;
/// assert_eq!(week.changes[0].percentage(), Some(20.0));
/// assert_eq!(&*week.stages.broken_stage().unwrap().name, "conversion");
/// assert!((week.stages.change() + 500.0).abs() < 1e-9);
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
pub fn compare(levels: &[(&str, &str, f64, f64)]) -> Result<Comparison, StageError> {
    let changes =
        levels.iter().map(|(name, _, before, after)| Change { metric: (*name).into(), before: *before, after: *after });
    let chain: Vec<Level> =
        levels.iter().map(|(name, rate, before, after)| Level::new(*name, *rate, *after, *before)).collect();
    Ok(Comparison { changes: changes.collect(), stages: decompose_levels(&chain, Attribution::Lmdi)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_before_has_no_percentage() {
        let comparison = compare(&[("orders", "orders", 0.0, 4.0)]).unwrap();
        assert_eq!(comparison.changes[0].percentage(), None);
        assert_eq!(comparison.changes[0].difference(), 4.0);
        assert!(compare(&[]).is_err());
    }
}
