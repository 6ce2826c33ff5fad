//! A random forest that tells two classes (Breiman 2001), with out-of-bag probabilities.
//!
//! Values are replaced by their ranks in at most 256 bins of as many rows each: a node finds its best split in one pass
//! over its rows and one over the bins, without sorting.

use std::ops::Range;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::ClassifierConfig;
use crate::cost::Signal;

/// Most bins of a column.
const BINS: usize = 256;

/// The rows of one segment, ready for any number of forests.
#[derive(Debug)]
pub(super) struct Forest {
    n: usize,
    /// Bin of every row, column after column.
    bins: Vec<u8>,
    columns: usize,
    n_trees: usize,
    max_depth: usize,
    seed: u64,
    /// First and last row of the segment, as a stream of random numbers.
    stream: u128,
}

/// A node; a row goes right if its bin is `cut` or more.
#[derive(Clone, Copy, Debug)]
struct Node {
    column: usize,
    cut: u8,
    /// The left child; the right one is next to it. 0 in a leaf.
    left: usize,
    /// Share of the second class among the node's rows.
    share: f64,
}

/// The part of a growing tree that is still to be split: rows of the bag.
#[derive(Clone, Debug)]
struct Pending {
    at: usize,
    rows: Range<usize>,
    depth: usize,
}

/// The best division of a node so far.
#[derive(Clone, Copy, Debug)]
struct Split {
    column: usize,
    cut: u8,
    /// `sum of (rows of the second class)^2 / rows` over both sides: the larger, the purer.
    purity: f64,
}

/// Rows of a bin, and those of them in the second class.
type Bin = (u32, u32);

impl Forest {
    pub(super) fn new(signal: &Signal, rows: Range<usize>, config: &ClassifierConfig) -> Self {
        let n = rows.len();
        let mut bins = Vec::with_capacity(n * signal.d);
        for column in 0..signal.d {
            let values: Vec<f64> = rows.clone().map(|row| signal.values[row * signal.d + column]).collect();
            bins.extend(binned(&values));
        }
        let stream = (rows.start as u128) << 64 | rows.end as u128;
        let ClassifierConfig { n_trees, max_depth, seed, .. } = *config;
        Self { n, bins, columns: signal.d, n_trees, max_depth, seed, stream }
    }

    /// For each row, the share of the rows at `split` and after it in the leaves that it falls into, averaged over the trees
    /// that were grown without the row. The share of the class where every tree saw the row.
    pub(super) fn probabilities(&self, split: usize) -> Vec<f64> {
        let mut sums = vec![(0.0, 0u32); self.n];
        let mut grower = Grower::new(self, split);
        for tree in 0..self.n_trees {
            let seed = u128::from(self.seed) << 64 | (split as u128) << 32 | tree as u128;
            let mut rng = Pcg64::new(seed, self.stream);
            grower.grow(&mut rng);
            for (row, sum) in sums.iter_mut().enumerate().filter(|(row, _)| !grower.is_in_bag[*row]) {
                sum.0 += grower.share(row);
                sum.1 += 1;
            }
        }
        let class = |row: usize| (self.n - split - usize::from(row >= split)) as f64 / (self.n - 1) as f64;
        let mean =
            |(row, (sum, trees)): (usize, (f64, u32))| if trees > 0 { sum / f64::from(trees) } else { class(row) };
        sums.into_iter().enumerate().map(mean).collect()
    }
}

/// Grows one tree after the other in the same memory.
#[derive(Debug)]
struct Grower<'a> {
    forest: &'a Forest,
    split: usize,
    /// Columns that a node tries.
    tried: usize,
    bag: Vec<u32>,
    is_in_bag: Vec<bool>,
    right: Vec<u32>,
    columns: Vec<usize>,
    counts: Vec<Bin>,
    nodes: Vec<Node>,
    pending: Vec<Pending>,
}

