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
    wide,
};
use crate::walk::{mix, right_share};

/// Most splits of a tree for which this is quicker than going down.
pub(super) const MOST_SPLITS: usize = 512;

/// Path lengths of the rows of a tile below a node.
pub(super) type Paths = [u16; TILE];

/// A split of the tree in work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) at: usize,
    pub(super) left: usize,
    pub(super) column: usize,
    pub(super) cut: u16,
    /// The share of its training rows that went right.
    pub(super) right_share: u16,
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
pub(super) enum Gaps {
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
        let sweep = Sweep { splits, paths, tiles, gaps, columns, sums: &mut *sums };
        if wide::available() {
            wide::run(sweep);
        } else {
            pulp::Arch::new().dispatch(sweep);
        }
    }
}

/// One tree for all tiles. A type of its own: a closure as large is not inlined into code for the vector
/// registers there are, even where it asks for that.
pub(super) struct Sweep<'a> {
    pub(super) splits: &'a [Split],
    pub(super) paths: &'a mut [Paths],
    pub(super) tiles: &'a [u16],
    pub(super) gaps: &'a [Gaps],
    pub(super) columns: usize,
    pub(super) sums: &'a mut [u32],
}

impl pulp::NullaryFnOnce for Sweep<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the processor has the wide kernel, both give the same sums.
    #[test]
    fn the_wide_kernel_is_the_portable_one() {
        if !wide::available() {
            return;
        }
        let columns = 3;
        let tiles: Vec<u16> = (0..2 * TILE * columns)
            .map(|i| if i % 7 == 0 { MISSING } else { (i * 7919 % 1000) as u16 })
            .chain(std::iter::repeat_n(MISSING, TILE))
            .chain((0..2 * TILE).map(|i| (i * 31 % 1000) as u16))
            .collect();
        let gaps: Vec<Gaps> = tiles.chunks_exact(TILE).map(Gaps::of).collect();
        assert!([Gaps::None, Gaps::Some, Gaps::All].iter().all(|g| gaps.contains(g)));
        // A chain of splits, the deepest first.
        let splits: Vec<Split> = (0..20usize)
            .rev()
            .map(|i| Split {
                at: 2 * i,
                left: 2 * i + 1,
                column: i % 3,
                cut: (i * 50) as u16,
                right_share: 3000 * i as u16,
            })
            .collect();
        let leaf = |i: usize| [(i * 1537 % 20_000) as u16; TILE];
        let start: Vec<Paths> = (0..41).map(leaf).collect();
        let sums = |run: fn(Sweep<'_>)| {
            // The right child of a split is the next one: `left + 1` is `2 (i + 1)`.
            let (mut paths, mut sums) = (start.clone(), vec![7u32; 3 * TILE - 5]);
            run(Sweep { splits: &splits, paths: &mut paths, tiles: &tiles, gaps: &gaps, columns, sums: &mut sums });
            sums
        };
        assert_eq!(sums(wide::run), sums(|sweep| pulp::Arch::new().dispatch(sweep)));
    }
}
