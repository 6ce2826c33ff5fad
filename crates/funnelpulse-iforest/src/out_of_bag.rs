//! Scores of training rows by the trees that were not grown on them.

use serde::{Deserialize, Serialize};

use crate::{
    parallel,
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
    let of_group = |group: &'_ Trees| (0..group.len()).collect::<Vec<_>>();
    let mut number = 0;
    for group in trees {
        let inside = parallel::map(of_group(group), Scratch::default, |scratch, tree| {
            scratch.inside(nursery, group, tree, number + tree as u64)
        });
        number += group.len() as u64;
        for (rows, paths) in inside {
            for (row, path) in rows.into_iter().zip(paths) {
                sums[row as usize] -= f64::from(path) / STEPS;
                outside[row as usize] -= 1;
            }
        }
    }
    let score = |(sum, trees): (f64, u32)| if trees == 0 { f64::NAN } else { scorer.score(sum / f64::from(trees)) };
    sums.into_iter().zip(outside).map(score).collect()
}

/// Scratch memory of one thread.
#[derive(Debug, Default)]
struct Scratch {
    block: Block,
    values: Vec<f64>,
}

impl Scratch {
    /// The rows that a tree of a group was grown on, and their path lengths in it.
    fn inside(&mut self, nursery: &Nursery<'_>, group: &Trees, tree: usize, number: u64) -> (Vec<u32>, Vec<u32>) {
        let mut rows = Vec::with_capacity(nursery.samples);
        nursery.population.draw(nursery.samples, &mut tree_rng(nursery.config.seed, number), &mut rows);
        if nursery.config.bootstrap {
            rows.sort_unstable();
            rows.dedup();
        }
        self.values.clear();
        for &row in &rows {
            self.values.extend_from_slice(&nursery.table[row as usize * nursery.width..][..nursery.width]);
        }
        let mut paths = vec![0; rows.len()];
        group.add_tree(tree, &self.values, &mut self.block, &mut paths);
        (rows, paths)
    }
}
