//! Scores rows by every split of a tree, from the deepest up to the root.
//!
//! Each split chooses, for 32 rows at once, between the path lengths of its two sides: no row waits
//! for its own position, no look-up depends on a value, and a row whose value is missing takes both
//! sides by their shares. Plain Rust that compilers turn into vector code for any processor; as many
//! steps as there are splits, so it is for trees of a few hundred.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{
    cuts::{MISSING, Ranks, TILE},
    trees::{Node, Tree},
};
use crate::{
    vector,
    walk::{mix, right_share},
};

/// Most splits of a tree for which this is quicker than going down.
pub(super) const MOST_SPLITS: usize = 512;

/// Path lengths of the rows of a tile below a node.
type Paths = [u16; TILE];

/// A split of the tree in work.
#[derive(Clone, Copy, Debug)]
struct Split {
    at: usize,
    left: usize,
    column: usize,
    cut: u16,
    /// The share of its training rows that went right.
    right_share: u16,
}

/// Scratch memory, reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    paths: Vec<Paths>,
    splits: Vec<Split>,
    /// Per tile and column, the rows that miss the value.
    gaps: Vec<Gaps>,
}

/// The rows of a tile that miss the value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gaps {
    None,
    Some,
    All,
}

impl Gaps {
    fn of(ranks: &[u16]) -> Self {
        match ranks.iter().filter(|rank| **rank == MISSING).count() {
            0 => Self::None,
            TILE => Self::All,
            _ => Self::Some,
        }
    }
}

/// Adds each row's path lengths over all trees to `sums`; `rows` are the training rows of each node.
/// The ranks of `columns` columns stand column after column.
pub(super) fn add_paths(
    trees: &[Tree],
    (nodes, rows): (&[Node], &[u16]),
    ranks: &Ranks,
    columns: usize,
    scratch: &mut Scratch,
    sums: &mut [u32],
) {
    let Scratch { paths, splits, gaps } = scratch;
    let tiles = &ranks.by_column;
    gaps.clear();
    gaps.extend(tiles.chunks_exact(TILE).map(Gaps::of));
    for tree in trees {
        let (nodes, rows) = (&nodes[tree.start..tree.end], &rows[tree.start..tree.end]);
        paths.clear();
        paths.extend(nodes.iter().map(|node| [node.path; TILE]));
        splits.clear();
        splits.extend(nodes.iter().enumerate().rev().filter(|(_, node)| !node.is_leaf()).map(|(at, node)| {
            let left = node.left as usize;
            let right_share = right_share(rows[left], rows[left + 1]);
            Split { at, left, column: node.column as usize, cut: node.cut, right_share }
        }));
        vector::dispatch(Sweep { splits, paths, tiles, gaps, columns, sums: &mut *sums });
    }
}

/// One tree for all tiles. A type of its own: a closure as large is not inlined into code for the vector
/// registers there are, even where it asks for that.
struct Sweep<'a> {
    splits: &'a [Split],
    paths: &'a mut [Paths],
    tiles: &'a [u16],
    gaps: &'a [Gaps],
    columns: usize,
    sums: &'a mut [u32],
}

impl vector::NullaryFnOnce for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { splits, paths, tiles, gaps, columns, sums } = self;
        let blocks = tiles.chunks_exact(TILE * columns).zip(gaps.chunks_exact(columns));
        for ((tile, gaps), sums) in blocks.zip(sums.chunks_mut(TILE)) {
            sweep(splits, paths, tile, gaps);
            sums.iter_mut().zip(paths[0]).for_each(|(sum, path)| *sum += u32::from(path));
        }
    }
}

/// Path lengths of the rows of a tile below every split; those of leaves stand there already.
#[inline(always)]
fn sweep(splits: &[Split], paths: &mut [Paths], tile: &[u16], gaps: &[Gaps]) {
    for split in splits {
        // Children come after their parents. By value: a choice between two places in memory would not
        // become vector code.
        let (left, right) = (paths[split.left], paths[split.left + 1]);
        let ranks: &[u16; TILE] = tile[split.column * TILE..].first_chunk().expect("a tile of every column");
        let mut chosen = [0; TILE];
        let gaps = gaps[split.column];
        if gaps != Gaps::All {
            for i in 0..TILE {
                let goes_right = all_ones(ranks[i] >= split.cut);
                chosen[i] = (right[i] & goes_right) | (left[i] & !goes_right);
            }
        }
        if gaps != Gaps::None {
            for i in 0..TILE {
                let both = mix(left[i], right[i], split.right_share);
                let missing = all_ones(ranks[i] == MISSING);
                chosen[i] = (both & missing) | (chosen[i] & !missing);
            }
        }
        paths[split.at] = chosen;
    }
}

/// A mask of all bits, or of none.
#[inline(always)]
fn all_ones(yes: bool) -> u16 {
    u16::from(yes).wrapping_neg()
}
