//! Trees of random directions as they are scored, saved and explained.

use serde::{Deserialize, Serialize};

use super::{
    directions::{Directions, Term},
    kernel,
    scale::Scale,
};
use crate::{
    grown::{GrownNode, Unfolded, depth_of, unfold},
    walk::{Step, Walk},
};

/// The first term of a node, and the number of its terms.
type Span = (u32, u32);

/// A tree that was just grown: the nodes, and the direction of each that splits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GrownTree {
    nodes: Vec<GrownNode>,
    spans: Vec<Span>,
    terms: Vec<Term>,
}

impl GrownTree {
    /// Adds a leaf.
    pub(super) fn push(&mut self, leaf: GrownNode) {
        self.nodes.push(leaf);
        self.spans.push((0, 0));
    }

    /// Makes the leaf `at` a split whose children are added next; returns the index of the left.
    pub(super) fn split(&mut self, at: usize, threshold: f32, terms: &[Term]) -> usize {
        let left = self.nodes.len();
        self.nodes[at].split = f64::from(threshold);
        self.nodes[at].left = left as u16;
        self.spans[at] = (self.terms.len() as u32, terms.len() as u32);
        self.terms.extend_from_slice(terms);
        left
    }
}

/// A row goes to `left`, or the node after it when its projection is `threshold` or more. A leaf
/// leads to itself: its threshold is minus infinity and `left` one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) threshold: f32,
    pub(super) left: u16,
    /// The number of a split's direction among those of its tree; the first in a leaf, where any will do.
    pub(super) direction: u16,
}

