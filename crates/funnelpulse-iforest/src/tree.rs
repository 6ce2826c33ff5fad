//! One isolation tree: random splits until rows are alone.

use ndarray::{ArrayView1, ArrayView2};
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// `column` of a leaf.
const LEAF: u32 = u32::MAX;

/// A node of a tree. A row goes left when its value is below `split`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// The threshold; in a leaf the path length that ends here (depth plus the expected depth of
    /// the subtree that was not grown).
    split: f64,
    column: u32,
    /// Index of the left child within the tree; the right child is the next one.
    left: u32,
    /// `-ln` of the share of this node's training rows that went left, and right: what a column
    /// is credited with for sending a row there.
    credit: [f32; 2],
}

impl Node {
    fn share(&self, side: usize) -> f64 {
        f64::from(-self.credit[side]).exp()
    }
}

/// A tree in one array: the root first, children after their parents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Tree(Vec<Node>);

/// Average path length of an unsuccessful search in a binary search tree of `n` keys
/// (Liu, Ting & Zhou 2008, equation 1), with the exact harmonic number for small `n`.
pub(crate) fn average_path_length(n: usize) -> f64 {
    let harmonic = |k: usize| -> f64 {
        if k < 64 {
            (1..=k).map(|i| 1.0 / i as f64).sum()
        } else {
            let k = k as f64;
            k.ln() + 0.577_215_664_901_532_9 + 0.5 / k - 1.0 / (12.0 * k * k)
        }
    };
    if n < 2 { 0.0 } else { 2.0 * harmonic(n - 1) - 2.0 * (n - 1) as f64 / n as f64 }
}

/// What one row sees of one tree.
pub(crate) trait Visitor {
    /// The row passed a split on `column` to a side that is worth `credit`; `weight` is below one
    /// when it went both ways.
    fn split(&mut self, column: usize, credit: f32, weight: f64);
}

/// Ignores what it sees.
pub(crate) struct NoVisitor;

impl Visitor for NoVisitor {
    fn split(&mut self, _: usize, _: f32, _: f64) {}
}

impl Tree {
    /// Grows a tree on the given rows of `values`, to `max_depth` at most.
    pub(crate) fn grow(values: ArrayView2<'_, f64>, rows: &mut [usize], max_depth: usize, rng: &mut Pcg64) -> Self {
        let mut nodes = Vec::with_capacity(2 * rows.len());
        nodes.push(leaf(0, rows.len()));
        // Columns that are constant at a node are constant below it: each entry carries the
        // columns that may still vary.
        let all: Vec<u32> = (0..values.ncols() as u32).collect();
        let mut pending = vec![(0usize, 0..rows.len(), 0usize, all)];
        while let Some((at, range, depth, mut columns)) = pending.pop() {
            if depth >= max_depth || range.len() < 2 {
                continue;
            }
            let members = &mut rows[range.clone()];
            let Some((column, low, high)) = pick_column(values, members, &mut columns, rng) else { continue };
            let split = draw_split(low, high, rng);
            let cut = partition(values.column(column as usize), members, split, rng);
            let left = nodes.len();
            let share = cut as f64 / members.len() as f64;
            let credit = [-share.ln() as f32, -(1.0 - share).ln() as f32];
            nodes[at] = Node { split, column, left: left as u32, credit };
            let middle = range.start + cut;
            nodes.push(leaf(depth + 1, cut));
            nodes.push(leaf(depth + 1, range.end - middle));
            pending.push((left, range.start..middle, depth + 1, columns.clone()));
            pending.push((left + 1, middle..range.end, depth + 1, columns));
        }
        nodes.shrink_to_fit();
        Self(nodes)
    }

    /// Path length of a row. Where the split column is missing the row goes both ways, weighted
    /// by the shares of the training rows.
    pub(crate) fn path_length(&self, row: &[f64], visitor: &mut impl Visitor) -> f64 {
        self.descend(0, row, 1.0, visitor)
    }

    fn descend(&self, mut at: usize, row: &[f64], weight: f64, visitor: &mut impl Visitor) -> f64 {
        loop {
            let node = &self.0[at];
            if node.column == LEAF {
                return node.split;
            }
            let column = node.column as usize;
            let (value, left) = (row[column], node.left as usize);
            if value < node.split {
                visitor.split(column, node.credit[0], weight);
                at = left;
            } else if value >= node.split {
                visitor.split(column, node.credit[1], weight);
                at = left + 1;
            } else {
                let [to_left, to_right] = [node.share(0), node.share(1)];
                return to_left * self.descend(left, row, weight * to_left, visitor)
                    + to_right * self.descend(left + 1, row, weight * to_right, visitor);
            }
        }
    }

