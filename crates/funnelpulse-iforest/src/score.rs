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
    /// The rows of a block that miss no value and those that miss some, and where they came from.
    whole: Sorted,
    gaps: Sorted,
    /// The rows of a block by the values that they miss.
    order: Vec<(u64, usize)>,
}

/// Rows of a block, and their places in it.
#[derive(Debug, Default)]
struct Sorted {
    rows: Vec<f64>,
    places: Vec<usize>,
}

impl Scorer<'_> {
    pub(crate) fn n_trees(&self) -> usize {
        self.trees.iter().map(Trees::len).sum()
    }

    /// The score of a row whose path lengths have this mean.
    pub(crate) fn score(&self, mean_path: f64) -> f64 {
        (-mean_path / self.usual_path()).exp2()
    }

    /// The path length of a row that scores one half.
    pub(crate) fn usual_path(&self) -> f64 {
        match self.config.scoring {
            Scoring::Depth => average_path_length(self.samples),
            Scoring::Density => (self.samples as f64).log2(),
        }
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
            Self::block_sums(&engines, scratch, rows, width, sums);
        });
        sums
    }

    fn block_sums(engines: &[Engine<'_>], scratch: &mut Scratch, rows: &[f64], width: usize, sums: &mut [f64]) {
        let Scratch { block, sums: added, whole, gaps, order } = scratch;
        let has_gap = |row: &[f64]| row.iter().any(|v| v.is_nan());
        if !has_gap(rows) {
            add(engines, false, block, added, rows, sums.len());
            sums.iter_mut().zip(added).for_each(|(sum, fixed)| *sum = f64::from(*fixed) / STEPS);
            return;
        }
        let all_take_gaps = engines.iter().all(Engine::takes_gaps);
        for sorted in [&mut *whole, &mut *gaps] {
            sorted.rows.clear();
            sorted.places.clear();
        }
        // Rows that miss the same values next to each other: a tile of them is less work.
        let known = |row: &[f64]| row.iter().any(|v| !v.is_nan());
        order.clear();
        order.extend(
            rows.chunks_exact(width).enumerate().filter(|(_, row)| known(row)).map(|(at, row)| (pattern(row), at)),
        );
        order.sort_unstable();
        for &(pattern, at) in &*order {
            let sorted = if all_take_gaps || pattern != 0 { &mut *gaps } else { &mut *whole };
            sorted.rows.extend_from_slice(&rows[at * width..][..width]);
            sorted.places.push(at);
        }
        for (Sorted { rows, places }, with_gaps) in [(&*whole, false), (&*gaps, true)] {
            add(engines, with_gaps, block, added, rows, places.len());
            places.iter().zip(&*added).for_each(|(at, fixed)| sums[*at] = f64::from(*fixed) / STEPS);
        }
    }
}

/// The columns that a row misses, a bit each; columns 64 apart share one. Zero for a whole row.
fn pattern(row: &[f64]) -> u64 {
    row.iter().enumerate().fold(0, |pattern, (column, value)| pattern | u64::from(value.is_nan()) << (column % 64))
}

fn add(engines: &[Engine<'_>], with_gaps: bool, block: &mut Block, sums: &mut Vec<u32>, rows: &[f64], n: usize) {
    sums.clear();
    sums.resize(n, 0);
    for engine in engines.iter().filter(|_| n > 0) {
        if with_gaps {
            engine.add_any(rows, block, sums);
        } else {
            engine.add_whole(rows, block, sums);
        }
    }
}
