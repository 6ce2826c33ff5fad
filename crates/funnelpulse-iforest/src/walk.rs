//! The slow way through a tree: where values are missing, and where a score is to be explained.

use crate::path::STEPS;

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

    /// Path length. Where the split can't be decided the row goes both ways, weighted by the
    /// shares of the training rows.
    fn path(&self) -> f64 {
        self.path_below(0) / STEPS
    }

    #[doc(hidden)]
    fn path_below(&self, mut at: usize) -> f64 {
        loop {
            match self.step(at) {
                Step::Leaf(path) => return f64::from(path),
                Step::One(next) => at = next,
                Step::Both(left) => {
                    let share = self.left_share(left);
                    return share * self.path_below(left) + (1.0 - share) * self.path_below(left + 1);
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

    #[doc(hidden)]
    fn left_share(&self, left: usize) -> f64 {
        let (a, b) = (f64::from(self.rows(left)), f64::from(self.rows(left + 1)));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }
}
