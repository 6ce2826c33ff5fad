//! The grown forest.

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Detection, Error, FittedDetector, FrameView, ModelError, ModelInfo, OnlineDetector, PersistentModel,
    Threshold, Writer, decode_payload, writer,
};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    IsolationForestConfig, IsolationForestError, Split,
    forest::stack,
    online::Reservoir,
    out_of_bag::{self, Bags},
    sample::Population,
    score::Scorer,
    trees::{Nursery, Trees},
};

pub(crate) const KIND: &str = "iforest";

/// Rows of 32-bit floats that are scored at once as doubles: enough for all threads, and for the vector kernel's trees to
/// pay off.
const ROWS_AS_DOUBLES: usize = 1 << 16;

/// A grown [`IsolationForest`](crate::IsolationForest).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct IsolationForestModel {
    pub(crate) columns: Columns,
    pub(crate) config: IsolationForestConfig,
    pub(crate) samples: usize,
    pub(crate) trees: Vec<Trees>,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) reservoir: Reservoir,
    pub(crate) bags: Bags,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    config: IsolationForestConfig,
    samples: usize,
    trees: Vec<Trees>,
    threshold: Option<Threshold>,
    reservoir: Reservoir,
    bags: Bags,
}

impl TryFrom<Unchecked> for IsolationForestModel {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        u.config.validate().map_err(|e| e.to_string())?;
        u.config.require_categorical(&u.columns).map_err(|e| e.to_string())?;
        let width = u.columns.len();
        let n_trees: usize = u.trees.iter().map(Trees::len).sum();
        if !(2..=u.config.max_samples).contains(&u.samples) || !(1..=65_535).contains(&n_trees) {
            return Err(format!("a forest of {n_trees} trees on {} rows each", u.samples));
        }
        let fits = |trees: &Trees| {
            let kind_fits = match trees {
                Trees::Axis(_) => u.config.split == Split::Standard && u.config.categorical.is_empty(),
                Trees::Oblique(_) => u.config.split != Split::Standard,
                Trees::Mixed(_) => !u.config.categorical.is_empty(),
            };
            kind_fits && trees.width() == width && trees.max_rows() <= u.samples
        };
        if !u.trees.iter().all(fits) {
            return Err("trees that do not fit the columns, the kind of split or the sample".into());
        }
        if !u.reservoir.is_valid(width, n_trees, u.samples) {
            return Err("a reservoir of rows that do not fit it".into());
        }
        if u.threshold.is_some_and(|t| !t.limit().is_finite()) {
            return Err("a threshold that is no number".into());
        }
        Ok(Self {
            columns: u.columns,
            config: u.config,
            samples: u.samples,
            trees: u.trees,
            threshold: u.threshold,
            reservoir: u.reservoir,
            bags: u.bags,
        })
    }
}

