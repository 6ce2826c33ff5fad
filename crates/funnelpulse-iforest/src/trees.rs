//! Trees of either kind: growing a forest of them, and what scoring needs of both.

use std::{collections::BTreeMap, hint::black_box, sync::OnceLock};

use funnelpulse_core::Columns;
use serde::{Deserialize, Serialize};

use crate::{
    IsolationForestConfig, Split,
    axis::{self, AxisTrees},
    grown::{GrownNode, Limits},
    mixed::{MixedTree, MixedTrees},
    oblique::{self, ObliqueTrees, Scale},
    parallel,
    sample::{Population, all_finite, is_usable, tree_rng},
    walk::Walk,
};

/// Rows that a scale is learnt from.
const SCALE_ROWS: usize = 1024;

/// Trees that see a row in the same form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Trees {
    Axis(AxisTrees),
    Oblique(ObliqueTrees),
    /// Splits on one column, of which some divide categories.
    Mixed(MixedTrees),
}

/// A tree that is to replace another.
#[derive(Debug)]
pub(crate) enum Sapling {
    Axis(Vec<GrownNode>),
    Oblique(oblique::GrownTree),
    Mixed(MixedTree),
}

/// Puts saplings in the place of the trees with these indices, counted over all groups. All
/// groups are of one kind.
pub(crate) fn replace(groups: &mut Vec<Trees>, saplings: Vec<(usize, Sapling)>) {
    let (mut axis, mut oblique, mut mixed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (index, sapling) in saplings {
        match sapling {
            Sapling::Axis(tree) => drop(axis.insert(index, tree)),
            Sapling::Oblique(tree) => drop(oblique.insert(index, tree)),
            Sapling::Mixed(tree) => drop(mixed.insert(index, tree)),
        }
    }
    let width = groups[0].width();
    let mut unpacked = Vec::new();
    let mut first = 0;
    for group in groups.iter_mut() {
        let len = group.len();
        match group {
            Trees::Axis(trees) => unpacked.extend(trees.unpack()),
            Trees::Oblique(trees) => {
                let mut grown = trees.unpack();
                for (index, tree) in oblique.range(first..first + len) {
                    grown[index - first] = oblique::GrownTree::clone(tree);
                }
                *trees = ObliqueTrees::pack(trees.scale().clone(), trees.terms_per_split(), &grown);
            }
            Trees::Mixed(trees) => {
                for (index, tree) in mixed.range_mut(first..first + len) {
                    trees.trees[index - first] = std::mem::take(tree);
                }
            }
        }
        first += len;
    }
    if !unpacked.is_empty() {
        for (index, tree) in axis {
            unpacked[index] = tree;
        }
        *groups = AxisTrees::pack(width, &unpacked).into_iter().map(Trees::Axis).collect();
    }
}

/// A block of rows in the form that some [`Trees`] see them in; memory is reused.
#[derive(Debug, Default)]
pub(crate) struct Block {
    ranks: axis::Ranks,
    sweep: axis::Scratch,
    scaled: Vec<f32>,
    raw: Vec<f64>,
}

impl Trees {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Axis(trees) => trees.len(),
            Self::Oblique(trees) => trees.len(),
            Self::Mixed(trees) => trees.trees.len(),
        }
    }

    pub(crate) fn n_nodes(&self) -> usize {
        match self {
            Self::Axis(trees) => trees.n_nodes(),
            Self::Oblique(trees) => trees.n_nodes(),
            Self::Mixed(trees) => trees.n_nodes(),
        }
    }

    /// Columns of a row.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Axis(trees) => trees.width(),
            Self::Oblique(trees) => trees.scale().width(),
            Self::Mixed(trees) => trees.width(),
        }
    }

    /// Most training rows of a tree.
    pub(crate) fn max_rows(&self) -> usize {
        match self {
            Self::Axis(trees) => trees.max_rows(),
            Self::Oblique(trees) => trees.max_rows(),
            Self::Mixed(trees) => trees.max_rows(),
        }
    }

    /// Brings rows that lie one after the other into the form that these trees see.
    pub(crate) fn prepare(&self, rows: &[f64], block: &mut Block) {
        match self {
            Self::Axis(trees) => trees.rank(rows, &mut block.ranks),
            Self::Oblique(trees) => trees.scale().apply(rows, &mut block.scaled),
            Self::Mixed(_) => {
                block.raw.clear();
                block.raw.extend_from_slice(rows);
            }
        }
    }

    /// The quickest way to score this many rows.
    pub(crate) fn engine(&self, rows: usize) -> Engine<'_> {
        Engine { trees: self, rows, lanes: OnceLock::new(), sweep: OnceLock::new() }
    }

    /// Adds the path lengths of rows that lie one after the other in one tree to `sums`.
    pub(crate) fn add_tree(&self, tree: usize, rows: &[f64], block: &mut Block, sums: &mut [u32]) {
        match self {
            Self::Axis(trees) if all_finite(rows) => trees.add_paths_of_values(tree, rows, sums),
            Self::Oblique(trees) => {
                trees.scale().apply(rows, &mut block.scaled);
                trees.add_tree(tree, &block.scaled, sums);
            }
            Self::Axis(_) | Self::Mixed(_) => {
                self.prepare(rows, block);
                sums.iter_mut().enumerate().for_each(|(row, sum)| *sum += u32::from(self.path(tree, block, row)));
            }
        }
    }

    /// Path length of one row of the block in one tree, in fixed point.
    pub(crate) fn path(&self, tree: usize, block: &Block, row: usize) -> u16 {
        match self {
            Self::Axis(trees) => trees.walk(tree, &block.ranks, row).path(),
            Self::Oblique(trees) => trees.walk(tree, &block.scaled, row).path(),
            Self::Mixed(trees) => trees.walk(tree, &block.raw, row).path(),
        }
    }

    /// The nodes that one row of the block passes in one tree.
    pub(crate) fn route(&self, tree: usize, block: &Block, row: usize, route: &mut Vec<u16>) {
        match self {
            Self::Axis(trees) => trees.walk(tree, &block.ranks, row).route(route),
            Self::Oblique(trees) => trees.walk(tree, &block.scaled, row).route(route),
            Self::Mixed(trees) => trees.walk(tree, &block.raw, row).route(route),
        }
    }

    /// The leaves that one row of the block comes to in one tree, with weights that sum to 1.
    pub(crate) fn leaves(&self, tree: usize, block: &Block, row: usize, leaves: &mut Vec<(u16, f64)>) {
        match self {
            Self::Axis(trees) => trees.walk(tree, &block.ranks, row).leaves(leaves),
            Self::Oblique(trees) => trees.walk(tree, &block.scaled, row).leaves(leaves),
            Self::Mixed(trees) => trees.walk(tree, &block.raw, row).leaves(leaves),
        }
    }

    /// Training rows that came to a node of a tree.
    pub(crate) fn rows(&self, tree: usize, node: u16) -> usize {
        match self {
            Self::Axis(trees) => trees.rows(tree, node),
            Self::Oblique(trees) => trees.rows(tree, node),
            Self::Mixed(trees) => trees.trees[tree].nodes[node as usize].rows.into(),
        }
    }

    /// Credits the columns for what they did to one row of the block in one tree.
    pub(crate) fn explain(&self, tree: usize, block: &Block, row: usize, ln_rows: &[f64], credits: &mut [f64]) {
        match self {
            Self::Axis(trees) => trees.walk(tree, &block.ranks, row).explain(ln_rows, credits),
            Self::Oblique(trees) => trees.walk(tree, &block.scaled, row).explain(ln_rows, credits),
            Self::Mixed(trees) => trees.walk(tree, &block.raw, row).explain(ln_rows, credits),
        }
    }
}

