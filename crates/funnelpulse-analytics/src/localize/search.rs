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

/// The evidence that one factor hit all leaves.
pub(super) fn everywhere(evidence: &Evidence, leaves: usize) -> Option<Best> {
    let mut best = None;
    judge(&Node::root(leaves), evidence, 0.0, &mut best);
    best.filter(|b| b.evidence > 0.0)
}

impl Node {
    fn root(leaves: usize) -> Self {
        Self { attributes: Vec::new(), leaves: (0..leaves as u32).collect(), groups: vec![0; leaves], count: 1 }
    }
}

/// The combination of one to `max_attributes` attributes with the most evidence, the one with fewer
/// attributes among equals. Combinations with less evidence than `least` may be missed; `None` when
/// no attribute distinguishes leaves.
///
/// Its cost is that of naming one attribute after another, and of each one value out of all.
///
/// A combination can have no more evidence than the leaves of any combination that holds it have
/// where only those in favour count. So leaves go as soon as that sum is no better than the best
/// so far, and with them all that is below.
pub(super) fn best(coded: &Coded, evidence: &Evidence, max_attributes: usize, least: f64) -> Option<Best> {
    let n = coded.observed.len();
    let useful: Vec<usize> = (0..coded.codes.len()).filter(|a| coded.cardinality[*a] > 1).collect();
    let price: Vec<f64> = coded.cardinality.iter().map(|c| ((useful.len() * c) as f64).ln()).collect();
    let mut best: Option<Best> = None;
    // Per attribute: leaves whose value of it alone can still hold the best.
    let mut hopeful = vec![vec![true; n]; coded.codes.len()];
    let root = Node::root(n);
    let mut layer: Vec<Node> = useful.iter().filter_map(|a| child(&root, &[true], *a, coded, &hopeful[*a])).collect();
    for depth in 1..=max_attributes {
        let mut bounds = Vec::with_capacity(layer.len());
        for node in &layer {
            let cost: f64 = node.attributes.iter().map(|a| price[*a]).sum();
            let hopes = judge(node, evidence, cost, &mut best);
            // What is below costs at least as much.
            bounds.push(hopes.into_iter().map(|hope| hope - cost).collect::<Vec<f64>>());
        }
        let floor = best.as_ref().map_or(least, |b| b.evidence.max(least));
        let mut next = Vec::new();
        for (node, bound) in layer.iter().zip(bounds) {
            let alive: Vec<bool> = bound.iter().map(|b| *b >= floor).collect();
            if let [attribute] = node.attributes[..] {
                for (leaf, group) in node.leaves.iter().zip(&node.groups) {
                    hopeful[attribute][*leaf as usize] = alive[*group as usize];
                }
            }
            let last = node.attributes.last().copied();
            next.extend(useful.iter().filter(|a| Some(**a) > last).map(|a| (node, alive.clone(), *a)));
        }
        if depth == max_attributes {
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
