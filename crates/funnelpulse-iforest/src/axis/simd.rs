//! Scores 32 rows at once with AVX-512BW, where the processor has it.
//!
//! Trees of at most [`LEVELS`] levels are completed to full binary trees, so that a position within a
//! level is all the state a row has. The columns and thresholds of a level are looked up by that
//! position with permutations of registers (a level of 32 nodes is one register of u16), and so
//! are the rows' ranks by column: no gather, no branch, no load that waits for another.
//! Up to 16 columns, where selecting a column is cheap, it is quicker than [`sweep`](super::sweep).
//! `cargo bench -p funnelpulse-benches --bench iforest` shows what it is worth.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::{
    cuts::Ranks,
    trees::{Node, Tree},
};

/// Levels of splits a complete tree has.
const LEVELS: usize = 8;
/// Nodes of a complete tree, by level: level `l` begins at `1 << l`. As many leaves.
const SIZE: usize = 1 << LEVELS;
/// Widest row of ranks; beyond that selecting a column costs more than it saves.
const MAX_STRIDE: usize = 32;
/// Rows of a register.
const LANES: usize = super::cuts::TILE;

/// A tree completed to [`LEVELS`] levels.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(64))]
struct LaneTree {
    columns: [u16; SIZE],
    cuts: [u16; SIZE],
    paths: [u16; SIZE],
}

impl LaneTree {
    fn new(nodes: &[Node]) -> Self {
        let mut tree = Self { columns: [0; SIZE], cuts: [0; SIZE], paths: [0; SIZE] };
        tree.complete(nodes, 0, 0, 0);
        tree
    }

    fn complete(&mut self, nodes: &[Node], at: usize, level: usize, position: usize) {
        let node = nodes[at];
        if node.is_leaf() {
            // Splits below a leaf (column 0, cut 0) send every row right; all their leaves are this one.
            let below = LEVELS - level;
            self.paths[position << below..(position + 1) << below].fill(node.path);
        } else {
            self.columns[(1 << level) + position] = node.column;
            self.cuts[(1 << level) + position] = node.cut;
            self.complete(nodes, node.left as usize, level + 1, 2 * position);
            self.complete(nodes, node.left as usize + 1, level + 1, 2 * position + 1);
        }
    }
}

/// Complete trees. They exist only where the processor can score them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LaneTrees {
    stride: usize,
    trees: Vec<LaneTree>,
}

impl LaneTrees {
    /// `None` where the processor lacks AVX-512BW, a tree is too deep or the table too wide.
    pub(super) fn new(width: usize, trees: &[Tree], nodes: &[Node]) -> Option<Self> {
        let stride = width.next_power_of_two().max(4);
        let fits = stride <= MAX_STRIDE && trees.iter().all(|tree| tree.depth <= LEVELS);
        (fits && available()).then(|| {
            let trees = trees.iter().map(|tree| LaneTree::new(&nodes[tree.start..tree.end])).collect();
            Self { stride, trees }
        })
    }

