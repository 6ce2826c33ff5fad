//! Path lengths of many rows, and the score that they make.

use crate::{
    IsolationForestConfig, Scoring, parallel,
    path::{STEPS, average_path_length},
    trees::{Block, Engine, Trees},
};

/// Rows that a kernel sees at once: enough that what it prepares for each tree hardly counts, so few that what they are
/// turned into fits the second-level cache.
const PART: usize = 1024;
/// Bits of a row's number in its block.
const ROW_BITS: u32 = 14;
/// Fewest and most rows that one thread takes at a time, and sorts by the values that they miss.
const BLOCKS: (usize, usize) = (256, 1 << ROW_BITS);
/// Blocks per thread where there are several, so that they finish together.
const BLOCKS_PER_THREAD: usize = 4;

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
    /// Path lengths of the rows of a part, in fixed point.
    added: Vec<u32>,
    /// The rows of a part that was put together.
    part: Vec<f64>,
    /// The rows of a block that have a value, by the values that they miss: the pattern of those, and the row in the low
    /// [`ROW_BITS`].
    order: Vec<u64>,
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
        let blocks = if parallel::threads() == 1 { 1 } else { BLOCKS_PER_THREAD * parallel::threads() };
        let block = n.div_ceil(blocks).next_multiple_of(BLOCKS.0).clamp(BLOCKS.0, BLOCKS.1);
        let mut sums = vec![f64::NAN; n];
        parallel::fill(&mut sums, block, Scratch::default, |scratch, number, sums| {
            let rows = &table[number * block * width..][..sums.len() * width];
            block_sums(&engines, scratch, rows, width, sums);
        });
        sums
    }
}

/// Path lengths of a block of rows; NaN stays where a row has no value.
fn block_sums(engines: &[Engine<'_>], scratch: &mut Scratch, rows: &[f64], width: usize, sums: &mut [f64]) {
    let Scratch { block, added, part, order } = scratch;
    if !rows.iter().any(|v| v.is_nan()) {
        for (rows, sums) in rows.chunks(PART * width).zip(sums.chunks_mut(PART)) {
            add(engines, false, block, added, rows, sums.len());
            sums.iter_mut().zip(&*added).for_each(|(sum, fixed)| *sum = f64::from(*fixed) / STEPS);
        }
        return;
    }
    // Rows that miss the same values next to each other: a tile of them is less work.
    order.clear();
    for (at, row) in rows.chunks_exact(width).enumerate() {
        let (pattern, has_value) = pattern(row);
        if has_value {
            order.push(pattern << ROW_BITS | at as u64);
        }
    }
    order.sort_unstable();
    let (whole, gaps) = order.split_at(order.partition_point(|key| key >> ROW_BITS == 0));
    let place = |key: &u64| (key & ((1 << ROW_BITS) - 1)) as usize;
    for (order, with_gaps) in [(whole, false), (gaps, true)] {
        for order in order.chunks(PART) {
            part.clear();
            for key in order {
                part.extend_from_slice(&rows[place(key) * width..][..width]);
            }
            add(engines, with_gaps, block, added, part, order.len());
            order.iter().zip(&*added).for_each(|(key, fixed)| sums[place(key)] = f64::from(*fixed) / STEPS);
        }
    }
}

/// The columns that a row misses, a bit each, and whether it has a value at all. Columns that are further apart than there are
/// bits share one: zero means a whole row all the same.
fn pattern(row: &[f64]) -> (u64, bool) {
    let (mut pattern, mut has_value) = (0, false);
    for columns in row.chunks((u64::BITS - ROW_BITS) as usize) {
        for (bit, value) in columns.iter().enumerate() {
            pattern |= u64::from(value.is_nan()) << bit;
            has_value |= !value.is_nan();
        }
    }
    (pattern, has_value)
}

fn add(engines: &[Engine<'_>], with_gaps: bool, block: &mut Block, sums: &mut Vec<u32>, rows: &[f64], n: usize) {
    sums.clear();
    sums.resize(n, 0);
    for engine in engines {
        if with_gaps {
            engine.add_any(rows, block, sums);
        } else {
            engine.add_whole(rows, block, sums);
        }
    }
}
