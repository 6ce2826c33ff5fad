//! Trees of random directions as they are scored, saved and explained.

use serde::{Deserialize, Serialize};

use super::scale::Scale;
use crate::{
    grown::{GrownNode, Unfolded, depth_of, unfold},
    walk::{Step, Walk},
};

/// Rows that go down a tree together: enough to hide the latency of one step behind the others.
const LANES: usize = 8;

/// One column of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Term {
    pub(crate) column: u32,
    pub(crate) coefficient: f32,
}

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
struct Node {
    threshold: f32,
    left: u16,
    /// The number of a split's direction among those of its tree; the path length that ends in a
    /// leaf.
    link: u16,
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
}

/// Most terms of a direction that get room in every direction; beyond that directions have as many
/// as they need.
const MAX_PADDED: usize = 8;

/// Trees that share a scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedOblique", into = "SavedOblique")]
pub(crate) struct ObliqueTrees {
    scale: Scale,
    terms_per_split: usize,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    /// The directions of all splits, one after the other.
    terms: Vec<Term>,
    /// The place of each direction; empty if all of them have `terms_per_split` terms.
    spans: Vec<Span>,
    /// Training rows that came to each node.
    rows: Vec<u16>,
}

impl ObliqueTrees {
    pub(crate) fn pack(scale: Scale, terms_per_split: usize, grown: &[GrownTree]) -> Self {
        let total = grown.iter().map(|tree| tree.nodes.len()).sum();
        let (mut trees, mut nodes, mut rows) = (Vec::new(), Vec::with_capacity(total), Vec::with_capacity(total));
        let (mut terms, mut spans) = (Vec::new(), Vec::new());
        let mut directions = 0;
        for tree in grown {
            let (start, first) = (nodes.len(), directions);
            for (at, (node, &(begin, len))) in tree.nodes.iter().zip(&tree.spans).enumerate() {
                rows.push(node.rows);
                if node.left == 0 {
                    let left = (at as u16).wrapping_sub(1);
                    nodes.push(Node { threshold: f32::NEG_INFINITY, left, link: node.path });
                    continue;
                }
                let link = (directions - first) as u16;
                nodes.push(Node { threshold: node.split as f32, left: node.left, link });
                directions += 1;
                if terms_per_split > MAX_PADDED {
                    spans.push((terms.len() as u32, len));
                }
                terms.extend_from_slice(&tree.terms[begin as usize..(begin + len) as usize]);
                if terms_per_split <= MAX_PADDED {
                    debug_assert!((1..=terms_per_split).contains(&(len as usize)));
                    // On a column that the direction has: a value missing elsewhere is none of its business.
                    let column = terms.last().map_or(0, |last| last.column);
                    terms.resize(directions * terms_per_split, Term { column, coefficient: 0.0 });
                }
            }
            trees.push(Tree { start, end: nodes.len(), first, last: directions, depth: depth_of(&tree.nodes) });
        }
        Self { scale, terms_per_split, trees, nodes, terms, spans, rows }
    }

    /// The trees as they were grown.
    pub(crate) fn unpack(&self) -> Vec<GrownTree> {
        let unpack = |tree: &Tree| {
            let mut grown = GrownTree::default();
            for at in tree.start..tree.end {
                let node = self.nodes[at];
                let path = if node.is_leaf() { node.link } else { 0 };
                grown.push(GrownNode { rows: self.rows[at], path, ..GrownNode::default() });
                if !node.is_leaf() {
                    grown.split(at - tree.start, node.threshold, self.direction(tree.first + node.link as usize));
                    grown.nodes[at - tree.start].left = node.left;
                }
            }
            grown
        };
        self.trees.iter().map(unpack).collect()
    }

