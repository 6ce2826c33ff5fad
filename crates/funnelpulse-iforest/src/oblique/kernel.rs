//! Scores rows by directions that have a coefficient for every column.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{
    directions::{Vector, products, sum},
    trees::Node,
};
use crate::vector;

/// Rows that go down a tree together: enough to hide the latency of one step behind the others.
const LANES: usize = 8;

/// Rows as vectors, zeros where a value is missing and behind the last column.
pub(super) fn pad(rows: &[f32], width: usize, vectors: usize) -> Vec<Vector> {
    let mut padded = vec![Vector::default(); rows.len() / width * vectors];
    for (own, row) in padded.chunks_exact_mut(vectors).zip(rows.chunks_exact(width)) {
        let own = own.as_flattened_mut().iter_mut().zip(row);
        own.for_each(|(own, value)| *own = if value.is_nan() { 0.0 } else { *value });
    }
    padded
}

/// Adds the path lengths of padded rows in one tree, of so many vectors each.
pub(super) fn add_paths(
    vectors: usize,
    depth: usize,
    nodes: &[Node],
    directions: &[Vector],
    rows: &[Vector],
    sums: &mut [u32],
) {
    match vectors {
        1 => vector::dispatch(Paths::<1> { depth, nodes, directions, rows, sums }),
        2 => vector::dispatch(Paths::<2> { depth, nodes, directions, rows, sums }),
        _ => unreachable!("wider rows have no coefficient for every column"),
    }
}

/// One tree for all rows.
struct Paths<'a, const VECTORS: usize> {
    depth: usize,
    nodes: &'a [Node],
    directions: &'a [Vector],
    rows: &'a [Vector],
    sums: &'a mut [u32],
}

impl<const VECTORS: usize> vector::NullaryFnOnce for Paths<'_, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (directions, _) = self.directions.as_chunks::<VECTORS>();
        let (rows, _) = self.rows.as_chunks::<VECTORS>();
        let (blocks, rest) = rows.as_chunks::<LANES>();
        let (block_sums, rest_sums) = self.sums.as_chunks_mut::<LANES>();
        for (rows, sums) in blocks.iter().zip(block_sums) {
            descend(self.depth, self.nodes, directions, rows, sums);
        }
        for (row, sum) in rest.iter().zip(rest_sums) {
            descend(self.depth, self.nodes, directions, std::array::from_ref(row), std::array::from_mut(sum));
        }
    }
}

#[inline(always)]
fn descend<const VECTORS: usize, const N: usize>(
    depth: usize,
    nodes: &[Node],
    directions: &[[Vector; VECTORS]],
    rows: &[[Vector; VECTORS]; N],
    sums: &mut [u32; N],
) {
    // Where a row rests in a leaf any direction will do: all projections pass its threshold.
    let last = directions.len().saturating_sub(1);
    let mut at = [0u16; N];
    for _ in 0..depth {
        for lane in 0..N {
            let node = nodes[at[lane] as usize];
            let (direction, row) = (&directions[(node.link as usize).min(last)], &rows[lane]);
            let mut all = products(&direction[0], &row[0]);
            for vector in 1..VECTORS {
                let next = products(&direction[vector], &row[vector]);
                for (sum, product) in all.iter_mut().zip(next) {
                    *sum += product;
                }
            }
            at[lane] = node.left.wrapping_add(u16::from(sum(&all) >= node.threshold));
        }
    }
    for lane in 0..N {
        sums[lane] += u32::from(nodes[at[lane] as usize].link);
    }
}
