//! Scores rows by every split of a tree, from the deepest up to the root.
//!
//! Each split chooses, for a tile of rows at once, between the results of its two sides: no row waits
//! for its own position, no look-up depends on a value, and a row whose value is missing takes both
//! sides by their shares. Plain Rust that compilers turn into vector code for any processor; as many
//! steps as there are splits, so it is for trees of a few hundred.
//!
//! A few trees together have so few thresholds per column that a row's place among them is a byte. For rows that
//! miss no value a result is a byte too, the number of a path length.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{
    cuts::{Cuts, RANKED},
    plan::{self, Group, MISSING_BYTE, PATHS, PLACES, Plan, Split},
    trees::{Node, Tree},
};
use crate::{vector, walk::mix};

/// Rows of a tile: so many that the work of a split outweighs finding out which work it is, so few that all results of
/// a tree fit the first-level cache.
const TILE: usize = 256;

/// A byte for each row of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
struct Bytes([u8; TILE]);

/// A path length for each row of a tile.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
struct Paths([u16; TILE]);

/// Rows of a tile that are in registers at the same time: 64 bytes of results, which are one register of AVX-512 and no more
/// than four elsewhere.
const PART: usize = 32;
/// The same for rows that miss no value, whose results are half as large.
const WHOLE_PART: usize = 64;

/// The same share for each of those rows.
#[repr(align(64))]
struct Shares([u16; PART]);

/// Trees all of whose splits are looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SweepTrees {
    groups: Vec<Group>,
}

/// Scratch memory, reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The rows: group after group, in a group tile after tile, in a tile column after column.
    bytes: Vec<Bytes>,
    /// Per tile and column, the rows that miss the value.
    gaps: Vec<Gaps>,
    /// The numbers of path lengths, then the results of splits: [`PLACES`], or none as long as they are not needed.
    numbers: Vec<Bytes>,
    /// The path lengths themselves, then the results of splits; as many.
    paths: Vec<Paths>,
}

/// The rows of a tile that miss the value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gaps {
    None,
    Some,
    All,
}

impl Gaps {
    fn of(bytes: &[u8]) -> Self {
        let (mut some, mut all) = (false, true);
        for byte in bytes {
            some |= *byte == MISSING_BYTE;
            all &= *byte == MISSING_BYTE;
        }
        match (some, all) {
            (_, true) => Self::All,
            (true, false) => Self::Some,
            (false, false) => Self::None,
        }
    }
}

impl SweepTrees {
    /// `None` where a tree is too large; `rows` are the training rows of each node.
    pub(super) fn new(columns: &[Cuts], trees: &[Tree], nodes: &[Node], rows: &[u16]) -> Option<Self> {
        Some(Self { groups: plan::groups(columns, trees, nodes, rows)? })
    }

    /// Adds the path lengths of rows that lie one after the other, none of which misses a value, to `sums`.
    pub(super) fn add_whole(&self, columns: &[Cuts], rows: &[f64], scratch: &mut Scratch, sums: &mut [u32]) {
        let Scratch { bytes, numbers, .. } = scratch;
        if numbers.is_empty() {
            numbers.extend((0..PLACES).map(|place| Bytes([place as u8; TILE])));
        }
        let numbers = numbers.first_chunk_mut().expect("as many as places");
        vector::dispatch(FillBytes { rows, columns, groups: &self.groups, bytes });
        for (group, bytes) in self.groups.iter().zip(bytes.chunks_exact(tiles(sums) * columns.len())) {
            for (plans, pair_sums) in group.plans.chunks(2).zip(&group.sums) {
                vector::dispatch(Whole { plans, pair_sums, bytes, columns: columns.len(), numbers, sums });
            }
        }
    }

    /// The same of rows that may miss values, but not all of them.
    pub(super) fn add_any(&self, columns: &[Cuts], rows: &[f64], scratch: &mut Scratch, sums: &mut [u32]) {
        let Scratch { bytes, gaps, paths, .. } = scratch;
        paths.resize(PLACES, Paths([0; TILE]));
        let paths = paths.first_chunk_mut().expect("as many as places");
        vector::dispatch(FillBytes { rows, columns, groups: &self.groups, bytes });
        let size = tiles(sums) * columns.len();
        gaps.clear();
        for (tile, bytes) in bytes[..size].chunks_exact(columns.len()).enumerate() {
            let rows = (sums.len() - tile * TILE).min(TILE);
            gaps.extend(bytes.iter().map(|bytes| Gaps::of(&bytes.0[..rows])));
        }
        for (group, bytes) in self.groups.iter().zip(bytes.chunks_exact(size)) {
            for plan in &group.plans {
                vector::dispatch(Any { plan, bytes, gaps, columns: columns.len(), paths, sums });
            }
        }
    }
}