    /// Whether every descent ends, inside the tree and inside a row of `n_columns` values.
    pub(crate) fn is_valid(&self, n_columns: usize) -> bool {
        !self.0.is_empty()
            && self.0.iter().enumerate().all(|(at, node)| {
                let finite = node.split.is_finite() && node.credit.iter().all(|c| *c >= 0.0 && c.is_finite());
                let inside = (node.column as usize) < n_columns
                    && node.left as usize > at
                    && (node.left as usize) < self.0.len() - 1;
                finite && (node.column == LEAF && node.split >= 0.0 || inside)
            })
            && self.depth() <= 64
    }

    /// Depth of the deepest leaf; children come after their parents.
    fn depth(&self) -> usize {
        let mut depths = vec![0usize; self.0.len()];
        for at in 0..self.0.len() {
            if self.0[at].column != LEAF {
                for child in [self.0[at].left, self.0[at].left + 1] {
                    let depth = depths[at] + 1;
                    let known = &mut depths[child as usize];
                    *known = depth.max(*known);
                }
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }
}

fn leaf(depth: usize, size: usize) -> Node {
    Node { split: depth as f64 + average_path_length(size), column: LEAF, left: 0, credit: [0.0; 2] }
}

/// Draws a column that varies among `members`, with its range; forgets those that don't.
fn pick_column(
    values: ArrayView2<'_, f64>,
    members: &[usize],
    columns: &mut Vec<u32>,
    rng: &mut Pcg64,
) -> Option<(u32, f64, f64)> {
    while !columns.is_empty() {
        let drawn = rng.random_range(0..columns.len());
        let column = values.column(columns[drawn] as usize);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &row in members {
            // NaN is neither smaller nor larger.
            let value = column[row];
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        if low < high {
            return Some((columns[drawn], low, high));
        }
        columns.swap_remove(drawn);
    }
    None
}

/// A threshold in `(low, high]`, so that both sides get a row.
fn draw_split(low: f64, high: f64, rng: &mut Pcg64) -> f64 {
    let u: f64 = rng.random();
    // Not `low + u * (high - low)`: the difference may overflow.
    let split = low * (1.0 - u) + high * u;
    if split > low && split <= high { split } else { high }
}

/// Moves the rows that go left to the front and returns their number. Rows without a value
/// follow a coin weighted by the others.
fn partition(column: ArrayView1<'_, f64>, members: &mut [usize], split: f64, rng: &mut Pcg64) -> usize {
    let (mut left, mut known) = (0usize, 0usize);
    for &row in members.iter() {
        left += usize::from(column[row] < split);
        known += usize::from(!column[row].is_nan());
    }
    let share = left as f64 / known as f64;
    let mut cut = 0;
    for i in 0..members.len() {
        let value = column[members[i]];
        if value < split || value.is_nan() && rng.random::<f64>() < share {
            members.swap(i, cut);
            cut += 1;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn average_path_length_is_continuous_and_right() {
        assert_eq!(average_path_length(1), 0.0);
        assert_eq!(average_path_length(2), 1.0);
        // 2 H(255) - 2 * 255 / 256
        assert!((average_path_length(256) - 10.248_689_925).abs() < 1e-8, "{}", average_path_length(256));
        assert!((average_path_length(65) - average_path_length(64)).abs() < 0.05);
    }

    #[test]
    fn extreme_ranges_still_split() {
        for (low, high) in [(-1e300, 1e300), (0.0, 5e-324), (-1.7e308, 1.7e308), (1.0, 1.0 + f64::EPSILON)] {
            let values = Array2::from_shape_vec((2, 1), vec![low, high]).unwrap();
            let tree = Tree::grow(values.view(), &mut [0, 1], 8, &mut Pcg64::seed_from_u64(1));
            assert_eq!(tree.0.len(), 3, "{low} {high}");
            assert!(tree.is_valid(1));
        }
    }

    #[test]
    fn damaged_trees_are_noticed() {
        let values = Array2::from_shape_fn((64, 2), |(i, j)| (i * 7 % 13 + j) as f64);
        let mut rows: Vec<usize> = (0..64).collect();
        let tree = Tree::grow(values.view(), &mut rows, 6, &mut Pcg64::seed_from_u64(1));
        assert!(tree.is_valid(2));
        assert!(!tree.is_valid(1), "a column that is not there");
        let mut looping = tree.clone();
        looping.0[1].column = 0;
        looping.0[1].left = 0;
        assert!(!looping.is_valid(2), "a child before its parent");
        assert!(!Tree(Vec::new()).is_valid(2));
    }
}
