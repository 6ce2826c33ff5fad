//! Grows one tree of random directions.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::{
    directions::{Directions, Term},
    scale::{LIMIT, Scale},
    split::{Place, place},
    trees::GrownTree,
};
use crate::{
    Split,
    grown::{Limits, Pending},
    sample::choose_columns,
};

/// The division of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) split: Split,
    /// Columns of a direction.
    pub(crate) terms: usize,
    /// Directions to choose the best of.
    pub(crate) candidates: usize,
}

/// Scratch memory for growing trees, reused from tree to tree.
#[derive(Debug, Default)]
pub(crate) struct Grower {
    raw: Vec<f64>,
    /// The sample, row after row.
    rows: Vec<f32>,
    /// Positions in the sample, divided up among the nodes.
    order: Vec<u16>,
    right: Vec<u16>,
    columns: Vec<u16>,
    pending: Vec<Pending>,
    /// The members' projections in their order, and those of them that are known.
    projections: Vec<f32>,
    known: Vec<f32>,
    /// The direction being tried, and the best so far.
    terms: Vec<Term>,
    best: Vec<Term>,
}

impl Grower {
    /// Grows a tree on the given `rows` of `table`, in the units of `scale`.
    pub(crate) fn grow(
        &mut self,
        table: &[f64],
        scale: &Scale,
        rows: &[u32],
        rule: Rule,
        limits: &Limits,
        rng: &mut Pcg64,
    ) -> GrownTree {
        let (n, width) = (rows.len(), scale.width());
        self.raw.clear();
        self.raw.extend(rows.iter().flat_map(|&row| &table[row as usize * width..][..width]));
        scale.apply(&self.raw, &mut self.rows);
        self.order.clear();
        self.order.extend(0..n as u16);
        self.right.resize(n, 0);
        choose_columns(width, limits.features, rng, &mut self.columns);
        let mut tree = GrownTree::default();
        self.pending.clear();
        let root = Pending::root(n, self.columns.len());
        tree.push(limits.leaf(&root));
        self.pending.push(root);
        while let Some(node) = self.pending.pop() {
            if node.depth >= limits.depth || node.rows() < 2 {
                continue;
            }
            let mut columns = node.columns;
            let Some(place) = self.choose_direction(&node, width, rule, &mut columns, rng) else { continue };
            let kept = self.partition(&node, place.threshold, rng);
            let left = tree.split(node.at, place.threshold, &self.best);
            for child in node.children(left, kept, place.share, columns) {
                tree.push(limits.leaf(&child));
                self.pending.push(child);
            }
        }
        tree
    }

    /// Draws directions, keeps the best in `self.best` and the projections on it; `None` where
    /// nothing varies.
    fn choose_direction(
        &mut self,
        node: &Pending,
        width: usize,
        rule: Rule,
        columns: &mut usize,
        rng: &mut Pcg64,
    ) -> Option<Place> {
        let candidates = if rule.split == Split::AveragedGain { rule.candidates } else { 1 };
        let mut found: Option<Place> = None;
        for _ in 0..candidates {
            if !self.draw_direction(node, width, rule.terms, columns, rng) {
                break;
            }
            self.project(node, width);
            if rule.split != Split::Extended {
                self.known.sort_unstable_by(f32::total_cmp);
            }
            if self.known.iter().all(|p| *p == self.known[0]) {
                continue;
            }
            let place = place(rule.split, &self.known, rng);
            // Gains of different directions are compared in units of the node's deviation.
            let gain = if candidates > 1 { place.gain / deviation(&self.known) } else { 0.0 };
            if found.is_none_or(|best| gain > best.gain) {
                found = Some(Place { gain, ..place });
                self.best.clone_from(&self.terms);
            }
        }
        if candidates > 1 && found.is_some() {
            self.terms.clone_from(&self.best);
            self.project(node, width);
        }
        found
    }

    /// A random direction through up to `terms` columns that vary in the node, each in units of
    /// its deviation there. Columns that don't vary move behind the first `columns`.
    fn draw_direction(
        &mut self,
        node: &Pending,
        width: usize,
        terms: usize,
        columns: &mut usize,
        rng: &mut Pcg64,
    ) -> bool {
        self.terms.clear();
        let mut drawn = 0;
        while drawn < *columns && self.terms.len() < terms {
            let pick = rng.random_range(drawn as u32..*columns as u32) as usize;
            let column = self.columns[pick];
            let members = &self.order[node.start..node.end];
            let deviation = spread(members.iter().map(|&i| self.rows[i as usize * width + column as usize]));
            if deviation > 0.0 {
                self.columns.swap(pick, drawn);
                drawn += 1;
                let normal: f64 = StandardNormal.sample(rng);
                let coefficient = ((normal / deviation) as f32).clamp(-LIMIT, LIMIT);
                self.terms.push(Term { column: u32::from(column), coefficient });
            } else {
                *columns -= 1;
                self.columns.swap(pick, *columns);
            }
        }
        !self.terms.is_empty()
    }

    fn project(&mut self, node: &Pending, width: usize) {
        let members = &self.order[node.start..node.end];
        let rows = &self.rows;
        let mut direction = Directions::new(width);
        direction.push(&self.terms);
        self.projections.clear();
        self.projections.extend(members.iter().map(|&i| direction.project(0, &rows[i as usize * width..][..width])));
        self.known.clear();
        self.known.extend(self.projections.iter().filter(|p| !p.is_nan()));
    }

    /// Moves the rows that go left to the front and returns their number. Rows without a
    /// projection follow a coin weighted by the others.
    fn partition(&mut self, node: &Pending, threshold: f32, rng: &mut Pcg64) -> usize {
        let below = self.known.iter().filter(|&&p| p < threshold).count();
        let share = below as f64 / self.known.len() as f64;
        let order = &mut self.order[node.start..node.end];
        let (mut kept, mut moved) = (0, 0);
        for i in 0..order.len() {
            let (member, projection) = (order[i], self.projections[i]);
            let goes_right = projection >= threshold || projection.is_nan() && rng.random::<f64>() >= share;
            order[kept] = member;
            self.right[moved] = member;
            kept += usize::from(!goes_right);
            moved += usize::from(goes_right);
        }
        order[kept..].copy_from_slice(&self.right[..moved]);
        kept
    }
}

/// Standard deviation of the values that are there; 0 when they are all the same.
fn spread(values: impl Iterator<Item = f32>) -> f64 {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let mut first = None;
    let mut varies = false;
    for value in values.filter(|v| !v.is_nan()).map(f64::from) {
        // About the first value: what is left of large ones is exact.
        let origin = *first.get_or_insert(value);
        let centered = value - origin;
        varies |= centered != 0.0;
        n += 1.0;
        sum += centered;
        squares += centered * centered;
    }
    let mean = sum / n;
    if varies { (squares / n - mean * mean).max(f64::MIN_POSITIVE).sqrt() } else { 0.0 }
}

fn deviation(projections: &[f32]) -> f64 {
    spread(projections.iter().copied())
}
