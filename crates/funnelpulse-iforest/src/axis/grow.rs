//! Grows one axis-parallel tree: Liu, Ting & Zhou 2008, algorithm 2.

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::{
    grown::{GrownNode, Limits, Pending},
    mixed::{Category, LEFT, MixedTree, RIGHT, Sides, draw_sides},
    sample::choose_columns,
};

/// Scratch memory for growing trees, reused from tree to tree.
#[derive(Debug, Default)]
pub(crate) struct Grower {
    /// The rows of the sample, divided up among the nodes.
    order: Vec<u32>,
    right: Vec<u32>,
    /// One column of the rows of the node in work, in their order.
    values: Vec<f64>,
    /// Columns that may vary, one list after the other down the path to the node in work.
    columns: Vec<u16>,
    pending: Vec<Pending>,
    /// The categories of the node in work, and the side that each goes to.
    present: Vec<f64>,
    sides: Vec<Category>,
}

impl Grower {
    /// Grows a tree on the given `rows` of `table`, `width` values per row; `gaps`: some of them miss values.
    pub(crate) fn grow(
        &mut self,
        table: &[f64],
        width: usize,
        (rows, gaps): (&[u32], bool),
        limits: &Limits,
        rng: &mut Pcg64,
    ) -> Vec<GrownNode> {
        self.grow_mixed(table, (width, &[]), (rows, gaps), limits, rng).nodes
    }

    /// The same where some columns are categorical: a flag for each of the `width` columns, or none at all.
    pub(crate) fn grow_mixed(
        &mut self,
        table: &[f64],
        (width, categorical): (usize, &[bool]),
        (rows, gaps): (&[u32], bool),
        limits: &Limits,
        rng: &mut Pcg64,
    ) -> MixedTree {
        let n = rows.len();
        self.order.clear();
        self.order.extend_from_slice(rows);
        self.right.resize(n, 0);
        choose_columns(width, limits.features, rng, &mut self.columns);
        let mut tree = MixedTree::default();
        tree.nodes.reserve(n);
        let mut columns = self.columns.len();
        self.pending.clear();
        let root = Pending::root(n, columns);
        tree.nodes.push(limits.leaf(&root));
        self.pending.push(root);
        while let Some(node) = self.pending.pop() {
            if node.depth >= limits.depth || node.rows() < 2 {
                continue;
            }
            // The order of the stack is depth first, so columns that a sibling's subtree swapped
            // to the back of its own prefix are still a permutation of this node's prefix.
            columns = node.columns;
            let Some((column, low, high)) = self.pick_column((table, width), &node, &mut columns, rng) else {
                continue;
            };
            let is_categorical = categorical.get(column as usize).is_some_and(|flag| *flag);
            let (split, share) = if is_categorical {
                let share = self.divide(rng);
                tree.divide(node.at, &self.sides);
                (RIGHT, share)
            } else {
                let split = draw_split(low, high, rng);
                (split, (split - low) / (high - low))
            };
            let kept = self.partition(&node, split, gaps.then_some(&mut *rng));
            let left = tree.nodes.len();
            tree.nodes[node.at] = GrownNode { split, column, left: left as u16, ..tree.nodes[node.at] };
            for child in node.children(left, kept, share, columns) {
                tree.nodes.push(limits.leaf(&child));
                self.pending.push(child);
            }
        }
        tree
    }

    /// Divides the categories that the node's rows have in the column in work, and puts the side of each row in the
    /// place of its category: it can be split like a number. Returns the share of the categories that go left.
    fn divide(&mut self, rng: &mut Pcg64) -> f64 {
        self.present.clear();
        self.present.extend_from_slice(&self.values);
        draw_sides(&mut self.present, rng, &mut self.sides);
        let sides = Sides(&self.sides);
        for value in &mut self.values {
            let side = sides.goes_right(*value);
            *value = side.map_or(f64::NAN, |right| if right { RIGHT } else { LEFT });
        }
        sides.left_share()
    }

    /// Draws a column that varies in the node, with its range; moves those that don't behind the
    /// first `columns`. What is constant here is constant below.
    fn pick_column(
        &mut self,
        (table, width): (&[f64], usize),
        node: &Pending,
        columns: &mut usize,
        rng: &mut Pcg64,
    ) -> Option<(u16, f64, f64)> {
        while *columns > 0 {
            let drawn = rng.random_range(0..*columns as u32) as usize;
            let column = self.columns[drawn];
            let members = &self.order[node.start..node.end];
            self.values.clear();
            self.values.extend(members.iter().map(|&row| table[row as usize * width + column as usize]));
            let (low, high) = range(&self.values);
            if low < high {
                return Some((column, low, high));
            }
            *columns -= 1;
            self.columns.swap(drawn, *columns);
        }
        None
    }

    /// Moves the rows that go left, by the column in work, to the front and returns their number. Rows without a value
    /// follow a coin (`rng`, given where values may be missing) weighted by the others.
    fn partition(&mut self, node: &Pending, split: f64, rng: Option<&mut Pcg64>) -> usize {
        let order = &mut self.order[node.start..node.end];
        let values = &self.values[..order.len()];
        let right = &mut self.right[..order.len()];
        let (mut kept, mut moved) = (0, 0);
        if let Some(rng) = rng {
            let below = values.iter().filter(|value| **value < split).count();
            let known = values.iter().filter(|value| !value.is_nan()).count();
            let share = below as f64 / known as f64;
            for (i, &value) in values.iter().enumerate() {
                let member = order[i];
                let goes_right = value >= split || value.is_nan() && rng.random::<f64>() >= share;
                order[kept] = member;
                right[moved] = member;
                kept += usize::from(!goes_right);
                moved += usize::from(goes_right);
            }
        } else {
            for (i, &value) in values.iter().enumerate() {
                let member = order[i];
                let goes_right = value >= split;
                order[kept] = member;
                right[moved] = member;
                kept += usize::from(!goes_right);
                moved += usize::from(goes_right);
            }
        }
        order[kept..].copy_from_slice(&right[..moved]);
        kept
    }
}

/// Smallest and largest of the values. NaN is neither.
fn range(values: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = ([f64::INFINITY; 8], [f64::NEG_INFINITY; 8]);
    let mut narrow = |lane: usize, value: f64| {
        low[lane] = if value < low[lane] { value } else { low[lane] };
        high[lane] = if value > high[lane] { value } else { high[lane] };
    };
    let (parts, rest) = values.as_chunks::<8>();
    for part in parts {
        for (lane, &value) in part.iter().enumerate() {
            narrow(lane, value);
        }
    }
    for &value in rest {
        narrow(0, value);
    }
    (low.into_iter().fold(f64::INFINITY, f64::min), high.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// A threshold in `(low, high]`, so that both sides get a row.
fn draw_split(low: f64, high: f64, rng: &mut Pcg64) -> f64 {
    let u: f64 = rng.random();
    // Not `low + u * (high - low)`: the difference may overflow.
    let split = low * (1.0 - u) + high * u;
    if split > low && split <= high { split } else { high }
}
