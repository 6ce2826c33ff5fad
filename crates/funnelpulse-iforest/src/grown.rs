//! Trees between growing and scoring: what both kinds of tree have in common.

use crate::{
    config::Scoring,
    path::{average_path_length, fixed, fixed_depth},
};

/// Deepest a tree may be.
pub(crate) const MAX_DEPTH: usize = 64;

/// A node of a tree that was just grown; children come after their parents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GrownNode {
    /// A row goes right when its value (or projection) is `split` or more.
    pub(crate) split: f64,
    /// The column of an axis-parallel split.
    pub(crate) column: u16,
    /// The left child; the right one is next to it. 0 in a leaf.
    pub(crate) left: u16,
    /// Training rows that came here.
    pub(crate) rows: u16,
    /// Path length that ends here, in fixed point.
    pub(crate) path: u16,
}

/// Limits of the growth of trees, and the measure of their leaves.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) depth: usize,
    /// Columns that a tree chooses from.
    pub(crate) features: usize,
    /// The path that a leaf adds to its depth, by the number of its rows; `None` for scoring by
    /// density.
    leaf_paths: Option<Vec<u16>>,
}

impl Limits {
    pub(crate) fn new(depth: usize, features: usize, scoring: Scoring, samples: usize) -> Self {
        let by_depth = scoring == Scoring::Depth;
        let leaf_paths = by_depth.then(|| (0..=samples).map(|rows| fixed(average_path_length(rows))).collect());
        Self { depth, features, leaf_paths }
    }

    pub(crate) fn leaf(&self, node: &Pending) -> GrownNode {
        let rows = node.rows();
        let path = match &self.leaf_paths {
            // A whole number of steps more: rounding the sum would give the same.
            Some(paths) => fixed_depth(node.depth).saturating_add(paths[rows]),
            None => fixed((rows.max(1) as f64).log2() - node.volume.log2()),
        };
        GrownNode { rows: rows as u16, path, ..GrownNode::default() }
    }
}

/// The part of a growing tree that is still to be split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) at: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) depth: usize,
    /// Share of the tree's volume.
    pub(crate) volume: f64,
    /// Number of the tree's columns, from the front, that may still vary here.
    pub(crate) columns: usize,
}

impl Pending {
    pub(crate) fn root(rows: usize, columns: usize) -> Self {
        Self { at: 0, start: 0, end: rows, depth: 0, volume: 1.0, columns }
    }

    pub(crate) fn rows(&self) -> usize {
        self.end - self.start
    }

    /// The two children when `kept` rows go left, into `share` of the volume.
    pub(crate) fn children(&self, left: usize, kept: usize, share: f64, columns: usize) -> [Self; 2] {
        let share = if share.is_finite() { share.clamp(1e-9, 1.0 - 1e-9) } else { 0.5 };
        let middle = self.start + kept;
        let child = |at, start, end, share: f64| Self {
            at,
            start,
            end,
            depth: self.depth + 1,
            volume: self.volume * share,
            columns,
        };
        [child(left, self.start, middle, share), child(left + 1, middle, self.end, 1.0 - share)]
    }
}

/// Steps from the root to the deepest leaf.
pub(crate) fn depth_of(nodes: &[GrownNode]) -> usize {
    let mut depths = vec![0; nodes.len()];
    for (at, node) in nodes.iter().enumerate().filter(|(_, node)| node.left != 0) {
        depths[node.left as usize] = depths[at] + 1;
        depths[node.left as usize + 1] = depths[at] + 1;
    }
    depths.into_iter().max().unwrap_or(0)
}

/// A saved node: a split is followed by its left and then its right subtree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unfolded {
    Leaf { rows: u16, path: u16 },
    Split { column: u16, split: f64 },
}

/// Rebuilds a tree of `len` saved nodes, each with the index it was saved at. `node` is `None`
/// for a node that can't be.
pub(crate) fn unfold(
    len: usize,
    node: impl Fn(usize) -> Option<Unfolded>,
) -> Result<Vec<(GrownNode, usize)>, &'static str> {
    if len == 0 || len > 65_535 {
        return Err("a tree has 1 to 65535 nodes");
    }
    let mut nodes = vec![(GrownNode::default(), 0)];
    let mut pending = vec![(0, 0)];
    for saved in 0..len {
        let (at, depth) = pending.pop().ok_or("a tree goes on after its last leaf")?;
        let mut grown = GrownNode::default();
        match node(saved).ok_or("a split on a column or threshold that is not there")? {
            Unfolded::Leaf { rows, path } => (grown.rows, grown.path) = (rows, path),
            Unfolded::Split { column, split } => {
                if depth == MAX_DEPTH || nodes.len() + 2 > len {
                    return Err("a tree is deeper or larger than it can be");
                }
                (grown.column, grown.split, grown.left) = (column, split, nodes.len() as u16);
                pending.extend([(nodes.len() + 1, depth + 1), (nodes.len(), depth + 1)]);
                nodes.extend([(GrownNode::default(), 0); 2]);
            }
        }
        nodes[at] = (grown, saved);
    }
    if !pending.is_empty() {
        return Err("a tree ends before its last leaf");
    }
    for at in (0..nodes.len()).rev() {
        let left = nodes[at].0.left as usize;
        if left > 0 {
            let rows = u32::from(nodes[left].0.rows) + u32::from(nodes[left + 1].0.rows);
            nodes[at].0.rows = u16::try_from(rows).map_err(|_| "a tree of more rows than it can be grown on")?;
        }
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_trees_that_cannot_be_are_refused() {
        let leaf = Some(Unfolded::Leaf { rows: 1, path: 0 });
        let split = Some(Unfolded::Split { column: 0, split: 0.0 });
        // A chain: every left child is a leaf, every right child splits again.
        let chain = |splits: usize| unfold(2 * splits + 1, |i| if i % 2 == 0 && i < 2 * splits { split } else { leaf });
        assert_eq!(depth_of(&chain(64).unwrap().into_iter().map(|(node, _)| node).collect::<Vec<_>>()), 64);
        assert!(chain(65).is_err(), "too deep");
        assert!(unfold(2, |_| leaf).is_err(), "goes on after its last leaf");
        assert!(unfold(1, |_| split).is_err(), "ends before its last leaf");
        assert!(unfold(1, |_| None).is_err(), "not a node");
        assert!(unfold(0, |_| leaf).is_err(), "empty");
        let heavy = |_| Some(Unfolded::Leaf { rows: u16::MAX, path: 0 });
        assert!(unfold(3, |i| if i == 0 { split } else { heavy(i) }).is_err(), "more rows than a tree can have");
    }
}
