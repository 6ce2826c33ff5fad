//! A forest as a treelite checkpoint, version 4 (`docs/serialization/v4.rst` of treelite).

use crate::{IsolationForestError, IsolationForestModel, grown::GrownNode, path::STEPS};

/// The numbers of treelite's enumerations that a forest needs.
const VERSION: [i32; 3] = [4, 0, 0];
const FLOAT64: u8 = 3;
const ISOLATION_FOREST: u8 = 4;
const LEAF: u8 = 0;
const NUMERICAL_TEST: u8 = 1;
const NO_OPERATOR: u8 = 0;
const LESS_THAN: u8 = 2;
/// `2^(-mean / ratio_c)`, treelite's name for the score of an isolation forest.
const POSTPROCESSOR: &[u8] = b"exponential_standard_ratio";

impl IsolationForestModel {
    /// The forest as a treelite checkpoint, which `treelite.Model.deserialize` reads: for `treelite.gtil`, compiled
    /// forests (tl2cgen) and GPUs (cuML's FIL). Forests with `split = standard` only.
    ///
    /// Predictions are the scores of this crate. Thresholds and leaves are doubles: predict on doubles.
    ///
    /// **Missing values**: a row that misses the value of a split follows the side of more training rows there, where
    /// this crate follows both sides.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((500, 2), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
    /// let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_values(values.view())?;
    /// let file = tempfile::NamedTempFile::new()?;
    /// std::fs::write(&file, model.to_treelite()?)?;
    /// // In Python: treelite.gtil.predict(treelite.Model.deserialize("forest.treelite"), values)
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`IsolationForestError::Export`] for forests with splits on several columns,
    /// [`IsolationForestError::Categorical`] for those with categorical columns.
    pub fn to_treelite(&self) -> Result<Vec<u8>, IsolationForestError> {
        let trees = self.axis_trees("treelite")?;
        let mut out = Checkpoint::default();
        for part in VERSION {
            out.i32(part);
        }
        out.0.extend([FLOAT64, FLOAT64]);
        out.u64(trees.len() as u64);
        out.i32(self.columns.len() as i32);
        // Scores are means over trees.
        out.0.extend([ISOLATION_FOREST, 1]);
        out.i32(1);
        out.i32s([1]);
        out.i32s([1, 1]);
        out.i32s(trees.iter().map(|_| 0));
        out.i32s(trees.iter().map(|_| 0));
        out.bytes(POSTPROCESSOR.to_vec());
        // `sigmoid_alpha`, unused, and `ratio_c`: leaves hold the path relative to the usual one.
        out.f32(1.0);
        out.f32(1.0);
        out.f64s([0.0]);
        out.bytes(b"{}".to_vec());
        out.i32(0);
        let usual = self.scorer().usual_path();
        for tree in &trees {
            out.tree(tree, STEPS * usual);
        }
        Ok(out.0)
    }
}

/// Little-endian scalars, and arrays with their length in front.
#[derive(Default)]
struct Checkpoint(Vec<u8>);

impl Checkpoint {
    fn i32(&mut self, value: i32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.0.extend(value.to_le_bytes());
    }

    fn array<const N: usize>(&mut self, values: impl IntoIterator<Item = [u8; N]>) {
        let at = self.0.len();
        self.u64(0);
        let mut len = 0u64;
        for value in values {
            self.0.extend(value);
            len += 1;
        }
        self.0[at..at + 8].copy_from_slice(&len.to_le_bytes());
    }

    fn bytes(&mut self, values: impl IntoIterator<Item = u8>) {
        self.array(values.into_iter().map(|value| [value]));
    }

    fn i32s(&mut self, values: impl IntoIterator<Item = i32>) {
        self.array(values.into_iter().map(i32::to_le_bytes));
    }

    fn u64s(&mut self, values: impl IntoIterator<Item = u64>) {
        self.array(values.into_iter().map(u64::to_le_bytes));
    }

    fn f64s(&mut self, values: impl IntoIterator<Item = f64>) {
        self.array(values.into_iter().map(f64::to_le_bytes));
    }

    /// The fields of one tree, in their order in the format.
    fn tree(&mut self, nodes: &[GrownNode], steps_per_score: f64) {
        let is_leaf = |node: &GrownNode| node.left == 0;
        let of = |node: &GrownNode, value: i32| if is_leaf(node) { -1 } else { value };
        self.i32(nodes.len() as i32);
        self.0.push(0);
        self.bytes(nodes.iter().map(|n| if is_leaf(n) { LEAF } else { NUMERICAL_TEST }));
        self.i32s(nodes.iter().map(|n| of(n, i32::from(n.left))));
        self.i32s(nodes.iter().map(|n| of(n, i32::from(n.left) + 1)));
        self.i32s(nodes.iter().map(|n| of(n, i32::from(n.column))));
        let prefers_left = |n: &GrownNode| nodes[n.left as usize].rows >= nodes[n.left as usize + 1].rows;
        self.bytes(nodes.iter().map(|n| u8::from(!is_leaf(n) && prefers_left(n))));
        self.f64s(nodes.iter().map(|n| if is_leaf(n) { f64::from(n.path) / steps_per_score } else { 0.0 }));
        self.f64s(nodes.iter().map(|n| if is_leaf(n) { 0.0 } else { n.split }));
        self.bytes(nodes.iter().map(|n| if is_leaf(n) { NO_OPERATOR } else { LESS_THAN }));
        // No categories that go right.
        self.bytes(nodes.iter().map(|_| 0));
        // Leaf vectors, then lists of categories: none, but a beginning and an end for each node.
        self.f64s([]);
        self.u64s(nodes.iter().map(|_| 0));
        self.u64s(nodes.iter().map(|_| 0));
        self.u64(0);
        self.u64s(nodes.iter().map(|_| 0));
        self.u64s(nodes.iter().map(|_| 0));
        self.u64s(nodes.iter().map(|n| u64::from(n.rows)));
        self.bytes(nodes.iter().map(|_| 1));
        // Neither sums of Hessians nor gains, nor what later versions may add.
        for _ in 0..4 {
            self.u64(0);
        }
        self.i32(0);
        self.i32(0);
    }
}
