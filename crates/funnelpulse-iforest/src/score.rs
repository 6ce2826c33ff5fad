//! Path lengths of many rows, and the score that they make.

use crate::{
    IsolationForestConfig, Scoring, parallel,
    path::{STEPS, average_path_length},
    trees::{Block, Engine, Trees},
};

/// Rows scored together: they and a tree fit the first-level cache.
pub(crate) const BLOCK: usize = 256;

/// The part of a model that scoring needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scorer<'a> {
    pub(crate) trees: &'a [Trees],
    pub(crate) config: &'a IsolationForestConfig,
    pub(crate) samples: usize,
}

/// Scratch memory of one thread.
#[derive(Debug, Default)]
struct Scratch {
    block: Block,
    sums: Vec<u32>,
    /// The rows of a block that miss no value, and where they came from.
    whole: Vec<f64>,
    places: Vec<usize>,
}

impl Scorer<'_> {
    pub(crate) fn n_trees(&self) -> usize {
        self.trees.iter().map(Trees::len).sum()
    }

    /// The score of a row whose path lengths have this mean.
    pub(crate) fn score(&self, mean_path: f64) -> f64 {
        let usual = match self.config.scoring {
            Scoring::Depth => average_path_length(self.samples),
            Scoring::Density => (self.samples as f64).log2(),
        };
        (-mean_path / usual).exp2()
    }

    /// Scores of rows that lie one after the other.
    pub(crate) fn scores(&self, table: &[f64], width: usize) -> Vec<f64> {
        let n_trees = self.n_trees() as f64;
        let mut scores = self.path_sums(table, width);
        for score in &mut scores {
            *score = self.score(*score / n_trees);
        }
        scores
    }

    /// Path lengths added up over all trees; NaN for rows without any value.
    pub(crate) fn path_sums(&self, table: &[f64], width: usize) -> Vec<f64> {
        let n = table.len() / width;
        let engines: Vec<Engine<'_>> = self.trees.iter().map(|trees| trees.engine(n)).collect();
        let mut sums = vec![f64::NAN; n];
        parallel::fill(&mut sums, BLOCK, Scratch::default, |scratch, block, sums| {
            let rows = &table[block * BLOCK * width..][..sums.len() * width];
            self.block_sums(&engines, scratch, rows, width, sums);
        });
        sums
    }

    fn block_sums(&self, engines: &[Engine<'_>], scratch: &mut Scratch, rows: &[f64], width: usize, sums: &mut [f64]) {
        if !rows.iter().any(|v| v.is_nan()) {
            add_whole(engines, &mut scratch.block, &mut scratch.sums, rows, sums.len());
            for (sum, &fixed) in sums.iter_mut().zip(&scratch.sums) {
                *sum = f64::from(fixed) / STEPS;
            }
            return;
        }
        scratch.whole.clear();
        scratch.places.clear();
        for (at, row) in rows.chunks_exact(width).enumerate() {
            if !row.iter().any(|v| v.is_nan()) {
                scratch.whole.extend_from_slice(row);
                scratch.places.push(at);
            } else if row.iter().any(|v| !v.is_nan()) {
                sums[at] = self.sum_of_one(&mut scratch.block, row);
            }
        }
        add_whole(engines, &mut scratch.block, &mut scratch.sums, &scratch.whole, scratch.places.len());
        for (&at, &fixed) in scratch.places.iter().zip(&scratch.sums) {
            sums[at] = f64::from(fixed) / STEPS;
        }
    }

    fn sum_of_one(&self, block: &mut Block, row: &[f64]) -> f64 {
        let mut sum = 0.0;
        for trees in self.trees {
            trees.prepare(row, block);
            sum += (0..trees.len()).map(|tree| trees.path(tree, block, 0)).sum::<f64>();
        }
        sum
    }
}

fn add_whole(engines: &[Engine<'_>], block: &mut Block, sums: &mut Vec<u32>, rows: &[f64], n: usize) {
    sums.clear();
    sums.resize(n, 0);
    for engine in engines {
        engine.prepare(rows, block);
        engine.add_paths(block, sums);
    }
}
