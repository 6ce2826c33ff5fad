//! Scores rows against trees on any processor.

use super::trees::{Node, Tree};

/// Rows that go down a tree together: enough to hide the latency of one step behind the others.
const LANES: usize = 8;

/// Adds each row's path lengths over all trees to `sums`. Rows of `ranks` are `stride` apart.
pub(super) fn add_paths(trees: &[Tree], nodes: &[Node], ranks: &[u16], stride: usize, sums: &mut [u32]) {
    for tree in trees {
        let nodes = &nodes[tree.start..tree.end];
        let done = sums.len() / LANES * LANES;
        let mut blocks = sums.chunks_exact_mut(LANES);
        for (sums, ranks) in blocks.by_ref().zip(ranks.chunks_exact(LANES * stride)) {
            descend::<LANES>(tree.depth, nodes, ranks, stride, sums);
        }
        let rest = blocks.into_remainder();
        let ranks = &ranks[done * stride..];
        for (sum, ranks) in rest.iter_mut().zip(ranks.chunks_exact(stride)) {
            descend::<1>(tree.depth, nodes, ranks, stride, std::slice::from_mut(sum));
        }
    }
}

#[inline]
fn descend<const N: usize>(depth: usize, nodes: &[Node], ranks: &[u16], stride: usize, sums: &mut [u32]) {
    let mut at = [0u16; N];
    for _ in 0..depth {
        for lane in 0..N {
            let node = nodes[at[lane] as usize];
            let rank = ranks[lane * stride + node.column as usize];
            at[lane] = node.left.wrapping_add(u16::from(rank >= node.cut));
        }
    }
    for lane in 0..N {
        sums[lane] += u32::from(nodes[at[lane] as usize].path);
    }
}

/// The same of one tree and rows of values, none of which is missing; `thresholds` are the values that the nodes' cuts
/// stand for.
pub(super) fn add_paths_of_values(depth: usize, nodes: &[Node], thresholds: &[f64], rows: &[f64], sums: &mut [u32]) {
    let width = rows.len() / sums.len().max(1);
    let mut blocks = sums.chunks_exact_mut(LANES);
    let mut rest = rows;
    for sums in blocks.by_ref() {
        let (rows, behind) = rest.split_at(LANES * width);
        descend_values::<LANES>(depth, nodes, thresholds, rows, sums);
        rest = behind;
    }
    for (sum, row) in blocks.into_remainder().iter_mut().zip(rest.chunks_exact(width)) {
        descend_values::<1>(depth, nodes, thresholds, row, std::slice::from_mut(sum));
    }
}

fn descend_values<const N: usize>(depth: usize, nodes: &[Node], thresholds: &[f64], rows: &[f64], sums: &mut [u32]) {
    let width = rows.len() / N;
    let mut at = [0u16; N];
    for _ in 0..depth {
        for lane in 0..N {
            let (node, threshold) = (nodes[at[lane] as usize], thresholds[at[lane] as usize]);
            let value = rows[lane * width + node.column as usize];
            at[lane] = node.left.wrapping_add(u16::from(value >= threshold));
        }
    }
    for lane in 0..N {
        sums[lane] += u32::from(nodes[at[lane] as usize].path);
    }
}
