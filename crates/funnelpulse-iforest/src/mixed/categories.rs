//! The division of the categories of a node: a random subset goes right.

use std::cmp::Ordering;

use rand::RngExt;
use rand_pcg::Pcg64;

/// The sides of a categorical split as numbers, and with [`RIGHT`] as the threshold between them.
pub(crate) const LEFT: f64 = 0.0;
pub(crate) const RIGHT: f64 = 1.0;

/// A category that the training rows of a node had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Category {
    pub(crate) value: f64,
    pub(crate) goes_right: bool,
}

/// The categories of one split in increasing order of their values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a>(pub(crate) &'a [Category]);

impl Sides<'_> {
    /// True if rows of this category go right; `None` for a missing value, and for a category that no training row of
    /// the node had.
    pub(crate) fn goes_right(self, value: f64) -> Option<bool> {
        // Not `total_cmp`: -0 and 0 are one category. NaN compares as neither and is found nowhere.
        let order = |category: &Category| category.value.partial_cmp(&value).unwrap_or(Ordering::Less);
        self.0.binary_search_by(order).ok().map(|at| self.0[at].goes_right)
    }

    /// Share of the categories that go left.
    pub(crate) fn left_share(self) -> f64 {
        let left = self.0.iter().filter(|category| !category.goes_right).count();
        left as f64 / self.0.len() as f64
    }
}

/// Sends each of two or more different values right or left with the same probability, and one each way at least: every
/// division is as likely as any other. `values` may repeat and is sorted; missing ones are passed over.
pub(crate) fn draw_sides(values: &mut Vec<f64>, rng: &mut Pcg64, sides: &mut Vec<Category>) {
    values.retain(|value| !value.is_nan());
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    debug_assert!(values.len() >= 2, "the caller found a smallest and a larger value");
    loop {
        sides.clear();
        sides.extend(values.iter().map(|&value| Category { value, goes_right: rng.random() }));
        if sides.iter().any(|category| category.goes_right) && sides.iter().any(|category| !category.goes_right) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sample::tree_rng;

    #[test]
    fn every_division_is_as_likely_as_any_other() {
        const DRAWS: usize = 30_000;
        let (mut rng, mut sides) = (tree_rng(5, 0), Vec::new());
        let mut counts = BTreeMap::new();
        for _ in 0..DRAWS {
            draw_sides(&mut vec![7.0, f64::NAN, 3.0, 11.0, 3.0], &mut rng, &mut sides);
            assert_eq!(sides.iter().map(|category| category.value).collect::<Vec<_>>(), [3.0, 7.0, 11.0]);
            *counts.entry(sides.iter().map(|category| category.goes_right).collect::<Vec<_>>()).or_insert(0) += 1;
        }
        // All but "all left" and "all right".
        assert_eq!(counts.len(), 6);
        for (division, count) in counts {
            let share = f64::from(count) / DRAWS as f64;
            assert!((share - 1.0 / 6.0).abs() < 0.01, "{division:?}: {share}");
        }
    }

    #[test]
    fn unknown_and_missing_categories_have_no_side() {
        let (mut rng, mut sides) = (tree_rng(5, 1), Vec::new());
        draw_sides(&mut vec![-0.0, 2.0, 5.0], &mut rng, &mut sides);
        let known = Sides(&sides);
        assert_eq!(known.goes_right(0.0), Some(sides[0].goes_right));
        assert_eq!(known.goes_right(5.0), Some(sides[2].goes_right));
        assert_eq!((known.goes_right(1.0), known.goes_right(f64::NAN), known.goes_right(9.0)), (None, None, None));
    }
}