fn tiles(sums: &[u32]) -> usize {
    sums.len().div_ceil(TILE)
}

/// The bytes of rows for all groups.
struct FillBytes<'a> {
    rows: &'a [f64],
    columns: &'a [Cuts],
    groups: &'a [Group],
    bytes: &'a mut Vec<Bytes>,
}

impl vector::NullaryFnOnce for FillBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, columns, groups, bytes } = self;
        let width = columns.len();
        let size = (rows.len() / width).div_ceil(TILE) * width;
        bytes.resize(size * groups.len(), Bytes([0; TILE]));
        for (part, rows) in rows.chunks(RANKED * width).enumerate() {
            let (tile, start) = (part * RANKED / TILE, part * RANKED % TILE);
            for (column, cuts) in columns.iter().enumerate() {
                let ranks = cuts.rank_column(rows, width, column);
                for (group, bytes) in groups.iter().zip(bytes.chunks_exact_mut(size)) {
                    let table = &group.bytes[column];
                    let own = &mut bytes[tile * width + column].0[start..start + RANKED];
                    for (byte, rank) in own.iter_mut().zip(ranks) {
                        *byte = table.get(rank as usize).copied().unwrap_or(MISSING_BYTE);
                    }
                }
            }
        }
    }
}

/// One or two trees for all tiles. A type of its own, as those below: a closure as large is not inlined into code for the
/// vector registers there are, even where it asks for that.
struct Whole<'a> {
    plans: &'a [Plan],
    pair_sums: &'a [u32],
    bytes: &'a [Bytes],
    columns: usize,
    numbers: &'a mut [Bytes; PLACES],
    sums: &'a mut [u32],
}

impl vector::NullaryFnOnce for Whole<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { plans, pair_sums, bytes, columns, numbers, sums } = self;
        let second = plans.get(1);
        let n_second = second.map_or(1, |plan| plan.paths.len()) as u16;
        for (tile, sums) in bytes.chunks_exact(columns).zip(sums.chunks_mut(TILE)) {
            choose(&plans[0].splits, numbers, tile);
            let first = numbers[plans[0].root as usize % PLACES].0;
            let mut pairs = [0; TILE];
            for i in 0..TILE {
                pairs[i] = u16::from(first[i]) * n_second;
            }
            if let Some(second) = second {
                choose(&second.splits, numbers, tile);
                let second = numbers[second.root as usize % PLACES].0;
                for i in 0..TILE {
                    pairs[i] += u16::from(second[i]);
                }
            }
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum += pair_sums[pair as usize];
            }
        }
    }
}

/// The number of each row's path length below every split.
#[inline(always)]
fn choose(splits: &[Split], numbers: &mut [Bytes; PLACES], tile: &[Bytes]) {
    for split in splits {
        let [left, right, place] = [split.left, split.right, split.place].map(|place| place as usize % PLACES);
        let bytes = &tile[split.column as usize];
        for part in 0..TILE / WHOLE_PART {
            let bytes: [u8; WHOLE_PART] = bytes.0.as_chunks().0[part];
            // By value: a choice between two places in memory would not become vector code.
            let (left, right) = (numbers[left].0.as_chunks().0[part], numbers[right].0.as_chunks().0[part]);
            numbers[place].0.as_chunks_mut().0[part] = choose_numbers(left, right, bytes, split.cut);
        }
    }
}

#[inline(always)]
fn choose_numbers(
    left: [u8; WHOLE_PART],
    right: [u8; WHOLE_PART],
    bytes: [u8; WHOLE_PART],
    cut: u8,
) -> [u8; WHOLE_PART] {
    let mut chosen = [0; WHOLE_PART];
    for i in 0..WHOLE_PART {
        let goes_right = u8::from(bytes[i] >= cut).wrapping_neg();
        chosen[i] = (right[i] & goes_right) | (left[i] & !goes_right);
    }
    chosen
}

