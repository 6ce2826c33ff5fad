//! The order in which [`sweep`](super::sweep) looks at the splits of trees, and the bytes that it sees rows as.

use super::{
    cuts::Cuts,
    trees::{Node, Tree},
};
use crate::walk::right_share;

/// The byte of a missing value; that of a rank is smaller.
pub(super) const MISSING_BYTE: u8 = u8::MAX;
/// Most thresholds of a column that trees share bytes of.
const MOST_CUTS: usize = MISSING_BYTE as usize - 1;
/// Places of a tree's path lengths; those of its splits come after them.
pub(super) const PATHS: usize = 256;
/// Places of both: a power of two, for which an index needs no check.
pub(super) const PLACES: usize = 2 * PATHS;
/// Different path lengths of most trees: most leaves have one row and a depth of 8 at most.
const USUAL_PATHS: usize = 32;
/// Most nodes of a tree for which looking at every split is quicker than going down.
const MOST_NODES: usize = 1024;

/// A split that finds the results of its two sides in two places and leaves its own in another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) left: u16,
    pub(super) right: u16,
    pub(super) place: u16,
    pub(super) column: u16,
    /// Rows with this byte or a larger one go right.
    pub(super) cut: u8,
    /// The share of its training rows that went right.
    pub(super) right_share: u16,
}

/// One tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Level by level, the deepest first: no split waits for the one just before it.
    pub(super) splits: Vec<Split>,
    /// The place of the root's result.
    pub(super) root: u16,
    /// The different path lengths; each has its own place.
    pub(super) paths: Vec<u16>,
}

/// Trees that see rows as the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// For each column, the byte of each rank.
    pub(super) bytes: Vec<Vec<u8>>,
    pub(super) plans: Vec<Plan>,
    /// For each two plans, and the last where their number is odd, the sums of any two of their path lengths.
    pub(super) sums: Vec<Vec<u32>>,
}

/// As many groups as it takes; `None` where a tree is too large.
pub(super) fn groups(columns: &[Cuts], trees: &[Tree], nodes: &[Node], rows: &[u16]) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    let mut rest = trees;
    let mut planner = Planner::default();
    while !rest.is_empty() {
        let (bytes, taken) = share_bytes(columns, rest, nodes);
        if taken == 0 {
            return None;
        }
        let plan = |tree: &Tree| {
            let own = tree.start..tree.end;
            planner.plan(&nodes[own.clone()], &rows[own], &bytes)
        };
        let plans = rest[..taken].iter().map(plan).collect::<Option<Vec<_>>>()?;
        rest = &rest[taken..];
        let sums = plans.chunks(2).map(pair_sums).collect();
        groups.push(Group { bytes, plans, sums });
    }
    Some(groups)
}

/// The bytes of each column's ranks for as many of the trees as possible, and how many those are: all that have no more
/// than [`MOST_CUTS`] thresholds in a column together.
fn share_bytes(columns: &[Cuts], trees: &[Tree], nodes: &[Node]) -> (Vec<Vec<u8>>, usize) {
    // By the rank that a threshold itself has, which is 1 or more.
    let mut is_cut: Vec<Vec<bool>> = columns.iter().map(|cuts| vec![false; cuts.as_slice().len() + 1]).collect();
    let mut counts = vec![0; columns.len()];
    let mut taken = 0;
    let mut added = Vec::new();
    for tree in trees {
        added.clear();
        for node in nodes[tree.start..tree.end].iter().filter(|node| !node.is_leaf()) {
            let column = node.column as usize;
            if !std::mem::replace(&mut is_cut[column][node.cut as usize], true) {
                counts[column] += 1;
                added.push(node);
            }
        }
        if added.iter().any(|node| counts[node.column as usize] > MOST_CUTS) {
            for node in &added {
                is_cut[node.column as usize][node.cut as usize] = false;
            }
            break;
        }
        taken += 1;
    }
    (is_cut.iter().map(|is_cut| count(is_cut)).collect(), taken)
}

/// How many flags are set up to each.
fn count(flags: &[bool]) -> Vec<u8> {
    let mut counts = vec![0; flags.len()];
    let mut set = 0;
    for (count, flag) in counts.iter_mut().zip(flags) {
        set += u8::from(*flag);
        *count = set;
    }
    counts
}

/// Makes plans; memory is reused from tree to tree.
#[derive(Debug, Default)]
struct Planner {
    /// Splits and leaves, from the root down.
    splits: Vec<u16>,
    leaves: Vec<u16>,
    /// The place of each node's result.
    places: Vec<u16>,
    /// Places whose results were read. They are used again, so that all results fit the first-level cache.
    free: Vec<u16>,
}

impl Planner {
    fn plan(&mut self, nodes: &[Node], rows: &[u16], bytes: &[Vec<u8>]) -> Option<Plan> {
        if nodes.len() > MOST_NODES {
            return None;
        }
        self.divide(nodes);
        self.places.resize(MOST_NODES, 0);
        let paths = self.place_leaves(nodes)?;
        self.free.clear();
        let mut end = PATHS as u16;
        let mut splits = Vec::with_capacity(self.splits.len());
        for &at in self.splits.iter().rev() {
            let node = nodes[at as usize];
            let next = node.left as usize;
            let (left, right) = (self.places[next], self.places[next + 1]);
            self.free.extend([left, right].into_iter().filter(|place| *place as usize >= PATHS));
            let place = self.free.pop().unwrap_or(end);
            end += u16::from(place == end);
            self.places[at as usize] = place;
            let cut = bytes[node.column as usize][node.cut as usize];
            let right_share = right_share(rows[next], rows[next + 1]);
            splits.push(Split { left, right, place, column: node.column, cut, right_share });
        }
        (end as usize <= PLACES).then(|| Plan { splits, root: self.places[0], paths })
    }

    /// Finds the splits and leaves, level by level. Nothing predicts which nodes are leaves, so no branch depends on it.
    fn divide(&mut self, nodes: &[Node]) {
        self.splits.resize(nodes.len() + 1, 0);
        self.leaves.resize(nodes.len() + 1, 0);
        let (mut splits, mut leaves, mut next) = (0, 0, 0);
        let mut siblings = 0..1;
        loop {
            for at in siblings {
                (self.splits[splits], self.leaves[leaves]) = (at, at);
                let is_leaf = usize::from(nodes[at as usize].is_leaf());
                splits += 1 - is_leaf;
                leaves += is_leaf;
            }
            if next == splits {
                break;
            }
            let left = nodes[self.splits[next] as usize].left;
            siblings = left..left + 2;
            next += 1;
        }
        self.splits.truncate(splits);
        self.leaves.truncate(leaves);
    }

    /// Gives every leaf the place of its path length, and returns the different ones.
    fn place_leaves(&mut self, nodes: &[Node]) -> Option<Vec<u16>> {
        let mut paths = Vec::with_capacity(USUAL_PATHS);
        for &leaf in &self.leaves {
            let path = nodes[leaf as usize].path;
            let place = paths.iter().position(|other| *other == path).unwrap_or(paths.len());
            if place == paths.len() {
                paths.push(path);
            }
            self.places[leaf as usize] = place as u16;
        }
        (paths.len() <= PATHS).then_some(paths)
    }
}

/// The sum of any path length of the first tree and any of the second, if there is one.
fn pair_sums(plans: &[Plan]) -> Vec<u32> {
    let second = plans.get(1).map_or(&[0][..], |plan| &plan.paths);
    let pairs = plans[0].paths.iter().flat_map(|first| second.iter().map(move |second| (*first, *second)));
    pairs.map(|(first, second)| u32::from(first) + u32::from(second)).collect()
}