impl Node {
    fn is_leaf(self) -> bool {
        self.threshold == f32::NEG_INFINITY
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Tree {
    start: usize,
    end: usize,
    /// Its directions among those of all trees.
    first: usize,
    last: usize,
    depth: usize,
    /// Fewest terms of a direction: rows that miss fewer values go one way at every split.
    fewest: usize,
}

/// Trees that share a scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedOblique", into = "SavedOblique")]
pub(crate) struct ObliqueTrees {
    scale: Scale,
    terms_per_split: usize,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    directions: Directions,
    /// The path length that ends in each node, if it is a leaf.
    paths: Vec<u16>,
    /// Training rows that came to each node.
    rows: Vec<u16>,
}

impl ObliqueTrees {
    pub(crate) fn pack(scale: Scale, terms_per_split: usize, grown: &[GrownTree]) -> Self {
        let total = grown.iter().map(|tree| tree.nodes.len()).sum();
        let (mut trees, mut nodes) = (Vec::new(), Vec::with_capacity(total));
        let (mut paths, mut rows) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut directions = Directions::new(scale.width());
        for tree in grown {
            let (start, first) = (nodes.len(), directions.len());
            let mut fewest = usize::MAX;
            for (at, (node, &(begin, len))) in tree.nodes.iter().zip(&tree.spans).enumerate() {
                rows.push(node.rows);
                paths.push(node.path);
                if node.left == 0 {
                    let left = (at as u16).wrapping_sub(1);
                    nodes.push(Node { threshold: f32::NEG_INFINITY, left, direction: 0 });
                    continue;
                }
                let direction = (directions.len() - first) as u16;
                nodes.push(Node { threshold: node.split as f32, left: node.left, direction });
                directions.push(&tree.terms[begin as usize..(begin + len) as usize]);
                fewest = fewest.min(len as usize);
            }
            let (end, last, depth) = (nodes.len(), directions.len(), depth_of(&tree.nodes));
            trees.push(Tree { start, end, first, last, depth, fewest });
        }
        Self { scale, terms_per_split, trees, nodes, directions, paths, rows }
    }

    /// The trees as they were grown.
    pub(crate) fn unpack(&self) -> Vec<GrownTree> {
        let unpack = |tree: &Tree| {
            let mut grown = GrownTree::default();
            for at in tree.start..tree.end {
                let node = self.nodes[at];
                let path = if node.is_leaf() { self.paths[at] } else { 0 };
                grown.push(GrownNode { rows: self.rows[at], path, ..GrownNode::default() });
                if !node.is_leaf() {
                    let terms = self.directions.terms(tree.first + node.direction as usize);
                    grown.split(at - tree.start, node.threshold, &terms);
                    grown.nodes[at - tree.start].left = node.left;
                }
            }
            grown
        };
        self.trees.iter().map(unpack).collect()
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Columns of a direction.
    pub(crate) fn terms_per_split(&self) -> usize {
        self.terms_per_split
    }

    /// Most training rows of a tree.
    pub(crate) fn max_rows(&self) -> usize {
        self.trees.iter().map(|tree| self.rows[tree.start] as usize).max().unwrap_or(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.trees.len()
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Adds the path lengths of rows (scaled, one after the other) over all trees. They may miss values,
    /// but not all of them.
    pub(crate) fn add_paths(&self, rows: &[f32], sums: &mut [u32]) {
        self.add_some(&self.trees, rows, sums);
    }

    /// The same of one tree.
    pub(crate) fn add_tree(&self, tree: usize, rows: &[f32], sums: &mut [u32]) {
        self.add_some(&self.trees[tree..=tree], rows, sums);
    }

    fn add_some(&self, trees: &[Tree], rows: &[f32], sums: &mut [u32]) {
        let width = self.scale.width();
        let gaps = |row: &[f32]| row.iter().filter(|value| value.is_nan()).count();
        let most_gaps = rows.chunks_exact(width).map(gaps).max().unwrap_or(0);
        let (mut padded, mut known) = (Vec::new(), Vec::new());
        match &self.directions {
            Directions::Dense { vectors, .. } => padded = kernel::pad(rows, width, *vectors),
            Directions::Sparse { .. } => known.extend(rows.iter().map(|v| if v.is_nan() { 0.0 } else { *v })),
        }
        for tree in trees {
            if most_gaps >= tree.fewest {
                self.add_walks(std::slice::from_ref(tree), rows, sums);
                continue;
            }
            let (nodes, paths) = (&self.nodes[tree.start..tree.end], &self.paths[tree.start..tree.end]);
            let own = kernel::Tree { depth: tree.depth, nodes, paths };
            match &self.directions {
                Directions::Dense { vectors, coefficients } => {
                    let directions = &coefficients[tree.first * vectors..tree.last * vectors];
                    kernel::add_dense(*vectors, own, directions, &padded, sums);
                }
                Directions::Sparse { terms, starts } => {
                    let directions = kernel::Sparse { terms, starts: &starts[tree.first..=tree.last] };
                    kernel::add_sparse(own, directions, &known, width, sums);
                }
            }
        }
    }

    fn add_walks(&self, trees: &[Tree], rows: &[f32], sums: &mut [u32]) {
        for tree in trees {
            for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(self.scale.width())) {
                *sum += u32::from(ObliqueWalk { trees: self, tree, row }.path());
            }
        }
    }

    /// Training rows that came to a node of a tree.
    pub(crate) fn rows(&self, tree: usize, node: u16) -> usize {
        self.rows[self.trees[tree].start + node as usize].into()
    }

    /// One tree as one row sees it.
    pub(crate) fn walk<'a>(&'a self, tree: usize, rows: &'a [f32], row: usize) -> ObliqueWalk<'a> {
        let width = self.scale.width();
        ObliqueWalk { trees: self, tree: &self.trees[tree], row: &rows[row * width..][..width] }
    }
}

/// One tree, one row.
#[derive(Debug)]
pub(crate) struct ObliqueWalk<'a> {
    trees: &'a ObliqueTrees,
    tree: &'a Tree,
    row: &'a [f32],
}

impl ObliqueWalk<'_> {
    fn node(&self, at: usize) -> Node {
        self.trees.nodes[self.tree.start + at]
    }

    /// The number of a split's direction among those of all trees.
    fn direction(&self, node: Node) -> usize {
        self.tree.first + node.direction as usize
    }
}

impl Walk for ObliqueWalk<'_> {
    fn step(&self, at: usize) -> Step {
        let node = self.node(at);
        if node.is_leaf() {
            return Step::Leaf(self.trees.paths[self.tree.start + at]);
        }
        let left = node.left as usize;
        let projection = self.trees.directions.project(self.direction(node), self.row);
        if projection.is_nan() { Step::Both(left) } else { Step::One(left + usize::from(projection >= node.threshold)) }
    }

    fn rows(&self, at: usize) -> u16 {
        self.trees.rows[self.tree.start + at]
    }

    /// Shares the amount by what each column added to the projection.
    fn credit(&self, at: usize, amount: f64, credits: &mut [f64]) {
        let part = |term: &Term| {
            let part = f64::from((term.coefficient * self.row[term.column as usize]).abs());
            if part.is_nan() { 0.0 } else { part }
        };
        let terms = self.trees.directions.terms(self.direction(self.node(at)));
        let total: f64 = terms.iter().map(part).sum();
        for term in &terms {
            let share = if total > 0.0 { part(term) / total } else { 1.0 / terms.len() as f64 };
            credits[term.column as usize] += amount * share;
        }
    }
}

/// A node as it is saved; a split is followed by its left and then its right subtree.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum SavedNode {
    Leaf { rows: u16, path: u16 },
    Split { threshold: f32, terms: Vec<(u16, f32)> },
}