/// One tree for all tiles, of rows that may miss values.
struct Any<'a> {
    plan: &'a Plan,
    bytes: &'a [Bytes],
    gaps: &'a [Gaps],
    columns: usize,
    paths: &'a mut [Paths; PLACES],
    sums: &'a mut [u32],
}

impl vector::NullaryFnOnce for Any<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { plan, bytes, gaps, columns, paths, sums } = self;
        for (place, &path) in paths[..PATHS].iter_mut().zip(&plan.paths) {
            *place = Paths([path; TILE]);
        }
        let tiles = bytes.chunks_exact(columns).zip(gaps.chunks_exact(columns));
        for ((tile, gaps), sums) in tiles.zip(sums.chunks_mut(TILE)) {
            mix_or_choose(&plan.splits, paths, tile, gaps);
            let root = &paths[plan.root as usize % PLACES].0;
            sums.iter_mut().zip(root).for_each(|(sum, path)| *sum += u32::from(*path));
        }
    }
}

/// The path length of each row below every split.
#[inline(always)]
fn mix_or_choose(splits: &[Split], paths: &mut [Paths; PLACES], tile: &[Bytes], gaps: &[Gaps]) {
    for split in splits {
        let bytes = &tile[split.column as usize];
        match gaps[split.column as usize] {
            Gaps::None => below::<true, false>(split, paths, bytes),
            Gaps::Some => below::<true, true>(split, paths, bytes),
            Gaps::All => below::<false, true>(split, paths, bytes),
        }
    }
}

/// The path length of each row below a split, where some rows know the value and some miss it.
#[inline(always)]
fn below<const KNOW: bool, const MISS: bool>(split: &Split, paths: &mut [Paths; PLACES], bytes: &Bytes) {
    let [left, right, place] = [split.left, split.right, split.place].map(|place| place as usize % PLACES);
    // From memory: of one share for all rows compilers make multiplications of twice the width.
    let shares = if MISS { std::hint::black_box(Shares([split.right_share; PART])).0 } else { [0; PART] };
    for part in 0..TILE / PART {
        let bytes: [u8; PART] = bytes.0.as_chunks().0[part];
        // By value: a choice between two places in memory would not become vector code.
        let (left, right) = (paths[left].0.as_chunks().0[part], paths[right].0.as_chunks().0[part]);
        paths[place].0.as_chunks_mut().0[part] = match (KNOW, MISS) {
            (true, false) => choose_paths(left, right, bytes, split.cut),
            (false, _) => mix_paths(left, right, shares),
            (true, true) => {
                let one = choose_paths(left, right, bytes, split.cut);
                mix_missing(one, mix_paths(left, right, shares), bytes)
            }
        };
    }
}

#[inline(always)]
fn choose_paths(left: [u16; PART], right: [u16; PART], bytes: [u8; PART], cut: u8) -> [u16; PART] {
    let mut chosen = [0; PART];
    for i in 0..PART {
        let goes_right = all_ones(bytes[i] >= cut);
        chosen[i] = (right[i] & goes_right) | (left[i] & !goes_right);
    }
    chosen
}

#[inline(always)]
fn mix_paths(left: [u16; PART], right: [u16; PART], right_shares: [u16; PART]) -> [u16; PART] {
    let mut mixed = [0; PART];
    for i in 0..PART {
        mixed[i] = mix(left[i], right[i], right_shares[i]);
    }
    mixed
}

/// What `both` says of rows whose value is missing, what `one` says of the others.
#[inline(always)]
fn mix_missing(one: [u16; PART], both: [u16; PART], bytes: [u8; PART]) -> [u16; PART] {
    let mut chosen = [0; PART];
    for i in 0..PART {
        let missing = all_ones(bytes[i] == MISSING_BYTE);
        chosen[i] = (both[i] & missing) | (one[i] & !missing);
    }
    chosen
}

/// A mask of all bits, or of none.
#[inline(always)]
fn all_ones(yes: bool) -> u16 {
    u16::from(yes).wrapping_neg()
}

#[cfg(all(test, feature = "simd"))]
mod tests;
