//! Grows one axis-parallel tree: Liu, Ting & Zhou 2008, algorithm 2.

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::{
    grown::{GrownNode, Limits, Pending},
    mixed::{Category, LEFT, MixedTree, RIGHT, Sides, draw_sides},
    sample::{all_finite, choose_columns},
};

/// Keeps columns of 256 rows from sharing the same lines of cache.
const PADDING: usize = 8;

/// Scratch memory for growing trees, reused from tree to tree: `samples * (columns + 2)` values.
#[derive(Debug, Default)]
pub(crate) struct Grower {
    /// The sample, column by column, and from one column to the next.
    values: Vec<f64>,
    stride: usize,
    /// Positions in the sample, divided up among the nodes.
    order: Vec<u16>,
    right: Vec<u16>,
    /// Columns that may vary, one list after the other down the path to the node in work.
    columns: Vec<u16>,
    pending: Vec<Pending>,
    /// The categories of the node in work, and the side that each goes to.
    present: Vec<f64>,
    sides: Vec<Category>,
}

impl Grower {
    /// Grows a tree on the given `rows` of `table`, `width` values per row.
    pub(crate) fn grow(
        &mut self,
        table: &[f64],
        width: usize,
        rows: &[u32],
        limits: &Limits,
        rng: &mut Pcg64,
    ) -> Vec<GrownNode> {
        self.grow_mixed(table, (width, &[]), rows, limits, rng).nodes
    }

    /// The same where some columns are categorical: a flag for each of the `width` columns, or none at all.
    pub(crate) fn grow_mixed(
        &mut self,
        table: &[f64],
        (width, categorical): (usize, &[bool]),
        rows: &[u32],
        limits: &Limits,
        rng: &mut Pcg64,
    ) -> MixedTree {
        let n = rows.len();
        let missing = self.gather(table, width, rows);
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
            let Some((column, low, high)) = self.pick_column(&node, &mut columns, rng) else { continue };
            let is_categorical = categorical.get(column as usize).is_some_and(|flag| *flag);
            let (split, share, tested) = if is_categorical {
                let share = self.divide(column, width, &node, rng);
                tree.divide(node.at, &self.sides);
                (RIGHT, share, width as u16)
            } else {
                let split = draw_split(low, high, rng);
                (split, (split - low) / (high - low), column)
            };
            let kept = self.partition(tested, &node, split, missing.then_some(&mut *rng));
            let left = tree.nodes.len();
            tree.nodes[node.at] = GrownNode { split, column, left: left as u16, ..tree.nodes[node.at] };
            for child in node.children(left, kept, share, columns) {
                tree.nodes.push(limits.leaf(&child));
                self.pending.push(child);
            }
        }
        tree
    }

    /// Divides the categories that the node's rows have in a column, and writes the side of each row behind the last
    /// column, where it can be split like a number. Returns the share of the categories that go left.
    fn divide(&mut self, column: u16, width: usize, node: &Pending, rng: &mut Pcg64) -> f64 {
        let members = &self.order[node.start..node.end];
        self.values.resize(self.stride * (width + 1), 0.0);
        let (columns, side_of) = self.values.split_at_mut(self.stride * width);
        let values = &columns[column as usize * self.stride..][..self.stride];
        self.present.clear();
        self.present.extend(members.iter().map(|&i| values[i as usize]));
        draw_sides(&mut self.present, rng, &mut self.sides);
        let sides = Sides(&self.sides);
        for &i in members {
            let side = sides.goes_right(values[i as usize]);
            side_of[i as usize] = side.map_or(f64::NAN, |right| if right { RIGHT } else { LEFT });
        }
        sides.left_share()
    }

    /// Copies the sample, and says whether a value is missing.
    fn gather(&mut self, table: &[f64], width: usize, rows: &[u32]) -> bool {
        self.stride = rows.len() + PADDING;
        self.values.resize(self.stride * width, 0.0);
        let row = |row: u32| &table[row as usize * width..][..width];
        let mut whole = true;
        // Eight rows at a time, so that a line of cache is written at once.
        let (blocks, rest) = rows.as_chunks::<8>();
        for (block, rows) in blocks.iter().enumerate() {
            let rows = rows.map(row);
            whole &= rows.iter().all(|row| all_finite(row));
            for (column, values) in self.values.chunks_exact_mut(self.stride).enumerate().take(width) {
                for (value, row) in values[8 * block..][..8].iter_mut().zip(rows) {
                    *value = row[column];
                }
            }
        }
        let done = rows.len() - rest.len();
        for (i, &number) in rest.iter().enumerate() {
            whole &= all_finite(row(number));
            for (column, &value) in row(number).iter().enumerate() {
                self.values[column * self.stride + done + i] = value;
            }
        }
        self.order.clear();
        self.order.extend(0..rows.len() as u16);
        self.right.resize(rows.len(), 0);
        !whole
    }

    /// Draws a column that varies in the node, with its range; moves those that don't behind the
    /// first `columns`. What is constant here is constant below.
    fn pick_column(&mut self, node: &Pending, columns: &mut usize, rng: &mut Pcg64) -> Option<(u16, f64, f64)> {
        while *columns > 0 {
            let drawn = rng.random_range(0..*columns as u32) as usize;
            let column = self.columns[drawn];
            let values = &self.values[column as usize * self.stride..][..self.stride];
            let (low, high) = range(values, &self.order[node.start..node.end]);
            if low < high {
                return Some((column, low, high));
            }
            *columns -= 1;
            self.columns.swap(drawn, *columns);
        }
        None
    }

    /// Moves the rows that go left to the front and returns their number. Rows without a value
    /// follow a coin (`rng`, given where values may be missing) weighted by the others.
    fn partition(&mut self, column: u16, node: &Pending, split: f64, rng: Option<&mut Pcg64>) -> usize {
        let values = &self.values[column as usize * self.stride..][..self.stride];
        let order = &mut self.order[node.start..node.end];
        let right = &mut self.right[..order.len()];
        let (mut kept, mut moved) = (0, 0);
        if let Some(rng) = rng {
            let below = order.iter().filter(|&&i| values[i as usize] < split).count();
            let known = order.iter().filter(|&&i| !values[i as usize].is_nan()).count();
            let share = below as f64 / known as f64;
            for i in 0..order.len() {
                let (member, value) = (order[i], values[order[i] as usize]);
                let goes_right = value >= split || value.is_nan() && rng.random::<f64>() >= share;
                order[kept] = member;
                right[moved] = member;
                kept += usize::from(!goes_right);
                moved += usize::from(goes_right);
            }
        } else {
            for i in 0..order.len() {
                let member = order[i];
                let goes_right = values[member as usize] >= split;
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

/// Smallest and largest of the members' values. NaN is neither.
fn range(values: &[f64], members: &[u16]) -> (f64, f64) {
    let (mut low, mut high) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
    let mut narrow = |lane: usize, value: f64| {
        low[lane] = if value < low[lane] { value } else { low[lane] };
        high[lane] = if value > high[lane] { value } else { high[lane] };
    };
    let (quads, rest) = members.as_chunks::<4>();
    for quad in quads {
        for lane in 0..4 {
            narrow(lane, values[quad[lane] as usize]);
        }
    }
    for &member in rest {
        narrow(0, values[member as usize]);
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
