//! The forest: many trees, one score.

use std::sync::Arc;

use funnelpulse_core::{BoxError, Columns, Detection, Detector, Error, FittedDetector, FrameView, PersistentModel};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rand::seq::index;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{
    IsolationForestConfig, IsolationForestError, parallel,
    tree::{NoVisitor, Tree, Visitor, average_path_length},
};

const KIND: &str = "iforest";
/// Rows scored together: their values and a tree fit the first-level cache.
const BLOCK: usize = 64;

/// Isolation forest (Liu, Ting & Zhou 2008, 2012).
///
/// **Score**: `2^(-E[h] / c(psi))` in (0, 1], where `h` is the depth at which a tree isolates the
/// row and `c(psi)` the average depth for a sample of `psi` rows; about 0.5 for normal rows.
///
/// **Missing values**: a row without the value that a split asks for goes both ways, weighted by
/// the shares of the training rows. A row without any value scores NaN and is not trained on.
///
/// **Contributions**: a split that leaves a row among a share `q` of the training rows credits
/// its column with `-ln q`; the credits of a row are scaled to sum to its score.
///
/// **Complexity**: fitting is `O(trees * psi * (depth + columns))` and copies no data per tree;
/// scoring `O(rows * trees * depth)`.
///
/// ```
/// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
///
/// let error = IsolationForest::new(IsolationForestConfig { n_trees: 0, ..Default::default() }).unwrap_err();
/// assert_eq!(error.to_string(), "n_trees = 0 is out of range (1 to 100000)");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForest {
    config: IsolationForestConfig,
}

impl IsolationForest {
    /// Checks the hyper-parameters.
    pub fn new(config: IsolationForestConfig) -> Result<Self, IsolationForestError> {
        config.validate()?;
        Ok(Self { config })
    }

    fn grow(&self, columns: &Columns, values: ArrayView2<'_, f64>) -> Result<IsolationForestModel, Error> {
        let usable = usable_rows(values);
        if usable.len() < 2 || columns.is_empty() {
            return Err(Error::TooFewRows { detector: KIND, rows: usable.len(), needed: 2 });
        }
        let samples = self.config.max_samples.min(usable.len());
        let depth = self.config.max_depth.unwrap_or_else(|| (samples as f64).log2().ceil().max(1.0) as usize);
        let trees = parallel::map((0..self.config.n_trees as u64).collect(), |tree| {
            let mut rng = tree_rng(self.config.seed, tree);
            let mut rows = sample(&usable, samples, &mut rng);
            Tree::grow(values, &mut rows, depth, &mut rng)
        });
        Ok(IsolationForestModel { columns: columns.clone(), seed: self.config.seed, samples, trees })
    }
}

impl TryFrom<IsolationForestConfig> for IsolationForest {
    type Error = IsolationForestError;

    fn try_from(config: IsolationForestConfig) -> Result<Self, IsolationForestError> {
        Self::new(config)
    }
}

impl Detector for IsolationForest {
    type Fitted = IsolationForestModel;
    type Error = IsolationForestError;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<IsolationForestModel, IsolationForestError> {
        Ok(self.grow(history.columns(), history.values())?)
    }

    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<IsolationForestModel, IsolationForestError> {
        let Some(first) = histories.first() else {
            return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 2 }.into());
        };
        let values = stack(histories, first.columns())?;
        Ok(self.grow(first.columns(), values.view())?)
    }
}

/// A grown [`IsolationForest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct IsolationForestModel {
    columns: Columns,
    seed: u64,
    samples: usize,
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    seed: u64,
    samples: usize,
    trees: Vec<Tree>,
}

impl TryFrom<Unchecked> for IsolationForestModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        if u.columns.is_empty() || u.samples < 2 || u.trees.is_empty() {
            return Err("a forest has columns, trees and samples");
        }
        if !u.trees.iter().all(|tree| tree.is_valid(u.columns.len())) {
            return Err("a tree points outside itself or its columns");
        }
        Ok(Self { columns: u.columns, seed: u.seed, samples: u.samples, trees: u.trees })
    }
}

impl IsolationForestModel {
    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Rows that each tree was grown on.
    pub fn samples_per_tree(&self) -> usize {
        self.samples
    }

    fn score_of_mean(&self, mean_path_length: f64) -> f64 {
        (-mean_path_length / average_path_length(self.samples)).exp2()
    }

    /// Scores and contributions of a block of rows.
    fn score_block(&self, block: ArrayView2<'_, f64>) -> (Vec<f64>, Vec<f64>) {
        let (n, d) = block.dim();
        let block = block.as_standard_layout();
        let values = block.as_slice().expect("standard layout is contiguous");
        let mut depth_sums = vec![0.0; n];
        let mut credits = vec![0.0; n * d];
        for tree in &self.trees {
            for i in 0..n {
                let mut credit = Credit(&mut credits[i * d..(i + 1) * d]);
                depth_sums[i] += tree.path_length(&values[i * d..(i + 1) * d], &mut credit);
            }
        }
        for i in 0..n {
            let credit = &mut credits[i * d..(i + 1) * d];
            if values[i * d..(i + 1) * d].iter().all(|v| v.is_nan()) {
                depth_sums[i] = f64::NAN;
                credit.fill(f64::NAN);
                continue;
            }
            depth_sums[i] = self.score_of_mean(depth_sums[i] / self.trees.len() as f64);
            let total: f64 = credit.iter().sum();
            if total > 0.0 {
                for c in credit.iter_mut() {
                    *c *= depth_sums[i] / total;
                }
            }
        }
        (depth_sums, credits)
    }
}

