//! Which columns set a row apart.

use funnelpulse_core::{Error, FrameView};
use ndarray::{Array1, Array2, ArrayView2};

use crate::{
    IsolationForestModel, parallel,
    trees::{Block, Trees},
};

/// Rows explained together: they and a tree fit the first-level cache.
const BLOCK: usize = 256;

/// Contributions of each column to each score. Every split credits the columns that it looks at
/// with `ln(training rows before / after)`; the credits of a row are scaled to sum to its score, in
/// equal parts where there are none.
pub(crate) fn contributions(trees: &[Trees], table: &[f64], width: usize, samples: usize, scores: &[f64]) -> Vec<f64> {
    let ln_rows: Vec<f64> = (0..=samples).map(|rows| (rows.max(1) as f64).ln()).collect();
    let blocks: Vec<(&[f64], &[f64])> = table.chunks(BLOCK * width).zip(scores.chunks(BLOCK)).collect();
    let credits = parallel::map(blocks, Block::default, |block, (rows, scores)| {
        let mut credits = vec![0.0; rows.len()];
        for trees in trees {
            trees.prepare(rows, block);
            for tree in 0..trees.len() {
                for (row, credits) in credits.chunks_exact_mut(width).enumerate() {
                    trees.explain(tree, block, row, &ln_rows, credits);
                }
            }
        }
        for (credits, score) in credits.chunks_exact_mut(width).zip(scores) {
            let total: f64 = credits.iter().sum();
            if score.is_nan() {
                credits.fill(f64::NAN);
            } else if total == 0.0 {
                credits.fill(score / width as f64);
            } else {
                for credit in credits {
                    *credit *= score / total;
                }
            }
        }
        credits
    });
    credits.concat()
}

impl IsolationForestModel {
    /// The importance of each column for isolating rows, over all rows of `frame`; sums to 1.
    ///
    /// The contribution of a column to the rows that score highest (a tenth, at least one) in
    /// relation to its contribution to the others, as in DIFFI (Carletti, Terzi & Susto 2023): a
    /// column that splits all rows alike says nothing about anomalies, however often it is used.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Detector, Frame};
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let wave = |i: usize, j: usize| ((i * (7 + 4 * j)) as f64).sin();
    /// let mut values = Array2::from_shape_fn((300, 2), |(i, j)| wave(i, j));
    /// (0..10).for_each(|i| values[[i * 30, 1]] = 5.0);
    /// let frame = Frame::from_rows(Columns::new(["dull", "telling"])?, values)?;
    /// let model = IsolationForest::new(IsolationForestConfig::default())?.fit(frame.view())?;
    /// let importance = model.importance(frame.view())?;
    /// assert!(importance[1] > importance[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn importance(&self, frame: FrameView<'_>) -> Result<Array1<f64>, Error> {
        let (scores, contributions) = self.explain_values(frame.aligned(&self.columns)?.view());
        let mut order: Vec<usize> = (0..scores.len()).filter(|&row| !scores[row].is_nan()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (high, low) = order.split_at((order.len() / 10).max(1).min(order.len()));
        // As shares of the row's score, so that high scores don't count twice.
        let mean = |rows: &[usize], column: usize| {
            let shares: f64 = rows.iter().map(|&row| contributions[[row, column]] / scores[row]).sum();
            shares / rows.len().max(1) as f64
        };
        let columns = self.columns.len();
        let mut importance = Array1::from_shape_fn(columns, |c| {
            // The prior share keeps columns that are hardly ever split from a ratio of two zeros.
            let prior = 0.1 / columns as f64;
            (mean(high, c) + prior) / (mean(low, c) + prior)
        });
        importance /= importance.sum();
        Ok(importance)
    }

    /// Scores and contributions of every row of a matrix with the columns in the order of training.
    pub(crate) fn explain_values(&self, values: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let values = values.as_standard_layout();
        let table = values.as_slice().expect("standard layout is contiguous");
        let width = self.columns.len();
        let scores = self.scorer().scores(table, width);
        let credits = contributions(&self.trees, table, width, self.samples, &scores);
        let credits = Array2::from_shape_vec((scores.len(), width), credits).expect("a credit per row and column");
        (Array1::from(scores), credits)
    }
}