    /// The terms of a direction among those of all trees.
    fn direction(&self, number: usize) -> &[Term] {
        match self.spans.get(number) {
            Some(&(begin, len)) => &self.terms[begin as usize..(begin + len) as usize],
            None => &self.terms[number * self.terms_per_split..][..self.terms_per_split],
        }
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

    /// Adds the path lengths of whole rows (scaled, one after the other) over all trees.
    pub(crate) fn add_paths(&self, rows: &[f32], sums: &mut [u32]) {
        match self.terms_per_split {
            1 => self.add_paths_of::<1>(rows, sums),
            2 => self.add_paths_of::<2>(rows, sums),
            3 => self.add_paths_of::<3>(rows, sums),
            4 => self.add_paths_of::<4>(rows, sums),
            5 => self.add_paths_of::<5>(rows, sums),
            6 => self.add_paths_of::<6>(rows, sums),
            7 => self.add_paths_of::<7>(rows, sums),
            8 => self.add_paths_of::<8>(rows, sums),
            // 0: a number known at run time only.
            _ => self.add_paths_of::<0>(rows, sums),
        }
    }

    fn add_paths_of<const TERMS: usize>(&self, rows: &[f32], sums: &mut [u32]) {
        let width = self.scale.width();
        for tree in &self.trees {
            let mut blocks = sums.chunks_exact_mut(LANES);
            for (sums, rows) in blocks.by_ref().zip(rows.chunks_exact(LANES * width)) {
                self.descend::<TERMS, LANES>(tree, rows, sums);
            }
            let rest = blocks.into_remainder();
            let rows = &rows[rows.len() - rest.len() * width..];
            for (sum, row) in rest.iter_mut().zip(rows.chunks_exact(width)) {
                self.descend::<TERMS, 1>(tree, row, std::slice::from_mut(sum));
            }
        }
    }

    #[inline]
    fn descend<const TERMS: usize, const N: usize>(&self, tree: &Tree, rows: &[f32], sums: &mut [u32]) {
        let width = rows.len() / N;
        let nodes = &self.nodes[tree.start..tree.end];
        let padded = &self.terms[tree.first * TERMS..tree.last * TERMS];
        // Where a row rests in a leaf any direction will do: all projections pass its threshold.
        let last = (tree.last - tree.first).saturating_sub(1);
        let mut at = [0u16; N];
        for _ in 0..tree.depth {
            for lane in 0..N {
                let node = nodes[at[lane] as usize];
                let row = &rows[lane * width..][..width];
                let direction = (node.link as usize).min(last);
                let terms = if TERMS == 0 {
                    self.direction(tree.first + direction)
                } else {
                    &padded[direction * TERMS..][..TERMS]
                };
                at[lane] = node.left.wrapping_add(u16::from(project(terms, row) >= node.threshold));
            }
        }
        for lane in 0..N {
            sums[lane] += u32::from(nodes[at[lane] as usize].link);
        }
    }

    /// One tree as one row sees it.
    pub(crate) fn walk<'a>(&'a self, tree: usize, rows: &'a [f32], row: usize) -> ObliqueWalk<'a> {
        let width = self.scale.width();
        ObliqueWalk { trees: self, tree: &self.trees[tree], row: &rows[row * width..][..width] }
    }
}

/// The order of additions is that of growing: the same row gets the same bits.
#[inline]
fn project(terms: &[Term], row: &[f32]) -> f32 {
    terms.iter().fold(0.0, |sum, term| sum + term.coefficient * row[term.column as usize])
}

/// The projection of a row that may miss values: those count as the column's median, 0. NaN where
/// all are missing. Of whole rows the same bits as [`project`].
pub(super) fn project_known(terms: &[Term], row: &[f32]) -> f32 {
    let (mut sum, mut known) = (0.0, false);
    for term in terms {
        let value = row[term.column as usize];
        if !value.is_nan() {
            known = true;
            sum += term.coefficient * value;
        }
    }
    if known { sum } else { f32::NAN }
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

    fn terms(&self, node: Node) -> &[Term] {
        self.trees.direction(self.tree.first + node.link as usize)
    }
}

impl Walk for ObliqueWalk<'_> {
    fn step(&self, at: usize) -> Step {
        let node = self.node(at);
        if node.is_leaf() {
            return Step::Leaf(node.link);
        }
        let left = node.left as usize;
        let projection = project_known(self.terms(node), self.row);
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
        let terms = self.terms(self.node(at));
        let total: f64 = terms.iter().map(part).sum();
        for term in terms {
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
                    SavedNode::Leaf { rows: trees.rows[tree.start + at], path: node.link }
                } else {
                    pending.extend([node.left as usize + 1, node.left as usize]);
                    let terms = trees.direction(tree.first + node.link as usize).iter();
                    let terms = terms.filter(|t| t.coefficient != 0.0).map(|t| (t.column as u16, t.coefficient));
                    SavedNode::Split { threshold: node.threshold, terms: terms.collect() }
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