impl IsolationForestModel {
    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.trees.iter().map(Trees::len).sum()
    }

    /// Number of nodes of all trees, leaves included.
    pub fn n_nodes(&self) -> usize {
        self.trees.iter().map(Trees::n_nodes).sum()
    }

    /// Rows that each tree was grown on.
    pub fn samples_per_tree(&self) -> usize {
        self.samples
    }

    /// The hyper-parameters that it was grown with.
    pub fn config(&self) -> &IsolationForestConfig {
        &self.config
    }

    /// The score from which a row is flagged: `threshold` of the configuration, or the score that its
    /// `contamination` of the training rows exceed **out of bag**: what new rows would score. Scores
    /// by trees that saw the row are not: such a tree had to make room for it. Tables of up to
    /// `max_samples` rows have no row out of bag; there, five forests grown without a
    /// fifth of the rows each score that fifth.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((1_000, 2), |(i, j)| ((i * (13 + 8 * j)) as f64).sin());
    /// let config = IsolationForestConfig { contamination: Some(0.02), ..Default::default() };
    /// let model = IsolationForest::new(config)?.fit_values(values.view())?;
    /// let threshold = model.threshold().expect("contamination was set");
    /// let scores = model.score_values(values.view())?;
    /// assert!(scores.iter().filter(|&&s| threshold.flags(s)).count() < 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// Scores of a bare matrix with the columns in the order of training; what
    /// [`detect`](FittedDetector::detect) returns, without contributions and several times
    /// faster. Beyond the scores it needs memory for 1,024 rows per thread and, of a `standard`
    /// forest, 1 to 3 kB per tree; where values are missing, 8 bytes for each of up to 16,384 rows per thread. Rows that
    /// don't lie one after the other are copied.
    pub fn score_values(&self, values: ArrayView2<'_, f64>) -> Result<Array1<f64>, Error> {
        let width = self.require_width(values.ncols())?;
        let values = values.as_standard_layout();
        let table = values.as_slice().expect("standard layout is contiguous");
        Ok(Array1::from(self.scorer().scores(table, width)))
    }

    /// Scores of 32-bit floats, which are what [`score_values`](Self::score_values) gives for the same numbers as
    /// doubles, without a copy of the whole table.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let single = Array2::from_shape_fn((300, 2), |(i, j)| ((i * (13 + 8 * j)) as f32).sin());
    /// let double = single.mapv(f64::from);
    /// let model = IsolationForest::new(IsolationForestConfig::default())?.fit_values(double.view())?;
    /// assert_eq!(model.score_singles(single.view())?, model.score_values(double.view())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn score_singles(&self, values: ArrayView2<'_, f32>) -> Result<Array1<f64>, Error> {
        let width = self.require_width(values.ncols())?;
        let (mut scores, mut part) = (Vec::with_capacity(values.nrows()), Vec::new());
        for rows in values.axis_chunks_iter(Axis(0), ROWS_AS_DOUBLES) {
            part.clear();
            part.extend(rows.iter().copied().map(f64::from));
            scores.extend(self.scorer().scores(&part, width));
        }
        Ok(Array1::from(scores))
    }

    /// The number of columns, if it is that of the training.
    pub(crate) fn require_width(&self, found: usize) -> Result<usize, Error> {
        let width = self.columns.len();
        if found == width {
            return Ok(width);
        }
        let source = format!("{found} columns, the forest was grown on {width}");
        Err(Error::Detector { detector: KIND, source: source.into() })
    }

    /// One forest of the trees of both, for forests that were grown on parts of the data. Both
    /// must have the same columns, shape of splits and trees, scoring and rows per tree. A threshold and out-of-bag
    /// scores are gone: neither part can give them for the whole.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::Array2;
    ///
    /// let part = |seed: usize| Array2::from_shape_fn((500, 2), |(i, j)| ((i * (seed + j)) as f64).sin());
    /// let forest = |seed, part: Array2<f64>| {
    ///     let config = IsolationForestConfig { seed, n_trees: 50, ..Default::default() };
    ///     IsolationForest::new(config)?.fit_values(part.view())
    /// };
    /// let whole = forest(1, part(3))?.merge(&forest(2, part(7))?)?;
    /// assert_eq!(whole.n_trees(), 100);
    /// # Ok::<(), funnelpulse_iforest::IsolationForestError>(())
    /// ```
    pub fn merge(&self, other: &Self) -> Result<Self, IsolationForestError> {
        let differs = |what| Err(IsolationForestError::Merge(what));
        if self.columns != other.columns {
            return differs("columns");
        }
        if self.samples != other.samples {
            return differs("rows per tree");
        }
        if (self.config.split, self.config.scoring) != (other.config.split, other.config.scoring) {
            return differs("split or scoring");
        }
        if self.config.categorical_flags(&self.columns) != other.config.categorical_flags(&other.columns) {
            return differs("categorical columns");
        }
        let shape = |model: &Self| {
            let terms = model.config.columns_per_split.min(model.columns.len());
            (terms, model.config.depth_limit(model.samples), model.config.max_features)
        };
        if self.config.split != Split::Standard && shape(self).0 != shape(other).0 {
            return differs("columns per split");
        }
        if (shape(self).1, shape(self).2) != (shape(other).1, shape(other).2) {
            return differs("depth or share of columns");
        }
        let n_trees = self.n_trees() + other.n_trees();
        let config = IsolationForestConfig { n_trees, contamination: None, threshold: None, ..self.config.clone() };
        config.validate()?;
        Ok(Self {
            columns: self.columns.clone(),
            config,
            samples: self.samples,
            trees: self.trees.iter().chain(&other.trees).cloned().collect(),
            threshold: None,
            reservoir: self.reservoir.merge(&other.reservoir, self.columns.len()),
            bags: Bags::Unknown,
        })
    }

    pub(crate) fn scorer(&self) -> Scorer<'_> {
        Scorer { trees: &self.trees, config: &self.config, samples: self.samples }
    }
}

