//! Scores of training rows by the trees that were not grown on them.

use serde::{Deserialize, Serialize};

use crate::{
    path::STEPS,
    sample::tree_rng,
    score::Scorer,
    trees::{Block, Nursery, Trees},
};

/// The rows that each tree was drawn from, so that they can be drawn again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Bags {
    /// They were drawn from all rows.
    OfAllRows,
    /// They were drawn from the rows that have values.
    OfUsableRows,
    /// Weights, another forest or later rows changed the sample.
    Unknown,
}

/// Out-of-bag scores of the nursery's table, by trees that it grew with the numbers from 0; NaN
/// where every tree saw the row.
pub(crate) fn scores(nursery: &Nursery<'_>, trees: &[Trees]) -> Vec<f64> {
    let n = nursery.table.len() / nursery.width;
    let scorer = Scorer { trees, config: nursery.config, samples: nursery.samples };
    let mut sums = scorer.path_sums(nursery.table, nursery.width);
    let n_trees = scorer.n_trees();
    let mut outside = vec![n_trees as u32; n];
    let (mut block, mut rows) = (Block::default(), Vec::new());
    let mut number = 0;
    for group in trees {
        // Every row may be drawn by some tree: ranked once for all of them.
        group.prepare(nursery.table, &mut block);
        for tree in 0..group.len() {
            nursery.population.draw(nursery.samples, &mut tree_rng(nursery.config.seed, number), &mut rows);
            number += 1;
            rows.sort_unstable();
            rows.dedup();
            for &row in &rows {
                sums[row as usize] -= f64::from(group.path(tree, &block, row as usize)) / STEPS;
                outside[row as usize] -= 1;
            }
        }
    }
    let score = |(sum, trees): (f64, u32)| if trees == 0 { f64::NAN } else { scorer.score(sum / f64::from(trees)) };
    sums.into_iter().zip(outside).map(score).collect()
}
