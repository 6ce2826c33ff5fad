//! Shapley values of scores: what each column adds to the path length of a row (Lundberg, Erion & Lee 2018, "Consistent
//! individualized feature attribution for tree ensembles", algorithm 2).

use ndarray::{Array2, ArrayView2};

use crate::{IsolationForestError, IsolationForestModel, grown::GrownNode, parallel, path::STEPS};

/// Shapley values of path lengths, see [`IsolationForestModel::shap_values`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShapValues {
    /// The mean path length, in splits, of rows that are spread over the trees as the training rows were.
    pub base: f64,
    /// Change of the mean path length by each column, a row per row: with the base they sum to the mean path length.
    /// Negative values isolate the row.
    pub values: Array2<f64>,
}

impl IsolationForestModel {
    /// Exact Shapley values of the mean path length of each row, by the distribution of the training rows over the trees
    /// (`feature_perturbation="tree_path_dependent"` of the package `shap`). Columns in the order of training. Forests with
    /// `split = standard` only; [`explain`](funnelpulse_core::FittedDetector::explain) is for all and faster.
    ///
    /// A row's score is `2^(-(base + sum of its values) / c)`, with `c` the path length of a row that scores one half. Rows
    /// that miss a value follow the side of more training rows there.
    ///
    /// Time `O(rows * trees * leaves * depth^2)`.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let mut values = Array2::from_shape_fn((300, 2), |(i, j)| ((i * (7 + 4 * j)) as f64).sin());
    /// values[[7, 1]] = 5.0;
    /// let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_values(values.view())?;
    /// let shap = model.shap_values(values.view())?;
    /// assert!(shap.values[[7, 1]] < -1.0 && shap.values[[7, 1]] < shap.values[[7, 0]], "the second column isolates it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`IsolationForestError::Export`] for forests with splits on several columns,
    /// [`IsolationForestError::Categorical`] for those with categorical columns.
    pub fn shap_values(&self, values: ArrayView2<'_, f64>) -> Result<ShapValues, IsolationForestError> {
        let width = self.require_width(values.ncols())?;
        let trees = self.axis_trees("SHAP")?;
        let values = values.as_standard_layout();
        let table = values.as_slice().expect("standard layout is contiguous");
        let n_trees = trees.len() as f64;
        let base = trees.iter().map(|tree| expected(tree, 0)).sum::<f64>() / n_trees;
        let mut shares = vec![0.0; table.len()];
        parallel::fill(&mut shares, width, Vec::new, |path, row, shares| {
            let row = &table[row * width..][..width];
            for tree in &trees {
                path.clear();
                Tree { nodes: tree, row, shares }.recurse(0, path, Step { zero: 1.0, one: 1.0, column: None });
            }
            for share in shares {
                *share /= n_trees;
            }
        });
        let values = Array2::from_shape_vec((values.nrows(), width), shares).expect("a share per row and column");
        Ok(ShapValues { base, values })
    }
}

/// Training rows that stand for none.
const LEAST_ROWS: f64 = 1e-6;

/// Path length at a leaf.
fn length(node: &GrownNode) -> f64 {
    f64::from(node.path) / STEPS
}

/// Share of a node's training rows that went to a child.
fn share(nodes: &[GrownNode], node: usize, child: usize) -> f64 {
    let sides = nodes[node].left as usize;
    // A child without rows, which a model file may have, still needs a share: others are divided by it.
    let rows = |node: usize| f64::from(nodes[node].rows).max(LEAST_ROWS);
    rows(child) / (rows(sides) + rows(sides + 1))
}

/// Mean path length of the training rows below a node.
fn expected(nodes: &[GrownNode], at: usize) -> f64 {
    match nodes[at].left as usize {
        0 => length(&nodes[at]),
        left => [left, left + 1].into_iter().map(|child| share(nodes, at, child) * expected(nodes, child)).sum(),
    }
}

/// A column on the way to a node: the shares of the paths that go on without and with its value.
#[derive(Clone, Copy, Debug)]
struct Step {
    zero: f64,
    one: f64,
    /// `None` before the first split.
    column: Option<u16>,
}

/// A step, and the weight of the subsets of columns of one size.
#[derive(Clone, Copy, Debug)]
struct Element {
    step: Step,
    weight: f64,
}

struct Tree<'a> {
    nodes: &'a [GrownNode],
    row: &'a [f64],
    shares: &'a mut [f64],
}