impl FittedDetector for IsolationForestModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let values = frame.aligned(&self.columns)?;
        let (n, d) = values.dim();
        let blocks: Vec<_> = values.axis_chunks_iter(Axis(0), BLOCK).collect();
        let scored = parallel::map(blocks, |block| self.score_block(block));
        let (mut scores, mut credits) = (Vec::with_capacity(n), Vec::with_capacity(n * d));
        for (block_scores, block_credits) in scored {
            scores.extend(block_scores);
            credits.extend(block_credits);
        }
        let credits = Array2::from_shape_vec((n, d), credits).expect("a credit per row and column");
        Ok(Detection::new(Array1::from(scores)).with_contributions(credits))
    }

    /// Out-of-bag scores: each row by the trees that were not grown on it. `None` when every tree
    /// saw every row, which is so up to `max_samples` rows.
    fn out_of_sample_scores(&self, histories: &[FrameView<'_>]) -> Result<Option<Vec<Array1<f64>>>, Error> {
        let values = stack(histories, &self.columns)?;
        let usable = usable_rows(values.view());
        if usable.len() <= self.samples {
            return Ok(None);
        }
        let n = values.nrows();
        // In-bag rows per tree, drawn again from the tree's own stream.
        let bags: Vec<Vec<usize>> = (0..self.trees.len() as u64)
            .map(|tree| {
                let mut rows = sample(&usable, self.samples, &mut tree_rng(self.seed, tree));
                rows.sort_unstable();
                rows
            })
            .collect();
        let chunks: Vec<usize> = (0..n).step_by(BLOCK).collect();
        let scored = parallel::map(chunks, |start| {
            let end = (start + BLOCK).min(n);
            let mut sums = vec![(0.0, 0usize); end - start];
            for (tree, bag) in self.trees.iter().zip(&bags) {
                let mut in_bag = bag[bag.partition_point(|&r| r < start)..].iter().peekable();
                for row in start..end {
                    if in_bag.next_if(|&&r| r == row).is_none() {
                        let values = values.row(row);
                        let row_values = values.as_slice().expect("stacked rows are contiguous");
                        let sum = &mut sums[row - start];
                        sum.0 += tree.path_length(row_values, &mut NoVisitor);
                        sum.1 += 1;
                    }
                }
            }
            let score = |(row, (sum, trees)): (usize, (f64, usize))| {
                let blank = values.row(start + row).iter().all(|v| v.is_nan());
                if trees == 0 || blank { f64::NAN } else { self.score_of_mean(sum / trees as f64) }
            };
            sums.into_iter().enumerate().map(score).collect::<Vec<_>>()
        });
        let mut all = scored.into_iter().flatten();
        Ok(Some(histories.iter().map(|h| all.by_ref().take(h.nrows()).collect()).collect()))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for IsolationForestModel {
    const KIND: &'static str = KIND;
}

/// Credits the columns that isolate a row.
struct Credit<'a>(&'a mut [f64]);

impl Visitor for Credit<'_> {
    #[inline]
    fn split(&mut self, column: usize, credit: f32, weight: f64) {
        self.0[column] += weight * f64::from(credit);
    }
}

/// Every tree draws from its own stream, so that trees can be grown in any order.
fn tree_rng(seed: u64, tree: u64) -> Pcg64 {
    // The increment of a PCG selects the stream; the constant spreads neighbouring seeds.
    Pcg64::new(u128::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), u128::from(tree))
}

/// Rows with at least one value.
fn usable_rows(values: ArrayView2<'_, f64>) -> Vec<usize> {
    let usable = |(i, row): (usize, ndarray::ArrayView1<'_, f64>)| row.iter().any(|v| !v.is_nan()).then_some(i);
    values.rows().into_iter().enumerate().filter_map(usable).collect()
}

fn sample(usable: &[usize], samples: usize, rng: &mut Pcg64) -> Vec<usize> {
    index::sample(rng, usable.len(), samples).into_iter().map(|i| usable[i]).collect()
}

/// The frames below one another, with the columns in the given order.
fn stack(frames: &[FrameView<'_>], columns: &[Arc<str>]) -> Result<Array2<f64>, Error> {
    let parts = frames.iter().map(|f| f.aligned(columns)).collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    if views.is_empty() {
        return Ok(Array2::zeros((0, columns.len())));
    }
    concatenate(Axis(0), &views).map_err(|e| Error::Detector { detector: KIND, source: BoxError::from(e) })
}
