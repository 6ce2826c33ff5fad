//! Trees with categorical splits as they are scored, saved and explained.

use serde::{Deserialize, Serialize};

use super::{Category, RIGHT, Sides};
use crate::{
    grown::{GrownNode, Unfolded, unfold},
    walk::{Step, Walk},
};

/// The first category of a node, and the number of its categories; none where it splits a number.
type Span = (u32, u32);

/// One tree: the nodes, and the categories of each that splits by them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MixedTree {
    pub(crate) nodes: Vec<GrownNode>,
    /// Of the nodes up to the last one with categories: empty in a tree without.
    spans: Vec<Span>,
    categories: Vec<Category>,
}

impl MixedTree {
    /// Gives a node its categories.
    pub(crate) fn divide(&mut self, at: usize, categories: &[Category]) {
        if self.spans.len() <= at {
            self.spans.resize(at + 1, (0, 0));
        }
        self.spans[at] = (self.categories.len() as u32, categories.len() as u32);
        self.categories.extend_from_slice(categories);
    }

    /// The categories of a node; `None` where it splits a number.
    fn sides(&self, at: usize) -> Option<Sides<'_>> {
        let (start, len) = *self.spans.get(at)?;
        (len > 0).then(|| Sides(&self.categories[start as usize..(start + len) as usize]))
    }

    /// The tree as one row sees it.
    pub(crate) fn walk<'a>(&'a self, row: &'a [f64]) -> MixedWalk<'a> {
        MixedWalk { tree: self, row }
    }
}

/// Trees of which some splits divide categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedMixed", into = "SavedMixed")]
pub(crate) struct MixedTrees {
    width: usize,
    pub(crate) trees: Vec<MixedTree>,
}

impl MixedTrees {
    pub(crate) fn new(width: usize, trees: Vec<MixedTree>) -> Self {
        Self { width, trees }
    }

    /// Columns of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Most training rows of a tree.
    pub(crate) fn max_rows(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes[0].rows as usize).max().unwrap_or(0)
    }

    /// Adds the path lengths of rows that lie one after the other over all trees.
    pub(crate) fn add_paths(&self, rows: &[f64], sums: &mut [u32]) {
        for tree in &self.trees {
            for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(self.width)) {
                *sum += u32::from(tree.walk(row).path());
            }
        }
    }

    /// One tree as one of rows that lie one after the other sees it.
    pub(crate) fn walk<'a>(&'a self, tree: usize, rows: &'a [f64], row: usize) -> MixedWalk<'a> {
        self.trees[tree].walk(&rows[row * self.width..][..self.width])
    }
}

/// One tree, one row.
#[derive(Debug)]
pub(crate) struct MixedWalk<'a> {
    tree: &'a MixedTree,
    row: &'a [f64],
}

impl Walk for MixedWalk<'_> {
    fn step(&self, at: usize) -> Step {
        let node = self.tree.nodes[at];
        let left = node.left as usize;
        if left == 0 {
            return Step::Leaf(node.path);
        }
        let value = self.row[node.column as usize];
        let goes_right = match self.tree.sides(at) {
            Some(sides) => sides.goes_right(value),
            None => (!value.is_nan()).then_some(value >= node.split),
        };
        goes_right.map_or(Step::Both(left), |right| Step::One(left + usize::from(right)))
    }

    fn rows(&self, at: usize) -> u16 {
        self.tree.nodes[at].rows
    }

    fn credit(&self, at: usize, amount: f64, credits: &mut [f64]) {
        credits[self.tree.nodes[at].column as usize] += amount;
    }
}

/// A node as it is saved; a split is followed by its left and then its right subtree.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum SavedNode {
    Leaf { rows: u16, path: u16 },
    Split { column: u16, split: f64 },
    Categories { column: u16, categories: Vec<(f64, bool)> },
}

/// [`MixedTrees`] in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedMixed {
    width: u16,
    trees: Vec<Vec<SavedNode>>,
}

impl From<MixedTrees> for SavedMixed {
    fn from(trees: MixedTrees) -> Self {
        let save = |tree: &MixedTree| {
            let mut saved = Vec::with_capacity(tree.nodes.len());
            let mut pending = vec![0usize];
            while let Some(at) = pending.pop() {
                let GrownNode { split, column, left, rows, path } = tree.nodes[at];
                if left == 0 {
                    saved.push(SavedNode::Leaf { rows, path });
                    continue;
                }
                pending.extend([left as usize + 1, left as usize]);
                saved.push(match tree.sides(at) {
                    Some(Sides(sides)) => {
                        let categories = sides.iter().map(|c| (c.value, c.goes_right)).collect();
                        SavedNode::Categories { column, categories }
                    }
                    None => SavedNode::Split { column, split },
                });
            }
            saved
        };
        Self { width: trees.width as u16, trees: trees.trees.iter().map(save).collect() }
    }
}

impl TryFrom<SavedMixed> for MixedTrees {
    type Error = &'static str;

    fn try_from(saved: SavedMixed) -> Result<Self, Self::Error> {
        if saved.width == 0 {
            return Err("trees without columns");
        }
        let trees = saved.trees.iter().map(|tree| rebuild(saved.width, tree)).collect::<Result<_, _>>()?;
        Ok(Self { width: saved.width.into(), trees })
    }
}

/// A tree from its saved nodes.
fn rebuild(width: u16, saved: &[SavedNode]) -> Result<MixedTree, &'static str> {
    let is_divided = |categories: &[(f64, bool)]| {
        let both = categories.iter().any(|c| c.1) && categories.iter().any(|c| !c.1);
        both && categories.iter().all(|c| c.0.is_finite()) && categories.windows(2).all(|pair| pair[0].0 < pair[1].0)
    };
    let unfolded = unfold(saved.len(), |i| match &saved[i] {
        SavedNode::Leaf { rows, path } => Some(Unfolded::Leaf { rows: *rows, path: *path }),
        SavedNode::Split { column, split } => {
            (*column < width && split.is_finite()).then_some(Unfolded::Split { column: *column, split: *split })
        }
        SavedNode::Categories { column, categories } => {
            (*column < width && is_divided(categories)).then_some(Unfolded::Split { column: *column, split: RIGHT })
        }
    })?;
    let mut tree = MixedTree::default();
    for (at, (node, from)) in unfolded.into_iter().enumerate() {
        tree.nodes.push(node);
        if let SavedNode::Categories { categories, .. } = &saved[from] {
            let category = |&(value, goes_right): &(f64, bool)| Category { value, goes_right };
            tree.divide(at, &categories.iter().map(category).collect::<Vec<_>>());
        }
    }
    Ok(tree)
}