/// [`ObliqueTrees`] in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedOblique {
    scale: Scale,
    terms_per_split: u16,
    trees: Vec<Vec<SavedNode>>,
}

impl From<ObliqueTrees> for SavedOblique {
    fn from(trees: ObliqueTrees) -> Self {
        let save = |tree: &Tree| {
            let mut saved = Vec::with_capacity(tree.end - tree.start);
            let mut pending = vec![0usize];
            while let Some(at) = pending.pop() {
                let node = trees.nodes[tree.start + at];
                saved.push(if node.is_leaf() {
                    SavedNode::Leaf { rows: trees.rows[tree.start + at], path: trees.paths[tree.start + at] }
                } else {
                    pending.extend([node.left as usize + 1, node.left as usize]);
                    let terms = trees.directions.terms(tree.first + node.direction as usize);
                    let terms = terms.iter().map(|t| (t.column as u16, t.coefficient)).collect();
                    SavedNode::Split { threshold: node.threshold, terms }
                });
            }
            saved
        };
        let saved = trees.trees.iter().map(save).collect();
        Self { scale: trees.scale.clone(), terms_per_split: trees.terms_per_split as u16, trees: saved }
    }
}

impl TryFrom<SavedOblique> for ObliqueTrees {
    type Error = &'static str;

    fn try_from(saved: SavedOblique) -> Result<Self, Self::Error> {
        let (width, m) = (saved.scale.width(), saved.terms_per_split as usize);
        if !(1..=width).contains(&m) {
            return Err("a direction has as many terms as columns at most");
        }
        let valid = |threshold: f32, terms: &[(u16, f32)]| {
            let in_range = |x: f32| x.is_finite() && x.abs() <= super::scale::LIMIT;
            threshold.is_finite()
                && (1..=m).contains(&terms.len())
                && terms.iter().all(|&(column, c)| (column as usize) < width && in_range(c))
        };
        let mut grown = Vec::with_capacity(saved.trees.len());
        for tree in &saved.trees {
            let nodes = unfold(tree.len(), |i| match &tree[i] {
                SavedNode::Leaf { rows, path } => Some(Unfolded::Leaf { rows: *rows, path: *path }),
                SavedNode::Split { threshold, terms } => {
                    valid(*threshold, terms).then(|| Unfolded::Split { column: 0, split: f64::from(*threshold) })
                }
            })?;
            let mut rebuilt = GrownTree::default();
            for (node, saved) in nodes {
                let at = rebuilt.nodes.len();
                rebuilt.push(node);
                if let SavedNode::Split { threshold, terms } = &tree[saved] {
                    let term = |&(column, coefficient): &(u16, f32)| Term { column: u32::from(column), coefficient };
                    rebuilt.split(at, *threshold, &terms.iter().map(term).collect::<Vec<_>>());
                    rebuilt.nodes[at].left = node.left;
                }
            }
            grown.push(rebuilt);
        }
        Ok(Self::pack(saved.scale, m, &grown))
    }
}
