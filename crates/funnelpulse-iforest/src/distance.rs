//! Distances between rows: the number of splits until trees tell them apart.

use funnelpulse_core::Error;
use ndarray::{Array2, ArrayView2};

use crate::{
    IsolationForestModel, parallel,
    path::{STEPS, fixed},
    trees::{Block, Trees},
};

impl IsolationForestModel {
    /// Distance of every row of `rows` to every row of `others` (a row of the result per row, a column per other): rows
    /// that trees separate after few splits are far apart. Columns in the order of training.
    ///
    /// `2^(-(d - 1) / (e - 1))`, with `d` the mean number of splits until two rows part and `e` its expected value for
    /// random splits of the rows of a tree, as in isotree (Cortes 2019, "Distance approximation using isolation forests").
    /// In (0, 1], about 0.5 for two random rows of a table without structure, smaller for near ones. A row is not at
    /// distance 0 of itself, but no other is nearer. Distances need no scaling of the columns, and follow the density of
    /// the data: they are larger where rows are dense.
    ///
    /// Rows that share a leaf count as if its training rows were split on. A row that misses the value of a split follows
    /// the side of more training rows; distances of rows without any value are NaN.
    ///
    /// Time `O(trees * rows * others * depth)`.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::{Array2, s};
    ///
    /// // Two groups of rows.
    /// let values = Array2::from_shape_fn((400, 2), |(i, j)| ((i * (13 + 8 * j)) as f64).sin() + (i % 2 * 9) as f64);
    /// let model = IsolationForest::new(IsolationForestConfig::default())?.fit_values(values.view())?;
    /// let distances = model.distances(values.slice(s![..1, ..]), values.slice(s![..4, ..]))?;
    /// assert!(distances[[0, 2]] < distances[[0, 1]] && distances[[0, 2]] < distances[[0, 3]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn distances(&self, rows: ArrayView2<'_, f64>, others: ArrayView2<'_, f64>) -> Result<Array2<f64>, Error> {
        self.require_width(rows.ncols())?;
        self.require_width(others.ncols())?;
        let size = (rows.nrows(), others.nrows());
        let mut sums = vec![0.0; size.0 * size.1];
        if !sums.is_empty() {
            let expected: Vec<u16> = expected_separations(self.samples).into_iter().map(fixed).collect();
            self.trees.iter().for_each(|trees| add_separations(trees, rows, others, &expected, &mut sums));
        }
        let usual = expected_separations(self.samples.max(3)).pop().expect("never empty") - 1.0;
        let n_trees = self.n_trees() as f64;
        let has_value = |rows: ArrayView2<'_, f64>| -> Vec<bool> {
            rows.rows().into_iter().map(|row| row.iter().any(|value| !value.is_nan())).collect()
        };
        let known = (has_value(rows), has_value(others));
        Ok(Array2::from_shape_fn(size, |(row, other)| {
            let separation = sums[row * size.1 + other] / (STEPS * n_trees);
            if known.0[row] && known.1[other] { (-(separation - 1.0) / usual).exp2() } else { f64::NAN }
        }))
    }
}

/// Adds the splits until rows part, over all trees, in fixed point: sums of whole numbers are exact in any order.
fn add_separations(
    trees: &Trees,
    rows: ArrayView2<'_, f64>,
    others: ArrayView2<'_, f64>,
    expected: &[u16],
    sums: &mut [f64],
) {
    let prepared = |values: ArrayView2<'_, f64>| {
        let mut block = Block::default();
        let values = values.as_standard_layout();
        trees.prepare(values.as_slice().expect("standard layout is contiguous"), &mut block);
        block
    };
    let blocks = (prepared(rows), prepared(others));
    let mut routes = vec![Vec::new(); others.nrows()];
    for tree in 0..trees.len() {
        for (other, route) in routes.iter_mut().enumerate() {
            trees.route(tree, &blocks.1, other, route);
        }
        parallel::fill(sums, others.nrows(), Vec::new, |route, row, sums| {
            trees.route(tree, &blocks.0, row, route);
            for (sum, other) in sums.iter_mut().zip(&routes) {
                let shared = route.iter().zip(other).take_while(|(a, b)| a == b).count();
                let below = if shared == route.len() && shared == other.len() {
                    // Two rows that could still be split apart.
                    let rows = trees.rows(tree, route[shared - 1]).clamp(2, expected.len() - 1);
                    f64::from(expected[rows]) - STEPS
                } else {
                    0.0
                };
                *sum += shared as f64 * STEPS + below;
            }
        });
    }
}

/// Expected number of splits until two of `n` rows part, for every `n` up to `most` (2 or more), when each split leaves any
/// number of rows on a side with the same probability.
fn expected_separations(most: usize) -> Vec<f64> {
    let mut expected = vec![0.0, 0.0, 1.0];
    for n in 3..=most {
        let (before, n) = (expected[n - 1], n as f64);
        expected.push(before + (3.0 * n - 4.0 - before * n) / (n * (n - 1.0)));
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: of `n` rows, a uniform number from 1 to `n - 1` goes left.
    fn by_definition(most: usize) -> Vec<f64> {
        let mut expected = vec![0.0, 0.0];
        for n in 2..=most {
            let together = |k: usize| (k * (k - 1)) as f64 / (n * (n - 1)) as f64;
            let below: f64 = (1..n).map(|k| 2.0 * together(k) * expected[k]).sum();
            expected.push(1.0 + below / (n - 1) as f64);
        }
        expected
    }

    #[test]
    fn expected_separations_are_those_of_random_splits() {
        for (fast, slow) in expected_separations(200).iter().zip(by_definition(200)) {
            assert!((fast - slow).abs() < 1e-9, "{fast} {slow}");
        }
        assert!((expected_separations(30_000).pop().unwrap() - 3.0).abs() < 0.01);
    }
}
