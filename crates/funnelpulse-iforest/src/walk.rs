//! The slow way through a tree: where values are missing, and where a score is to be explained.

/// The next node of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Leaf(u16),
    One(usize),
    /// The value is missing: to this node and to the next one.
    Both(usize),
}

/// One row's view of one tree.
pub(crate) trait Walk {
    fn step(&self, at: usize) -> Step;

    /// Training rows that came to a node.
    fn rows(&self, at: usize) -> u16;

    /// Credits the columns that the split at `at` looks at.
    fn credit(&self, at: usize, amount: f64, credits: &mut [f64]);

    /// Path length in fixed point. Where the split can't be decided the row goes both ways,
    /// weighted by the shares of the training rows.
    fn path(&self) -> u16 {
        self.path_below(0)
    }

    #[doc(hidden)]
    fn path_below(&self, mut at: usize) -> u16 {
        loop {
            match self.step(at) {
                Step::Leaf(path) => return path,
                Step::One(next) => at = next,
                Step::Both(left) => {
                    let share = right_share(self.rows(left), self.rows(left + 1));
                    return mix(self.path_below(left), self.path_below(left + 1), share);
                }
            }
        }
    }

    /// Credits each column for the splits that set the row apart: `ln(rows before / rows after)`,
    /// which over a path adds up to `ln(rows of the tree / rows of the leaf)`.
    fn explain(&self, ln_rows: &[f64], credits: &mut [f64]) {
        self.explain_below(0, 1.0, ln_rows, credits);
    }

    #[doc(hidden)]
    fn explain_below(&self, mut at: usize, weight: f64, ln_rows: &[f64], credits: &mut [f64]) {
        loop {
            let before = ln_rows[self.rows(at) as usize];
            match self.step(at) {
                Step::Leaf(_) => return,
                Step::One(next) => {
                    self.credit(at, weight * (before - ln_rows[self.rows(next) as usize]), credits);
                    at = next;
                }
                Step::Both(left) => {
                    let share = self.left_share(left);
                    self.explain_below(left, weight * share, ln_rows, credits);
                    self.explain_below(left + 1, weight * (1.0 - share), ln_rows, credits);
                    return;
                }
            }
        }
    }

    /// The nodes from the root to a leaf; where the split can't be decided, on the side of more training rows.
    fn route(&self, route: &mut Vec<u16>) {
        route.clear();
        let mut at = 0;
        loop {
            route.push(at as u16);
            at = match self.step(at) {
                Step::Leaf(_) => return,
                Step::One(next) => next,
                Step::Both(left) => left + usize::from(self.rows(left + 1) > self.rows(left)),
            };
        }
    }

    /// The leaves that a row comes to, each with its weight; the weights sum to 1.
    fn leaves(&self, leaves: &mut Vec<(u16, f64)>) {
        leaves.clear();
        let mut pending = vec![(0, 1.0)];
        while let Some((at, weight)) = pending.pop() {
            match self.step(at) {
                Step::Leaf(_) => leaves.push((at as u16, weight)),
                Step::One(next) => pending.push((next, weight)),
                Step::Both(left) => {
                    let share = self.left_share(left);
                    pending.extend([(left + 1, weight * (1.0 - share)), (left, weight * share)]);
                }
            }
        }
    }

    #[doc(hidden)]
    fn left_share(&self, left: usize) -> f64 {
        let (a, b) = (f64::from(self.rows(left)), f64::from(self.rows(left + 1)));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }
}

/// The share of the rows that went right, in steps of 2^-16; half where there are none.
pub(crate) fn right_share(left: u16, right: u16) -> u16 {
    let total = u32::from(left) + u32::from(right);
    let share = (u32::from(right) << 16).checked_div(total).unwrap_or(1 << 15);
    share.min(u32::from(u16::MAX)) as u16
}

/// Path lengths of both sides by their shares: in whole numbers, so that every kernel has the same.
#[inline(always)]
#[allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]
pub(crate) fn mix(left: u16, right: u16, right_share: u16) -> u16 {
    // One multiplication and no branch, so that compilers make vector code of it.
    let difference = right.max(left) - right.min(left);
    let part = ((u32::from(difference) * u32::from(right_share)) >> 16) as u16;
    let falls = u16::from(right < left).wrapping_neg();
    left.wrapping_add((part ^ falls).wrapping_sub(falls))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn mixing_is_a_weighted_mean(left in 0u16.., right in 0u16.., rows in (0u16..5000, 0u16..5000)) {
            let share = right_share(rows.0, rows.1);
            let total = f64::from(rows.0) + f64::from(rows.1);
            let exact = if total > 0.0 { f64::from(rows.1) / total } else { 0.5 };
            let mean = f64::from(left) + exact * (f64::from(right) - f64::from(left));
            let mixed = f64::from(mix(left, right, share));
            prop_assert!((mixed - mean).abs() <= 2.0, "{left} {right} {share}: {mixed} {mean}");
            prop_assert!(mixed >= f64::from(left.min(right)) && mixed <= f64::from(left.max(right)));
        }
    }
}