impl FittedDetector for IsolationForestModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn writer(&self) -> Writer {
        writer!(Self)
    }

    /// Scores alone; [`contributions`](FittedDetector::contributions) cost several times as much.
    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        Ok(Detection::new(self.score_values(frame.aligned(&self.columns)?.view())?))
    }

    /// Every split credits the columns that it looks at with `ln(training rows before / after)`, a
    /// direction's columns by their share of the projection; the credits of a row are scaled to sum
    /// to its score, in equal parts where no split isolates it.
    fn contributions(&self, frame: FrameView<'_>, rows: &[usize]) -> Result<Option<Array2<f64>>, Error> {
        Ok(Some(self.explain_values(frame.aligned(&self.columns)?.select(Axis(0), rows).view()).1))
    }

    /// Out-of-bag scores: each row by the trees that were not grown on it. `None` when every tree
    /// saw every row, which is so up to `max_samples` rows without `bootstrap`, and after `merge`,
    /// `update` and weights.
    fn out_of_sample_scores(&self, histories: &[FrameView<'_>]) -> Result<Option<Vec<Array1<f64>>>, Error> {
        let values = stack(histories, &self.columns)?;
        let width = self.columns.len();
        let table = values.as_slice().expect("stacked rows are contiguous");
        let population = match self.bags {
            Bags::Unknown => return Ok(None),
            Bags::OfAllRows => Population::unseen(values.nrows(), self.config.bootstrap),
            Bags::OfUsableRows => Population::new(table, width, None, self.config.bootstrap),
        };
        if population.len() <= self.samples && !self.config.bootstrap {
            return Ok(None);
        }
        let nursery = Nursery::new(&self.config, &self.columns, table, population, self.samples);
        let mut scores = out_of_bag::scores(&nursery, &self.trees).into_iter();
        Ok(Some(histories.iter().map(|h| scores.by_ref().take(h.nrows()).collect()).collect()))
    }

    fn as_online(&mut self) -> Option<&mut dyn OnlineDetector> {
        if self.reservoir.capacity > 0 { Some(self) } else { None }
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for IsolationForestModel {
    const KIND: &'static str = KIND;
    const VERSION: u16 = 2;

    fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
        let first: version_1::Model = decode_payload(info, payload)?;
        let invalid = |reason| ModelError::Payload { kind: KIND.to_owned(), reason };
        Unchecked::from(first).try_into().map_err(invalid)
    }
}

/// The payload before categorical columns.
mod version_1 {
    use super::{Bags, Columns, Deserialize, IsolationForestConfig, Reservoir, Threshold, Trees, Unchecked};
    use crate::{Scoring, Split};

    #[derive(Deserialize)]
    struct Config {
        split: Split,
        columns_per_split: usize,
        candidates: usize,
        scoring: Scoring,
        n_trees: usize,
        max_samples: usize,
        max_depth: Option<usize>,
        max_features: f64,
        bootstrap: bool,
        contamination: Option<f64>,
        threshold: Option<f64>,
        reservoir: usize,
        seed: u64,
    }

    #[derive(Deserialize)]
    pub(super) struct Model {
        columns: Columns,
        config: Config,
        samples: usize,
        trees: Vec<Trees>,
        threshold: Option<Threshold>,
        reservoir: Reservoir,
        bags: Bags,
    }

    impl From<Model> for Unchecked {
        fn from(model: Model) -> Self {
            let c = model.config;
            let config = IsolationForestConfig {
                split: c.split,
                columns_per_split: c.columns_per_split,
                candidates: c.candidates,
                scoring: c.scoring,
                n_trees: c.n_trees,
                max_samples: c.max_samples,
                max_depth: c.max_depth,
                max_features: c.max_features,
                bootstrap: c.bootstrap,
                contamination: c.contamination,
                threshold: c.threshold,
                reservoir: c.reservoir,
                seed: c.seed,
                categorical: Vec::new(),
            };
            let Model { columns, samples, trees, threshold, reservoir, bags, .. } = model;
            Self { columns, config, samples, trees, threshold, reservoir, bags }
        }
    }
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::{Registry, to_bytes};
    use ndarray::Array2;

    use super::*;
    use crate::IsolationForest;

    #[test]
    fn counters_that_cannot_be_are_refused() {
        let values = Array2::from_shape_fn((50, 2), |(i, j)| ((i * (3 + j)) as f64).sin());
        let config = IsolationForestConfig { n_trees: 5, ..IsolationForestConfig::standard() };
        let good = IsolationForest::new(config).unwrap().fit_values(values.view()).unwrap();
        let registry = Registry::new().with::<IsolationForestModel>();
        let loads = |change: &dyn Fn(&mut Reservoir)| {
            let mut model = good.clone();
            change(&mut model.reservoir);
            registry.load(&to_bytes(&model).unwrap()).is_ok()
        };
        assert!(loads(&|_| ()));
        assert!(!loads(&|r| r.seen = 1 << 47), "trees that were never replaced would all be due at once");
        assert!(!loads(&|r| r.seen = u64::MAX));
        assert!(!loads(&|r| r.replaced = 1));
        assert!(!loads(&|r| r.capacity = usize::MAX));
        assert!(!loads(&|r| r.capacity = 1));
        assert!(!loads(&|r| r.rows.push(f64::NAN)));
    }
}