/// Fewest rows that are worth complete trees for the kernel of AVX-512.
const MIN_LANE_ROWS: usize = 256;
/// Widest rows for which that kernel is the quickest for any number of rows.
const MAX_LANE_WIDTH: usize = 16;
/// Fewest rows that are worth a plan of all splits: making one takes as long as walking 100 rows that miss values, or
/// as taking 700 down that do not.
const MIN_SWEEP_ROWS_WITH_GAPS: usize = 128;
const MIN_SWEEP_ROWS: usize = 1024;

/// Adds up path lengths.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    trees: &'a Trees,
    /// Rows that there are to score.
    rows: usize,
    /// Made when they are first asked for; `None` where a tree is too large for them, or the processor too old.
    lanes: OnceLock<Option<axis::LaneTrees>>,
    sweep: OnceLock<Option<axis::SweepTrees>>,
}

impl Engine<'_> {
    fn lanes(&self, trees: &AxisTrees) -> Option<&axis::LaneTrees> {
        let most_rows = if trees.width() <= MAX_LANE_WIDTH { usize::MAX } else { MIN_SWEEP_ROWS };
        if !(MIN_LANE_ROWS..most_rows).contains(&self.rows) {
            return None;
        }
        self.lanes.get_or_init(|| trees.lanes()).as_ref()
    }

    fn sweep(&self, trees: &AxisTrees, min_rows: usize) -> Option<&axis::SweepTrees> {
        if self.rows < min_rows {
            return None;
        }
        self.sweep.get_or_init(|| trees.sweep()).as_ref()
    }

    /// Adds the path lengths of rows that lie one after the other, none of which misses a value, to
    /// `sums`.
    pub(crate) fn add_whole(&self, rows: &[f64], block: &mut Block, sums: &mut [u32]) {
        let Trees::Axis(trees) = self.trees else { return self.add_any(rows, block, sums) };
        if let Some(lanes) = self.lanes(trees) {
            trees.rank_for(lanes, rows, &mut block.ranks);
            lanes.add_paths(&block.ranks, sums);
        } else if let Some(sweep) = self.sweep(trees, MIN_SWEEP_ROWS) {
            trees.sweep_whole(sweep, rows, &mut block.sweep, sums);
        } else {
            trees.rank(rows, &mut block.ranks);
            trees.add_paths(&block.ranks, sums);
        }
    }

    /// The same of rows that may miss values, but not all of them.
    pub(crate) fn add_any(&self, rows: &[f64], block: &mut Block, sums: &mut [u32]) {
        match self.trees {
            Trees::Axis(trees) => match self.sweep(trees, MIN_SWEEP_ROWS_WITH_GAPS) {
                Some(sweep) => trees.sweep_any(sweep, rows, &mut block.sweep, sums),
                None => self.add_walks(rows, block, sums),
            },
            Trees::Oblique(trees) => {
                trees.scale().apply(rows, &mut block.scaled);
                trees.add_paths(&block.scaled, sums);
            }
            Trees::Mixed(trees) => trees.add_paths(rows, sums),
        }
    }

    fn add_walks(&self, rows: &[f64], block: &mut Block, sums: &mut [u32]) {
        self.trees.prepare(rows, block);
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum += (0..self.trees.len()).map(|tree| u32::from(self.trees.path(tree, block, row))).sum::<u32>();
        }
    }
}

