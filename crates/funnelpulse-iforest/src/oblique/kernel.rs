//! Takes rows down trees of directions, several at a time.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{
    directions::{Term, Vector, project_vectors},
    trees::Node,
};
use crate::vector;

/// A tree without its directions.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) depth: usize,
    pub(super) nodes: &'a [Node],
    /// The path length of each node that is a leaf.
    pub(super) paths: &'a [u16],
}

/// Directions that have a coefficient for every column.
#[derive(Clone, Copy)]
pub(super) struct Dense<'a, const VECTORS: usize>(pub(super) &'a [[Vector; VECTORS]]);

/// Directions of few of many columns: all terms, and the first term of each direction and one more.
#[derive(Clone, Copy)]
pub(super) struct Sparse<'a> {
    pub(super) terms: &'a [Term],
    pub(super) starts: &'a [u32],
}

/// Projections of rows that miss no value.
trait Project: Copy {
    type Row: ?Sized;

    fn project(self, direction: usize, row: &Self::Row) -> f32;
}

impl<const VECTORS: usize> Project for Dense<'_, VECTORS> {
    type Row = [Vector; VECTORS];

    #[inline(always)]
    fn project(self, direction: usize, row: &Self::Row) -> f32 {
        project_vectors(&self.0[direction], row)
    }
}

impl Project for Sparse<'_> {
    type Row = [f32];

    #[inline(always)]
    fn project(self, direction: usize, row: &[f32]) -> f32 {
        let mut sum = 0.0;
        for term in &self.terms[self.starts[direction] as usize..self.starts[direction + 1] as usize] {
            sum += term.coefficient * row[term.column as usize];
        }
        sum
    }
}

/// The same where each direction has as many terms.
#[derive(Clone, Copy)]
struct SameLength<'a, const TERMS: usize>(&'a [[Term; TERMS]]);

impl<const TERMS: usize> Project for SameLength<'_, TERMS> {
    type Row = [f32];

    #[inline(always)]
    fn project(self, direction: usize, row: &[f32]) -> f32 {
        let mut sum = 0.0;
        for term in &self.0[direction] {
            sum += term.coefficient * row[term.column as usize];
        }
        sum
    }
}

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
pub(super) fn add_dense(vectors: usize, tree: Tree<'_>, directions: &[Vector], rows: &[Vector], sums: &mut [u32]) {
    match vectors {
        1 => vector::dispatch(DensePaths::<1, 16> { tree, directions, rows, sums }),
        2 => vector::dispatch(DensePaths::<2, 8> { tree, directions, rows, sums }),
        _ => unreachable!("wider rows have no coefficient for every column"),
    }
}

/// Adds the path lengths of rows of this width, zeros where a value is missing, in one tree.
pub(super) fn add_sparse(tree: Tree<'_>, directions: Sparse<'_>, rows: &[f32], width: usize, sums: &mut [u32]) {
    match directions.same_length() {
        // What the configurations of the family have by default.
        Some((2, terms)) => {
            let directions = SameLength::<2>(terms.as_chunks().0);
            vector::dispatch(SparsePaths { tree, directions, rows, width, sums });
        }
        Some((6, terms)) => {
            let directions = SameLength::<6>(terms.as_chunks().0);
            vector::dispatch(SparsePaths { tree, directions, rows, width, sums });
        }
        _ => vector::dispatch(SparsePaths { tree, directions, rows, width, sums }),
    }
}

impl<'a> Sparse<'a> {
    /// The number of terms that each direction has, and all terms; `None` where the numbers differ.
    fn same_length(self) -> Option<(usize, &'a [Term])> {
        let (first, last) = (*self.starts.first()?, *self.starts.last()?);
        let length = self.starts.get(1)? - first;
        let same = self.starts.windows(2).all(|starts| starts[1] - starts[0] == length);
        same.then(|| (length as usize, &self.terms[first as usize..last as usize]))
    }
}

/// One tree for all rows, of which so many go down together: enough to hide the latency of one step behind the others, few
/// enough that the processor sees a whole step of all of them.
struct DensePaths<'a, const VECTORS: usize, const LANES: usize> {
    tree: Tree<'a>,
    directions: &'a [Vector],
    rows: &'a [Vector],
    sums: &'a mut [u32],
}

impl<const VECTORS: usize, const LANES: usize> vector::NullaryFnOnce for DensePaths<'_, VECTORS, LANES> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let directions = Dense(self.directions.as_chunks::<VECTORS>().0);
        let (blocks, rest) = self.rows.as_chunks::<VECTORS>().0.as_chunks::<LANES>();
        let (block_sums, rest_sums) = self.sums.as_chunks_mut::<LANES>();
        for (rows, sums) in blocks.iter().zip(block_sums) {
            descend(self.tree, directions, |lane| &rows[lane], sums);
        }
        for (row, sum) in rest.iter().zip(rest_sums) {
            descend(self.tree, directions, |_| row, std::array::from_mut(sum));
        }
    }
}

/// The same of directions of few columns.
struct SparsePaths<'a, P> {
    tree: Tree<'a>,
    directions: P,
    rows: &'a [f32],
    width: usize,
    sums: &'a mut [u32],
}

/// Rows that go down together.
const SPARSE_LANES: usize = 8;

impl<P: Project<Row = [f32]>> vector::NullaryFnOnce for SparsePaths<'_, P> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { tree, directions, rows, width, sums } = self;
        let (block_sums, rest_sums) = sums.as_chunks_mut::<SPARSE_LANES>();
        let (blocks, rest) = rows.split_at(block_sums.len() * SPARSE_LANES * width);
        for (rows, sums) in blocks.chunks_exact(SPARSE_LANES * width).zip(block_sums) {
            descend(tree, directions, |lane| &rows[lane * width..][..width], sums);
        }
        for (row, sum) in rest.chunks_exact(width).zip(rest_sums) {
            descend(tree, directions, |_| row, std::array::from_mut(sum));
        }
    }
}

#[inline(always)]
fn descend<'a, P: Project, const N: usize>(
    tree: Tree<'_>,
    directions: P,
    row: impl Fn(usize) -> &'a P::Row,
    sums: &mut [u32; N],
) where
    P::Row: 'a,
{
    let mut at = [0u16; N];
    for _ in 0..tree.depth {
        for (lane, at) in at.iter_mut().enumerate() {
            let node = tree.nodes[*at as usize];
            let projection = directions.project(node.direction as usize, row(lane));
            *at = node.left.wrapping_add(u16::from(projection >= node.threshold));
        }
    }
    for lane in 0..N {
        sums[lane] += u32::from(tree.paths[at[lane] as usize]);
    }
}
