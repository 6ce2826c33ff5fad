//! Axis-parallel trees as they are scored, saved and explained.

use serde::{Deserialize, Serialize};

use super::{
    cuts::{Cuts, MAX_CUTS, MISSING, Ranks},
    portable,
    simd::LaneTrees,
    sweep::{self, SweepTrees},
};
use crate::{
    grown::{GrownNode, Unfolded, depth_of, unfold},
    walk::{Step, Walk},
};

/// A node in 8 bytes. The next node is `left`, or the one after it when the row's rank is `cut`
/// or more. A leaf leads to itself (`cut` 0 and `left` one before it), so that rows of one block
/// take the same number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Node {
    pub(crate) column: u16,
    pub(crate) cut: u16,
    pub(crate) left: u16,
    pub(crate) path: u16,
}

impl Node {
    pub(crate) fn is_leaf(self) -> bool {
        self.cut == 0
    }
}

/// One tree among the nodes of many.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Steps from the root to the deepest leaf.
    pub(crate) depth: usize,
}

/// Trees that share the thresholds of their columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedAxis", into = "SavedAxis")]
pub(crate) struct AxisTrees {
    columns: Vec<Cuts>,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    /// Training rows that came to each node.
    rows: Vec<u16>,
}

impl AxisTrees {
    /// Packs trees that were just grown; those that no longer fit one set of ranks begin another.
    pub(crate) fn pack(width: usize, grown: &[Vec<GrownNode>]) -> Vec<Self> {
        let mut groups = Vec::new();
        let mut start = 0;
        while start < grown.len() {
            let mut splits = 0;
            let fits = |tree: &&Vec<GrownNode>| {
                splits += tree.len() / 2;
                splits <= MAX_CUTS
            };
            let taken = grown[start..].iter().take_while(fits).count().max(1);
            groups.push(Self::pack_group(width, &grown[start..start + taken]));
            start += taken;
        }
        groups
    }

    fn pack_group(width: usize, grown: &[Vec<GrownNode>]) -> Self {
        let mut splits: Vec<Vec<f64>> = vec![Vec::new(); width];
        for node in grown.iter().flatten().filter(|node| node.left != 0) {
            splits[node.column as usize].push(node.split);
        }
        for cuts in &mut splits {
            cuts.sort_unstable_by(f64::total_cmp);
            // Equal numbers, -0 and 0 among them, are one threshold.
            cuts.dedup();
        }
        let columns: Vec<Cuts> = splits.into_iter().map(Cuts::new).collect();
        let total = grown.iter().map(Vec::len).sum();
        let (mut trees, mut nodes, mut rows) = (Vec::new(), Vec::with_capacity(total), Vec::with_capacity(total));
        for tree in grown {
            let start = nodes.len();
            for (at, node) in tree.iter().enumerate() {
                nodes.push(if node.left == 0 {
                    Node { column: 0, cut: 0, left: (at as u16).wrapping_sub(1), path: node.path }
                } else {
                    let cut = columns[node.column as usize].rank(node.split);
                    Node { column: node.column, cut, left: node.left, path: node.path }
                });
                rows.push(node.rows);
            }
            trees.push(Tree { start, end: nodes.len(), depth: depth_of(tree) });
        }
        Self { columns, trees, nodes, rows }
    }