/// Values of a line of cache: 64 bytes.
const LINE: usize = 8;

/// Grows trees on a table.
#[derive(Debug)]
pub(crate) struct Nursery<'a> {
    pub(crate) config: &'a IsolationForestConfig,
    /// Row after row, `width` values each.
    pub(crate) table: &'a [f64],
    pub(crate) width: usize,
    pub(crate) population: Population,
    /// Rows per tree.
    pub(crate) samples: usize,
    /// A flag for each column; none at all where no column is categorical.
    categorical: Vec<bool>,
    limits: Limits,
}

impl<'a> Nursery<'a> {
    pub(crate) fn new(
        config: &'a IsolationForestConfig,
        columns: &Columns,
        table: &'a [f64],
        population: Population,
        samples: usize,
    ) -> Self {
        let width = columns.len();
        let features = ((config.max_features * width as f64).round() as usize).clamp(1, width);
        let limits = Limits::new(config.depth_limit(samples), features, config.scoring, samples);
        Self { config, table, width, population, samples, categorical: config.categorical_flags(columns), limits }
    }

    /// Grows the trees with the given numbers; a number is the stream of random choices.
    /// `None` when a row that was drawn has no value or an infinite one.
    pub(crate) fn grow(&self, numbers: std::ops::Range<u64>) -> Option<Vec<Trees>> {
        let numbers = numbers.collect();
        if !self.categorical.is_empty() {
            let grown = parallel::map(numbers, Default::default, |tools, number| self.grow_mixed(tools, number));
            let grown = grown.into_iter().collect::<Option<Vec<_>>>()?;
            Some(vec![Trees::Mixed(MixedTrees::new(self.width, grown))])
        } else if self.config.split == Split::Standard {
            let grown = parallel::map(numbers, Default::default, |tools, number| self.grow_axis(tools, number));
            let grown = grown.into_iter().collect::<Option<Vec<_>>>()?;
            Some(AxisTrees::pack(self.width, &grown).into_iter().map(Trees::Axis).collect())
        } else {
            let scale = self.scale()?;
            let grow = |tools: &mut _, number| self.grow_oblique(tools, &scale, number);
            let grown = parallel::map(numbers, Default::default, grow);
            let grown = grown.into_iter().collect::<Option<Vec<_>>>()?;
            Some(vec![Trees::Oblique(ObliqueTrees::pack(scale, self.terms(), &grown))])
        }
    }