    /// Values from one row of ranks to the next.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Adds each row's path lengths over all trees to `sums`.
    pub(crate) fn add_paths(&self, ranks: &Ranks, sums: &mut [u32]) {
        let tiles = sums.len().div_ceil(LANES);
        assert!(ranks.by_row.len() == tiles * LANES * self.stride && ranks.by_column.len() == ranks.by_row.len());
        let whole = sums.len() / LANES * LANES;
        let (sums, rest) = sums.split_at_mut(whole);
        let (by_row, rest_by_row) = ranks.by_row.split_at(whole * self.stride);
        let (by_column, rest_by_column) = ranks.by_column.split_at(whole * self.stride);
        self.dispatch(by_row, by_column, sums);
        if !rest.is_empty() {
            let mut last = [0; LANES];
            self.dispatch(rest_by_row, rest_by_column, &mut last);
            rest.iter_mut().zip(last).for_each(|(sum, last)| *sum += last);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn dispatch(&self, by_row: &[u16], by_column: &[u16], sums: &mut [u32]) {
        // SAFETY: a `LaneTrees` exists only where `available` said that the processor has AVX-512F
        // and AVX-512BW.
        unsafe {
            match self.stride {
                4 => kernel::add_paths::<4>(&self.trees, by_row, by_column, sums),
                8 => kernel::add_paths::<8>(&self.trees, by_row, by_column, sums),
                16 => kernel::add_paths::<16>(&self.trees, by_row, by_column, sums),
                _ => kernel::add_paths::<32>(&self.trees, by_row, by_column, sums),
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn dispatch(&self, _: &[u16], _: &[u16], _: &mut [u32]) {
        unreachable!("exists only where `available` is true")
    }
}

#[cfg(target_arch = "x86_64")]
fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

#[cfg(not(target_arch = "x86_64"))]
fn available() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    #[allow(clippy::wildcard_imports, reason = "intrinsics")]
    use std::arch::x86_64::*;

    use super::{LANES, LEVELS, LaneTree, SIZE};

    /// Registers of rows that go down a tree together.
    const GROUPS: usize = 4;

    /// Ranks of the rows of one register, row after row and column after column.
    type Tile<'a> = (&'a [u16], &'a [u16]);

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn add_paths<const STRIDE: usize>(
        trees: &[LaneTree],
        by_row: &[u16],
        by_column: &[u16],
        sums: &mut [u32],
    ) {
        let tile = LANES * STRIDE;
        for tree in trees {
            let mut tiles = by_row.chunks_exact(tile).zip(by_column.chunks_exact(tile));
            let mut blocks = sums.chunks_exact_mut(GROUPS * LANES);
            for sums in blocks.by_ref() {
                descend::<STRIDE, GROUPS>(tree, &mut tiles, sums);
            }
            for sums in blocks.into_remainder().chunks_exact_mut(LANES) {
                descend::<STRIDE, 1>(tree, &mut tiles, sums);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn descend<'a, const STRIDE: usize, const N: usize>(
        tree: &LaneTree,
        tiles: &mut impl Iterator<Item = Tile<'a>>,
        sums: &mut [u32],
    ) {
        let mut own: [Tile<'a>; N] = [(&[], &[]); N];
        for tile in &mut own {
            *tile = tiles.next().expect("a tile for every 32 sums");
        }
        let tiles = own;
        let one = _mm512_set1_epi16(1);
        let mut at = [_mm512_setzero_si512(); N];
        for level in 0..LEVELS {
            for group in 0..N {
                let cut = look_up(&tree.cuts, level, at[group]);
                // A level of few nodes looks at few columns: taking those and choosing among them by node
                // is quicker than choosing among all columns of a row.
                let rank = if 2 << level <= STRIDE && level < 4 {
                    choose_node(&tree.columns, level, at[group], tiles[group].1)
                } else {
                    choose_column::<STRIDE>(tiles[group].0, look_up(&tree.columns, level, at[group]))
                };
                let right = _mm512_cmpge_epu16_mask(rank, cut);
                let left_child = _mm512_add_epi16(at[group], at[group]);
                at[group] = _mm512_mask_add_epi16(left_child, right, left_child, one);
            }
        }
        for (at, sums) in at.into_iter().zip(sums.chunks_exact_mut(LANES)) {
            add(leaves(&tree.paths, at), sums);
        }
    }

    /// The entry of each row's node of a level.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn look_up(table: &[u16; SIZE], level: usize, at: __m512i) -> __m512i {
        match level {
            // Reads past the level where it is short; positions don't point there.
            0..=5 => _mm512_permutexvar_epi16(at, load(&table[1 << level..])),
            6 => _mm512_permutex2var_epi16(load(&table[64..]), at, load(&table[96..])),
            _ => {
                let low = _mm512_permutex2var_epi16(load(&table[128..]), at, load(&table[160..]));
                let high = _mm512_permutex2var_epi16(load(&table[192..]), at, load(&table[224..]));
                _mm512_mask_blend_epi16(bit(at, 64), low, high)
            }
        }
    }

    /// The path of each row's leaf.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn leaves(paths: &[u16; SIZE], at: __m512i) -> __m512i {
        let quarter = |i: usize| _mm512_permutex2var_epi16(load(&paths[64 * i..]), at, load(&paths[64 * i + 32..]));
        let low = _mm512_mask_blend_epi16(bit(at, 64), quarter(0), quarter(1));
        let high = _mm512_mask_blend_epi16(bit(at, 64), quarter(2), quarter(3));
        _mm512_mask_blend_epi16(bit(at, 128), low, high)
    }

    /// The rank of each row in the column of its node of a level, from the columns of all nodes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn choose_node(columns: &[u16; SIZE], level: usize, at: __m512i, by_column: &[u16]) -> __m512i {
        let node = |i: usize| load(&by_column[LANES * columns[(1 << level) + i] as usize..]);
        let pair = |i: usize| _mm512_mask_blend_epi16(bit(at, 1), node(i), node(i + 1));
        let four = |i: usize| _mm512_mask_blend_epi16(bit(at, 2), pair(i), pair(i + 2));
        match level {
            0 => node(0),
            1 => pair(0),
            2 => four(0),
            _ => _mm512_mask_blend_epi16(bit(at, 4), four(0), four(4)),
        }
    }

    /// The rank of each row in its own column, from the columns of all rows. A register holds
    /// `32 / STRIDE` rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn choose_column<const STRIDE: usize>(by_row: &[u16], column: __m512i) -> __m512i {
        let rows = LANES / STRIDE;
        let index = _mm512_add_epi16(column, load(const { &first_columns::<STRIDE>() }));
        let mut lanes = ((1u64 << rows) - 1) as u32;
        // Two chains, for each step waits for the one before.
        let mut chains = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for pair in by_row.chunks_exact(2 * LANES) {
            chains.0 = _mm512_mask_permutexvar_epi16(chains.0, lanes, index, load(pair));
            lanes = lanes.rotate_left(rows as u32);
            chains.1 = _mm512_mask_permutexvar_epi16(chains.1, lanes, index, load(&pair[LANES..]));
            lanes = lanes.rotate_left(rows as u32);
        }
        _mm512_or_si512(chains.0, chains.1)
    }

    /// Where the row of each lane begins in the register that holds it. A constant: a closure in the hot
    /// loop would not be inlined into code for another set of instructions.
    const fn first_columns<const STRIDE: usize>() -> [u16; LANES] {
        let (mut first, mut lane) = ([0; LANES], 0);
        while lane < LANES {
            first[lane] = (lane % (LANES / STRIDE) * STRIDE) as u16;
            lane += 1;
        }
        first
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn bit(at: __m512i, bit: i16) -> __mmask32 {
        _mm512_test_epi16_mask(at, _mm512_set1_epi16(bit))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(values: &[u16]) -> __m512i {
        assert!(values.len() >= LANES);
        // SAFETY: 64 bytes are readable, as just checked; the load needs no alignment.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
    }

    /// Widens and adds.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(paths: __m512i, sums: &mut [u32]) {
        let (first, second) = sums.split_at_mut(LANES / 2);
        let halves = [_mm512_castsi512_si256(paths), _mm512_extracti64x4_epi64::<1>(paths)];
        for (half, sums) in halves.into_iter().zip([first, second]) {
            assert!(sums.len() == LANES / 2);
            let sums = sums.as_mut_ptr().cast();
            // SAFETY: 64 bytes are readable and writable, as just checked; no alignment is needed.
            unsafe {
                _mm512_storeu_si512(sums, _mm512_add_epi32(_mm512_loadu_si512(sums), _mm512_cvtepu16_epi32(half)));
            }
        }
    }
}