    /// The trees as they were grown.
    pub(crate) fn unpack(&self) -> Vec<Vec<GrownNode>> {
        let grown = |at: usize| {
            let node = self.nodes[at];
            let (split, left) = if node.is_leaf() {
                (0.0, 0)
            } else {
                (self.columns[node.column as usize].as_slice()[node.cut as usize - 1], node.left)
            };
            GrownNode { split, column: node.column, left, rows: self.rows[at], path: node.path }
        };
        self.trees.iter().map(|tree| (tree.start..tree.end).map(grown).collect()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.trees.len()
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Columns of a row.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Most training rows of a tree.
    pub(crate) fn max_rows(&self) -> usize {
        self.trees.iter().map(|tree| self.rows[tree.start] as usize).max().unwrap_or(0)
    }

    /// The ranks of rows that lie one after the other.
    pub(crate) fn rank(&self, rows: &[f64], ranks: &mut Ranks) {
        ranks.fill(rows, &self.columns, self.width(), false);
    }

    /// Adds the path lengths of whole rows over all trees.
    pub(crate) fn add_paths(&self, ranks: &Ranks, sums: &mut [u32]) {
        portable::add_paths(&self.trees, &self.nodes, &ranks.by_row, self.width(), sums);
    }

    /// The same of one tree and rows of values that were not ranked.
    pub(crate) fn add_paths_of_values(&self, tree: usize, rows: &[f64], sums: &mut [u32]) {
        let Tree { start, end, depth } = self.trees[tree];
        let nodes = &self.nodes[start..end];
        let threshold = |node: &Node| match node.cut {
            0 => f64::NEG_INFINITY,
            cut => self.columns[node.column as usize].as_slice()[cut as usize - 1],
        };
        let thresholds: Vec<f64> = nodes.iter().map(threshold).collect();
        portable::add_paths_of_values(depth, nodes, &thresholds, rows, sums);
    }

    /// The same trees with a plan to look at all splits, where they are small enough.
    pub(crate) fn sweep(&self) -> Option<SweepTrees> {
        SweepTrees::new(&self.columns, &self.trees, &self.nodes, &self.rows)
    }

    /// Adds the path lengths of rows that lie one after the other, none of which misses a value, over all trees.
    pub(crate) fn sweep_whole(&self, plan: &SweepTrees, rows: &[f64], scratch: &mut sweep::Scratch, sums: &mut [u32]) {
        plan.add_whole(&self.columns, rows, scratch, sums);
    }

    /// The same of rows that may miss values, but not all of them.
    pub(crate) fn sweep_any(&self, plan: &SweepTrees, rows: &[f64], scratch: &mut sweep::Scratch, sums: &mut [u32]) {
        plan.add_any(&self.columns, rows, scratch, sums);
    }

    /// The same trees for vector registers, where the processor has them and the trees fit. They
    /// are quick to make and large to keep.
    pub(crate) fn lanes(&self) -> Option<LaneTrees> {
        LaneTrees::new(self.width(), &self.trees, &self.nodes)
    }

    /// The ranks of rows that lie one after the other, as the vector kernel wants them.
    pub(crate) fn rank_for(&self, lanes: &LaneTrees, rows: &[f64], ranks: &mut Ranks) {
        ranks.fill(rows, &self.columns, lanes.stride(), true);
    }

    /// Training rows that came to a node of a tree.
    pub(crate) fn rows(&self, tree: usize, node: u16) -> usize {
        self.rows[self.trees[tree].start + node as usize].into()
    }

    /// One tree as one row sees it.
    pub(crate) fn walk<'a>(&'a self, tree: usize, ranks: &'a Ranks, row: usize) -> AxisWalk<'a> {
        let Tree { start, end, .. } = self.trees[tree];
        let ranks = &ranks.by_row[row * self.width()..][..self.columns.len()];
        AxisWalk { nodes: &self.nodes[start..end], rows: &self.rows[start..end], ranks }
    }
}

/// One tree, one row.
#[derive(Debug)]
pub(crate) struct AxisWalk<'a> {
    nodes: &'a [Node],
    rows: &'a [u16],
    ranks: &'a [u16],
}

impl Walk for AxisWalk<'_> {
    fn step(&self, at: usize) -> Step {
        let node = self.nodes[at];
        if node.is_leaf() {
            return Step::Leaf(node.path);
        }
        match self.ranks[node.column as usize] {
            MISSING => Step::Both(node.left as usize),
            rank => Step::One(node.left as usize + usize::from(rank >= node.cut)),
        }
    }

    fn rows(&self, at: usize) -> u16 {
        self.rows[at]
    }

    fn credit(&self, at: usize, amount: f64, credits: &mut [f64]) {
        credits[self.nodes[at].column as usize] += amount;
    }
}

/// A node as it is saved; a split is followed by its left and then its right subtree.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum SavedNode {
    Leaf { rows: u16, path: u16 },
    Split { column: u16, cut: u16 },
}

/// [`AxisTrees`] in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedAxis {
    cuts: Vec<Vec<f64>>,
    trees: Vec<Vec<SavedNode>>,
}

impl From<AxisTrees> for SavedAxis {
    fn from(trees: AxisTrees) -> Self {
        let save = |tree: &Tree| {
            let mut saved = Vec::with_capacity(tree.end - tree.start);
            let mut pending = vec![0usize];
            while let Some(at) = pending.pop() {
                let node = trees.nodes[tree.start + at];
                saved.push(if node.is_leaf() {
                    SavedNode::Leaf { rows: trees.rows[tree.start + at], path: node.path }
                } else {
                    pending.extend([node.left as usize + 1, node.left as usize]);
                    SavedNode::Split { column: node.column, cut: node.cut - 1 }
                });
            }
            saved
        };
        Self {
            cuts: trees.columns.iter().map(|c| c.as_slice().to_vec()).collect(),
            trees: trees.trees.iter().map(save).collect(),
        }
    }
}

impl TryFrom<SavedAxis> for AxisTrees {
    type Error = &'static str;

    fn try_from(saved: SavedAxis) -> Result<Self, Self::Error> {
        let increasing = |cuts: &Vec<f64>| {
            cuts.len() <= MAX_CUTS && cuts.iter().all(|c| c.is_finite()) && cuts.windows(2).all(|w| w[0] < w[1])
        };
        if saved.cuts.is_empty() || saved.cuts.len() > 65_535 || !saved.cuts.iter().all(increasing) {
            return Err("thresholds are not finite numbers in increasing order");
        }
        let grown = |tree: &Vec<SavedNode>| {
            let nodes = unfold(tree.len(), |i| match tree[i] {
                SavedNode::Leaf { rows, path } => Some(Unfolded::Leaf { rows, path }),
                SavedNode::Split { column, cut } => {
                    let split = *saved.cuts.get(column as usize)?.get(cut as usize)?;
                    Some(Unfolded::Split { column, split })
                }
            })?;
            Ok(nodes.into_iter().map(|(node, _)| node).collect())
        };
        let grown = saved.trees.iter().map(grown).collect::<Result<Vec<_>, Self::Error>>()?;
        Ok(Self::pack_group(saved.cuts.len(), &grown))
    }
}