    /// Grows the tree with the given number to stand among `others`.
    pub(crate) fn grow_among(&self, others: &Trees, number: u64) -> Option<Sapling> {
        let tools = &mut Default::default();
        Some(match others {
            Trees::Axis(_) => Sapling::Axis(self.grow_axis(tools, number)?),
            Trees::Mixed(_) => Sapling::Mixed(self.grow_mixed(tools, number)?),
            Trees::Oblique(trees) => {
                Sapling::Oblique(self.grow_oblique(&mut Default::default(), trees.scale(), number)?)
            }
        })
    }

    /// Columns of a direction.
    fn terms(&self) -> usize {
        self.config.columns_per_split.min(self.width)
    }

    fn scale(&self) -> Option<Scale> {
        let mut rows = Vec::new();
        // A stream that no tree has.
        let mut rng = tree_rng(self.config.seed, u64::MAX);
        self.population.draw_distinct(SCALE_ROWS.min(self.population.len()), &mut rng, &mut rows);
        self.gaps(&rows).map(|_| Scale::fit(self.table, self.width, &rows))
    }

    fn grow_axis(&self, (grower, rows): &mut (axis::Grower, Vec<u32>), number: u64) -> Option<Vec<GrownNode>> {
        let mut rng = tree_rng(self.config.seed, number);
        self.population.draw(self.samples, &mut rng, rows);
        let gaps = self.gaps(rows)?;
        Some(grower.grow(self.table, self.width, (rows, gaps), &self.limits, &mut rng))
    }

    fn grow_mixed(&self, (grower, rows): &mut (axis::Grower, Vec<u32>), number: u64) -> Option<MixedTree> {
        let mut rng = tree_rng(self.config.seed, number);
        self.population.draw(self.samples, &mut rng, rows);
        let columns = (self.width, &*self.categorical);
        let gaps = self.gaps(rows)?;
        Some(grower.grow_mixed(self.table, columns, (rows, gaps), &self.limits, &mut rng))
    }

    /// True if some of these rows miss values; `None` where one can't be trained on.
    fn gaps(&self, rows: &[u32]) -> Option<bool> {
        self.touch(rows);
        let mut gaps = false;
        for &row in rows {
            let row = &self.table[row as usize * self.width..][..self.width];
            if !all_finite(row) {
                if !self.population.is_scanned() && !is_usable(row) {
                    return None;
                }
                gaps = true;
            }
        }
        Some(gaps)
    }

    /// Reads a value of every line of cache of these rows. They lie anywhere in a large table: with nothing else to do the processor
    /// fetches many lines at a time.
    fn touch(&self, rows: &[u32]) {
        for &row in rows {
            let row = &self.table[row as usize * self.width..][..self.width];
            let lines = row.iter().step_by(LINE).chain(row.last());
            black_box(lines.fold(0, |bits, value| bits | value.to_bits()));
        }
    }

    fn grow_oblique(
        &self,
        (grower, rows): &mut (oblique::Grower, Vec<u32>),
        scale: &Scale,
        number: u64,
    ) -> Option<oblique::GrownTree> {
        let Self { config, table, .. } = *self;
        let rule = oblique::Rule { split: config.split, terms: self.terms(), candidates: config.candidates };
        let mut rng = tree_rng(config.seed, number);
        self.population.draw(self.samples, &mut rng, rows);
        self.gaps(rows)?;
        Some(grower.grow(table, scale, rows, rule, &self.limits, &mut rng))
    }
}

#[cfg(all(test, feature = "simd"))]
mod tests;