impl<'a> Grower<'a> {
    fn new(forest: &'a Forest, split: usize) -> Self {
        Self {
            forest,
            split,
            tried: forest.columns.isqrt().max(1),
            bag: Vec::with_capacity(forest.n),
            is_in_bag: vec![false; forest.n],
            right: Vec::with_capacity(forest.n),
            columns: (0..forest.columns).collect(),
            counts: vec![(0, 0); BINS],
            nodes: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Grows a tree on as many rows as there are, drawn with replacement.
    fn grow(&mut self, rng: &mut Pcg64) {
        let n = self.forest.n;
        self.bag.clear();
        self.bag.extend((0..n).map(|_| rng.random_range(0..n as u32)));
        self.is_in_bag.fill(false);
        for &row in &self.bag {
            self.is_in_bag[row as usize] = true;
        }
        self.nodes.clear();
        self.pending.clear();
        self.add(0..n, 0);
        while let Some(Pending { at, rows, depth }) = self.pending.pop() {
            let Some(split) = self.best_split(&rows, rng) else { continue };
            let kept = self.partition(&rows, split);
            let left = self.nodes.len();
            self.nodes[at] = Node { column: split.column, cut: split.cut, left, ..self.nodes[at] };
            self.add(rows.start..rows.start + kept, depth + 1);
            self.add(rows.start + kept..rows.end, depth + 1);
        }
    }

    /// Adds a leaf, to be split later if it can be.
    fn add(&mut self, rows: Range<usize>, depth: usize) {
        let second = self.bag[rows.clone()].iter().filter(|&&row| row as usize >= self.split).count();
        let share = second as f64 / rows.len() as f64;
        let at = self.nodes.len();
        self.nodes.push(Node { column: 0, cut: 0, left: 0, share });
        if depth < self.forest.max_depth && second > 0 && second < rows.len() {
            self.pending.push(Pending { at, rows, depth });
        }
    }

    /// The purest division by some random columns; further ones are tried while those do not vary.
    fn best_split(&mut self, rows: &Range<usize>, rng: &mut Pcg64) -> Option<Split> {
        let mut best: Option<Split> = None;
        for drawn in 0..self.columns.len() {
            if drawn >= self.tried && best.is_some() {
                break;
            }
            let pick = rng.random_range(drawn as u64..self.columns.len() as u64) as usize;
            self.columns.swap(drawn, pick);
            if let Some(split) = self.split_column(self.columns[drawn], rows)
                && best.is_none_or(|best| split.purity > best.purity)
            {
                best = Some(split);
            }
        }
        best
    }

    /// The purest division by one column, if it varies.
    fn split_column(&mut self, column: usize, rows: &Range<usize>) -> Option<Split> {
        let bins = &self.forest.bins[column * self.forest.n..][..self.forest.n];
        let (mut low, mut high) = (BINS - 1, 0);
        let mut second = 0;
        for &row in &self.bag[rows.clone()] {
            let bin = usize::from(bins[row as usize]);
            let is_second = u32::from(row as usize >= self.split);
            self.counts[bin].0 += 1;
            self.counts[bin].1 += is_second;
            second += is_second;
            (low, high) = (low.min(bin), high.max(bin));
        }
        let found = purest(&self.counts[low..=high], rows.len() as f64, f64::from(second));
        self.counts[low..=high].fill((0, 0));
        found.map(|(cut, purity)| Split { column, cut: (low + cut) as u8, purity })
    }

    /// Moves the rows that go left to the front and returns their number.
    fn partition(&mut self, rows: &Range<usize>, split: Split) -> usize {
        let bins = &self.forest.bins[split.column * self.forest.n..][..self.forest.n];
        let bag = &mut self.bag[rows.clone()];
        self.right.clear();
        let mut kept = 0;
        for at in 0..bag.len() {
            let row = bag[at];
            if bins[row as usize] >= split.cut {
                self.right.push(row);
            } else {
                bag[kept] = row;
                kept += 1;
            }
        }
        bag[kept..].copy_from_slice(&self.right);
        kept
    }

    /// Share of the second class in the leaf of a row.
    fn share(&self, row: usize) -> f64 {
        let mut node = self.nodes[0];
        while node.left != 0 {
            let bin = self.forest.bins[node.column * self.forest.n + row];
            node = self.nodes[node.left + usize::from(bin >= node.cut)];
        }
        node.share
    }
}

/// The cut between bins with the purest sides, in the middle of the empty bins there, and its purity; `None` where there is
/// one bin only. The first and the last bin have rows.
fn purest(counts: &[Bin], rows: f64, second: f64) -> Option<(usize, f64)> {
    let (mut left, mut left_second) = (0.0, 0.0);
    let mut best: Option<(usize, f64)> = None;
    let mut before = 0;
    let mut is_best_open = false;
    for (bin, &(count, of_second)) in counts.iter().enumerate() {
        if count == 0 {
            continue;
        }
        if is_best_open && let Some(best) = &mut best {
            // The rows after the cut begin here.
            best.0 = (before + bin).div_ceil(2);
        }
        left += f64::from(count);
        left_second += f64::from(of_second);
        (before, is_best_open) = (bin, false);
        let right = rows - left;
        if right > 0.0 {
            let purity = left_second * left_second / left + (second - left_second).powi(2) / right;
            if best.is_none_or(|(_, most)| purity > most) {
                best = Some((bin + 1, purity));
                is_best_open = true;
            }
        }
    }
    best
}

/// The bin of each value: ranks of the different values where these are few, bins of as many rows each otherwise. Equal
/// values share a bin.
fn binned(values: &[f64]) -> Vec<u8> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut different = sorted.clone();
    different.dedup();
    let place = |sorted: &[f64], value: f64| sorted.partition_point(|&other| other < value);
    if different.len() <= BINS {
        return values.iter().map(|&value| place(&different, value) as u8).collect();
    }
    values.iter().map(|&value| (place(&sorted, value) * BINS / values.len()) as u8).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn forest(values: &Array2<f64>) -> Forest {
        let signal = Signal::new(values.view()).unwrap();
        Forest::new(&signal, 0..values.nrows(), &ClassifierConfig::default())
    }

    #[test]
    fn bins_keep_the_order() {
        assert_eq!(binned(&[3.0, -1.0, 3.0, 7.5]), [1, 0, 1, 2]);
        let many: Vec<f64> = (0..2_000).map(|i| f64::from(i * 7_919 % 2_000)).collect();
        let bins = binned(&many);
        for (value, bin) in many.iter().zip(&bins) {
            assert_eq!(usize::from(*bin), *value as usize * BINS / 2_000);
        }
    }

    #[test]
    fn the_purest_cut_is_that_of_brute_force() {
        let counts: Vec<Bin> = vec![(3, 1), (0, 0), (5, 0), (2, 2), (0, 0), (0, 0), (0, 0), (4, 3), (1, 1)];
        let total = counts.iter().fold((0.0, 0.0), |sum, c| (sum.0 + f64::from(c.0), sum.1 + f64::from(c.1)));
        let purity = |cut: usize| {
            let (n, k) =
                counts[..cut].iter().fold((0.0, 0.0), |sum, c| (sum.0 + f64::from(c.0), sum.1 + f64::from(c.1)));
            k * k / n + (total.1 - k).powi(2) / (total.0 - n)
        };
        let best = (1..counts.len()).map(purity).fold(0.0, f64::max);
        let (cut, found) = purest(&counts, total.0, total.1).unwrap();
        assert!((found - best).abs() < 1e-12 && (purity(cut) - best).abs() < 1e-12);
        assert_eq!(
            purest(&[(2, 1), (0, 0), (0, 0), (0, 0), (2, 0)], 4.0, 1.0).unwrap().0,
            2,
            "in the middle of the gap"
        );
        assert!(purest(&[(5, 2)], 5.0, 2.0).is_none());
    }

    #[test]
    fn classes_that_differ_are_told_apart_and_others_are_not() {
        let noise = |i: usize| ((i * i * 7_919 + i * 31) % 1_009) as f64 / 1_009.0;
        let mean = |p: &[f64]| p.iter().sum::<f64>() / p.len() as f64;
        let shifted = |i: usize, j: usize| if j == 1 && i >= 150 { 3.0 } else { 0.0 };
        let values = Array2::from_shape_fn((400, 3), |(i, j)| noise(i + 500 * j) + shifted(i, j));
        let after = forest(&values).probabilities(150);
        let wrong = (0..400).filter(|&row| (after[row] > 0.5) != (row >= 150)).count();
        assert!(wrong < 8, "{wrong} rows of 400");
        assert!(mean(&after[..150]) < 0.1 && mean(&after[150..]) > 0.9);
        let mixed = Array2::from_shape_fn((400, 3), |(i, j)| noise(i + 500 * j));
        let unsure = forest(&mixed).probabilities(200);
        assert!((mean(&unsure[..200]) - mean(&unsure[200..])).abs() < 0.1);
    }

    #[test]
    fn rows_that_every_tree_saw_get_the_share_of_the_class() {
        // One tree: two thirds of the rows are in its bag.
        let values = Array2::from_shape_fn((90, 1), |(i, _)| i as f64);
        let signal = Signal::new(values.view()).unwrap();
        let config = ClassifierConfig { n_trees: 1, ..ClassifierConfig::default() };
        let probabilities = Forest::new(&signal, 0..90, &config).probabilities(30);
        let prior = |row: usize| if row < 30 { 60.0 / 89.0 } else { 59.0 / 89.0 };
        let as_prior = (0..90).filter(|&row| (probabilities[row] - prior(row)).abs() < 1e-12).count();
        assert!((40..75).contains(&as_prior), "{as_prior}");
    }
}
