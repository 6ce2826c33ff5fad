//! Missing values from the rows that share leaves.

use funnelpulse_core::Error;
use ndarray::{Array2, ArrayView2};

use crate::{
    IsolationForestModel, parallel,
    trees::{Block, Trees},
};

/// Mean of each column over the rows of a leaf, NaN where none has a value.
type LeafMeans = Vec<Option<Box<[f64]>>>;

impl IsolationForestModel {
    /// `values` with every missing value replaced by the mean of that column over the rows of `reference` (the training
    /// rows, say) that share a leaf with the row, averaged over the trees; in categorical columns by the category with the
    /// largest such share. Columns in the order of training.
    ///
    /// A row that misses the value of a split is in the leaves of both sides, weighted by the training rows; reference rows
    /// are on the side of more training rows. A column that no reference row has a value of stays missing; where none in
    /// the shared leaves has one, the mean of all reference rows is taken.
    ///
    /// Squared errors of `split = averaged_gain` are larger than those of the others: its leaves hold many rows.
    ///
    /// Time `O(trees * (reference + values) * (depth + columns))`.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// // The second column is twice the first, its mean is 0.
    /// let known = Array2::from_shape_fn((500, 2), |(i, j)| (i as f64 * 0.7).sin() * (1 + j) as f64);
    /// let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_values(known.view())?;
    /// let row = ndarray::array![[0.9, f64::NAN]];
    /// let imputed = model.impute(row.view(), known.view())?;
    /// assert!(imputed[[0, 0]] == 0.9 && imputed[[0, 1]] > 0.9 && imputed[[0, 1]] < 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn impute(&self, values: ArrayView2<'_, f64>, reference: ArrayView2<'_, f64>) -> Result<Array2<f64>, Error> {
        let width = self.require_width(values.ncols())?;
        self.require_width(reference.ncols())?;
        let mut imputed = values.as_standard_layout().into_owned();
        let reference = reference.as_standard_layout();
        let categorical = self.config.categorical_flags(&self.columns);
        let indicators = indicators(&categorical, reference.view());
        let with_indicators = append(reference.view(), &indicators);
        let wide = with_indicators.ncols();
        let in_order = "standard layout is contiguous";
        let known = (reference.as_slice().expect(in_order), with_indicators.as_slice().expect(in_order));
        let overall: Vec<f64> =
            with_indicators.columns().into_iter().map(|column| mean(column.iter().copied())).collect();
        let gaps: Vec<usize> =
            (0..values.nrows()).filter(|&row| values.row(row).iter().any(|value| value.is_nan())).collect();
        let rows: Vec<f64> = gaps.iter().flat_map(|&row| values.row(row).to_vec()).collect();
        let mut sums = vec![0.0; 2 * gaps.len() * wide];
        for trees in self.trees.iter().filter(|_| !gaps.is_empty()) {
            let (mut block, mut of_reference) = (Block::default(), Block::default());
            trees.prepare(&rows, &mut block);
            trees.prepare(known.0, &mut of_reference);
            let numbers = (0..trees.len()).collect();
            let means: Vec<LeafMeans> = parallel::map(numbers, Vec::new, |route, tree| {
                leaf_means(trees, tree, &of_reference, (known.1, wide), route)
            });
            parallel::fill(&mut sums, 2 * wide, Vec::new, |leaves, row, sums| {
                for (tree, means) in means.iter().enumerate() {
                    trees.leaves(tree, &block, row, leaves);
                    add_means(leaves, means, sums);
                }
            });
        }
        for (&row, sums) in gaps.iter().zip(sums.chunks_exact(2 * wide)) {
            let sums = sums.as_chunks::<2>().0;
            let mean_of = |at: usize| if sums[at][1] > 0.0 { sums[at][0] / sums[at][1] } else { overall[at] };
            for column in (0..width).filter(|&column| values[[row, column]].is_nan()) {
                imputed[[row, column]] = if categorical.get(column) == Some(&true) {
                    let shares = indicators.iter().enumerate().filter(|(_, (of, _))| *of == column);
                    let shares = shares.map(|(at, (_, category))| (mean_of(width + at), *category));
                    shares.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(f64::NAN, |(_, category)| category)
                } else {
                    mean_of(column)
                };
            }
        }
        Ok(imputed)
    }
}

/// A categorical column and one of its categories.
type Indicator = (usize, f64);

/// Every category of the categorical columns; none without such columns.
fn indicators(categorical: &[bool], reference: ArrayView2<'_, f64>) -> Vec<Indicator> {
    let of_column = |(column, _): (usize, &bool)| {
        let mut categories: Vec<f64> = reference.column(column).iter().copied().filter(|v| !v.is_nan()).collect();
        categories.sort_unstable_by(f64::total_cmp);
        categories.dedup();
        categories.into_iter().map(move |category| (column, category))
    };
    categorical.iter().enumerate().filter(|(_, is_categorical)| **is_categorical).flat_map(of_column).collect()
}

/// The table with a column of ones and zeros for each category: their means are shares.
fn append(reference: ArrayView2<'_, f64>, indicators: &[Indicator]) -> Array2<f64> {
    let width = reference.ncols();
    Array2::from_shape_fn((reference.nrows(), width + indicators.len()), |(row, at)| {
        let Some(&(column, category)) = at.checked_sub(width).map(|at| &indicators[at]) else {
            return reference[[row, at]];
        };
        let value = reference[[row, column]];
        if value.is_nan() { value } else { f64::from(u8::from(value == category)) }
    })
}

/// Mean of the values that are known; NaN without one.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.filter(|value| !value.is_nan()).fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / count
}

/// The means of the reference rows in each leaf of one tree, by the number of the leaf.
fn leaf_means(
    trees: &Trees,
    tree: usize,
    block: &Block,
    (known, width): (&[f64], usize),
    route: &mut Vec<u16>,
) -> LeafMeans {
    let mut rows_of: Vec<Vec<usize>> = Vec::new();
    for row in 0..known.len() / width {
        trees.route(tree, block, row, route);
        let leaf = usize::from(*route.last().expect("a root at least"));
        if rows_of.len() <= leaf {
            rows_of.resize(leaf + 1, Vec::new());
        }
        rows_of[leaf].push(row);
    }
    let means = |rows: Vec<usize>| -> Box<[f64]> {
        (0..width).map(|column| mean(rows.iter().map(|row| known[row * width + column]))).collect()
    };
    rows_of.into_iter().map(|rows| (!rows.is_empty()).then(|| means(rows))).collect()
}

/// Adds, for each column, the mean of each leaf times its weight, and the weight.
fn add_means(leaves: &[(u16, f64)], means: &[Option<Box<[f64]>>], sums: &mut [f64]) {
    for &(leaf, weight) in leaves {
        let Some(Some(means)) = means.get(usize::from(leaf)) else { continue };
        for (sum, mean) in sums.as_chunks_mut::<2>().0.iter_mut().zip(means) {
            if !mean.is_nan() {
                sum[0] += weight * mean;
                sum[1] += weight;
            }
        }
    }
}