impl Tree<'_> {
    fn recurse(&mut self, at: usize, path: &mut Vec<Element>, step: Step) {
        let before = path.clone();
        extend(path, step);
        let node = self.nodes[at];
        if node.left == 0 {
            for i in 1..path.len() {
                let Element { step, .. } = path[i];
                let column = step.column.expect("only the first step has none");
                self.shares[usize::from(column)] += unwound_sum(path, i) * (step.one - step.zero) * length(&node);
            }
            *path = before;
            return;
        }
        let left = node.left as usize;
        let value = self.row[usize::from(node.column)];
        let goes_right =
            if value.is_nan() { self.nodes[left + 1].rows > self.nodes[left].rows } else { value >= node.split };
        let mut incoming = (1.0, 1.0);
        if let Some(earlier) = path.iter().position(|element| element.step.column == Some(node.column)) {
            incoming = (path[earlier].step.zero, path[earlier].step.one);
            unwind(path, earlier);
        }
        for child in [left, left + 1] {
            let is_hot = goes_right == (child == left + 1);
            let zero = incoming.0 * share(self.nodes, at, child);
            let one = if is_hot { incoming.1 } else { 0.0 };
            self.recurse(child, path, Step { zero, one, column: Some(node.column) });
        }
        *path = before;
    }
}

/// Adds a step: subsets of every size with and without it.
fn extend(path: &mut Vec<Element>, step: Step) {
    let depth = path.len();
    path.push(Element { step, weight: if depth == 0 { 1.0 } else { 0.0 } });
    let all = (depth + 1) as f64;
    for i in (0..depth).rev() {
        path[i + 1].weight += step.one * path[i].weight * (i + 1) as f64 / all;
        path[i].weight = step.zero * path[i].weight * (depth - i) as f64 / all;
    }
}

/// Takes a step out again.
fn unwind(path: &mut Vec<Element>, at: usize) {
    let depth = path.len() - 1;
    let Step { zero, one, .. } = path[at].step;
    let mut next = path[depth].weight;
    let all = (depth + 1) as f64;
    for i in (0..depth).rev() {
        if one == 0.0 {
            path[i].weight = path[i].weight * all / (zero * (depth - i) as f64);
        } else {
            let weight = path[i].weight;
            path[i].weight = next * all / ((i + 1) as f64 * one);
            next = weight - path[i].weight * zero * (depth - i) as f64 / all;
        }
    }
    for i in at..depth {
        path[i].step = path[i + 1].step;
    }
    path.pop();
}

/// Sum of the weights of the path without a step.
fn unwound_sum(path: &[Element], at: usize) -> f64 {
    let mut path = path.to_vec();
    unwind(&mut path, at);
    path.iter().map(|element| element.weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IsolationForest, IsolationForestConfig, Split};

    /// Mean path length when only the columns of a set are known.
    fn known(nodes: &[GrownNode], at: usize, row: &[f64], set: usize) -> f64 {
        let node = nodes[at];
        let left = node.left as usize;
        if left == 0 {
            return length(&node);
        }
        let column = usize::from(node.column);
        if (set >> column) & 1 == 1 {
            return known(nodes, left + usize::from(row[column] >= node.split), row, set);
        }
        [left, left + 1].into_iter().map(|child| share(nodes, at, child) * known(nodes, child, row, set)).sum()
    }

    #[test]
    fn values_are_shapleys_by_their_definition() {
        const WIDTH: usize = 4;
        let values = Array2::from_shape_fn((150, WIDTH), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
        let config = IsolationForestConfig { n_trees: 6, max_samples: 40, ..IsolationForestConfig::standard() };
        let model = IsolationForest::new(config).unwrap().fit_values(values.view()).unwrap();
        let shap = model.shap_values(values.view()).unwrap();
        let trees = model.axis_trees("SHAP").unwrap();
        let factorial = |n: usize| (1..=n).product::<usize>() as f64;
        for row in (0..150).step_by(10) {
            let own = values.row(row).to_vec();
            let of_set = |set: usize| trees.iter().map(|tree| known(tree, 0, &own, set)).sum::<f64>() / 6.0;
            for column in 0..WIDTH {
                let mut wanted = 0.0;
                for set in (0..(1_usize << WIDTH)).filter(|set| (set >> column) & 1 == 0) {
                    let size = set.count_ones() as usize;
                    let weight = factorial(size) * factorial(WIDTH - size - 1) / factorial(WIDTH);
                    wanted += weight * (of_set(set | (1 << column)) - of_set(set));
                }
                assert!((shap.values[[row, column]] - wanted).abs() < 1e-9, "{row} {column}");
            }
            assert!((shap.base - of_set(0)).abs() < 1e-9);
        }
    }

    #[test]
    fn base_and_values_make_the_score() {
        let mut values = Array2::from_shape_fn((400, 6), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
        values[[3, 2]] = 9.0;
        let model = IsolationForest::new(IsolationForestConfig::standard()).unwrap().fit_values(values.view()).unwrap();
        let shap = model.shap_values(values.view()).unwrap();
        let scores = model.score_values(values.view()).unwrap();
        for (row, score) in scores.iter().enumerate() {
            let path = shap.base + shap.values.row(row).sum();
            assert!((model.scorer().score(path) - score).abs() < 1e-9);
        }
        let oblique =
            IsolationForest::new(IsolationForestConfig::default()).unwrap().fit_values(values.view()).unwrap();
        assert!(matches!(
            oblique.shap_values(values.view()),
            Err(IsolationForestError::Export { split: Split::PooledGain, .. })
        ));
    }
}
