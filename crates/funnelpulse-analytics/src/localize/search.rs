//! The combination with the most evidence, by branch and bound.

use std::collections::HashMap;

use super::{
    likelihood::{Evidence, FACTORS},
    table::Coded,
};

/// Cells of a table of group numbers below which it is an array.
const DENSE: usize = 1 << 20;

/// The best combination.
#[derive(Clone, Debug)]
pub(super) struct Best {
    /// The attributes it names; their values are those of its first member.
    pub(super) attributes: Vec<usize>,
    /// Its leaves, ascending.
    pub(super) members: Vec<u32>,
    /// Log likelihood ratio less the cost of naming it.
    pub(super) evidence: f64,
    /// The factor.
    pub(super) grid_index: usize,
}

/// One set of attributes: which leaves are still worth looking at, and their groups.
struct Node {
    attributes: Vec<usize>,
    leaves: Vec<u32>,
    groups: Vec<u32>,
    count: usize,
}

/// The combination of at most `max_attributes` attributes with the most evidence, the one with
/// fewer attributes among equals; `None` when there is no leaf.
///
/// A combination can have no more evidence than the leaves of any combination that holds it have
/// where only those in favour count. So leaves go as soon as that sum is no better than the best
/// so far, and with them all that is below.
pub(super) fn best(coded: &Coded, evidence: &Evidence, max_attributes: usize) -> Option<Best> {
    let n = coded.observed.len();
    if n == 0 {
        return None;
    }
    let width = coded.codes.len();
    let mut best: Option<Best> = None;
    let root = Node { attributes: Vec::new(), leaves: (0..n as u32).collect(), groups: vec![0; n], count: 1 };
    let mut layer = vec![root];
    // Per attribute: leaves whose value of it alone can still hold the best.
    let mut hopeful = vec![vec![true; n]; width];
    let mut log_choices = 0.0;
    for depth in 0..=max_attributes.min(width) {
        if depth > 0 {
            log_choices += ((width - depth + 1) as f64 / depth as f64).ln();
        }
        let mut bounds = Vec::with_capacity(layer.len());
        for node in &layer {
            // Groups that were pruned would have had to be named too: the size of the whole
            // lattice at these attributes, not what is left of it, is the cost.
            let cells: f64 = node.attributes.iter().map(|a| coded.cardinality[*a] as f64).product();
            let cost = log_choices + cells.min(n as f64).ln();
            bounds.push(judge(node, evidence, cost, &mut best));
        }
        let floor = best.as_ref().map_or(0.0, |b| b.evidence);
        let mut next = Vec::new();
        for (node, bound) in layer.iter().zip(bounds) {
            let alive: Vec<bool> = bound.iter().map(|b| *b > floor).collect();
            if let [attribute] = node.attributes[..] {
                for (leaf, group) in node.leaves.iter().zip(&node.groups) {
                    hopeful[attribute][*leaf as usize] = alive[*group as usize];
                }
            }
            let first = node.attributes.last().map_or(0, |a| a + 1);
            next.extend((first..width).map(|attribute| (node, alive.clone(), attribute)));
        }
        if depth == max_attributes.min(width) {
            break;
        }
        layer = next.into_iter().filter_map(|(node, alive, a)| child(node, &alive, a, coded, &hopeful[a])).collect();
    }
    best
}

/// Looks for a new best among the groups of a node and returns what each could still hold.
fn judge(node: &Node, evidence: &Evidence, cost: f64, best: &mut Option<Best>) -> Vec<f64> {
    let mut sums = vec![[0.0; FACTORS]; node.count];
    let mut hopes = vec![[0.0; FACTORS]; node.count];
    for (leaf, group) in node.leaves.iter().zip(&node.groups) {
        let (sum, hope) = (&mut sums[*group as usize], &mut hopes[*group as usize]);
        for ((sum, hope), value) in sum.iter_mut().zip(hope).zip(evidence.leaf(*leaf as usize)) {
            *sum += value;
            *hope += value.max(0.0);
        }
    }
    let mut leader = None;
    for (group, sum) in sums.iter().enumerate() {
        for (grid_index, sum) in sum.iter().enumerate() {
            let value = sum - cost;
            let floor = leader.map_or(best.as_ref().map(|b| b.evidence), |(value, _, _)| Some(value));
            if floor.is_none_or(|floor| value > floor) {
                leader = Some((value, group, grid_index));
            }
        }
    }
    if let Some((evidence, group, grid_index)) = leader {
        let members = node.leaves.iter().zip(&node.groups).filter(|(_, g)| **g as usize == group);
        *best = Some(Best {
            attributes: node.attributes.clone(),
            members: members.map(|(leaf, _)| *leaf).collect(),
            evidence,
            grid_index,
        });
    }
    hopes.iter().map(|hope| hope.iter().copied().fold(0.0, f64::max)).collect()
}

/// The node with one more attribute; `None` when no leaf is left.
fn child(node: &Node, alive: &[bool], attribute: usize, coded: &Coded, hopeful: &[bool]) -> Option<Node> {
    let mut attributes = node.attributes.clone();
    attributes.push(attribute);
    let cardinality = coded.cardinality[attribute];
    let mut numbers = Numbers::new(node.count.saturating_mul(cardinality));
    let mut leaves = Vec::new();
    let mut groups = Vec::new();
    for (leaf, group) in node.leaves.iter().zip(&node.groups) {
        if alive[*group as usize] && hopeful[*leaf as usize] {
            let cell = *group as usize * cardinality + coded.codes[attribute][*leaf as usize] as usize;
            leaves.push(*leaf);
            groups.push(numbers.of(cell));
        }
    }
    let count = numbers.count as usize;
    (count > 0).then_some(Node { attributes, leaves, groups, count })
}

/// Numbers cells in order of appearance.
struct Numbers {
    dense: Vec<u32>,
    sparse: HashMap<usize, u32>,
    count: u32,
}

impl Numbers {
    fn new(cells: usize) -> Self {
        let dense = if cells <= DENSE { vec![u32::MAX; cells] } else { Vec::new() };
        Self { dense, sparse: HashMap::new(), count: 0 }
    }

    fn of(&mut self, cell: usize) -> u32 {
        let next = self.count;
        let number = match self.dense.get_mut(cell) {
            Some(number) => number,
            None => self.sparse.entry(cell).or_insert(u32::MAX),
        };
        if *number == u32::MAX {
            *number = next;
            self.count += 1;
        }
        *number
    }
}
