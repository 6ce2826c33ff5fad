//! The forest before it has seen data.

use std::sync::Arc;

use funnelpulse_core::{BoxError, Columns, Detector, Error, FrameError, FrameView, Threshold};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};

use crate::{
    IsolationForestConfig, IsolationForestError, IsolationForestModel,
    model::KIND,
    online::Reservoir,
    out_of_bag::{self, Bags},
    sample::Population,
    trees::{Nursery, Trees},
};

/// Isolation forest (Liu, Ting & Zhou 2008, 2012) and its family: extended (Hariri et al. 2019),
/// `SCiForest` (Liu et al. 2010), pooled gain and density (Cortes 2021). See
/// [`Split`](crate::Split).
///
/// **Score**: `2^(-E[h] / c(psi))` in (0, 1], where `h` is the depth at which a tree isolates the
/// row and `c(psi)` the average depth for a sample of `psi` rows. Larger is more anomalous. Forests
/// with a gain criterion isolate sooner: their normal rows score higher than the 0.5 of `standard`.
///
/// **Missing values**: a row without the value that a split on one column asks for goes both ways,
/// weighted by the shares of the training rows. In a direction through several columns a
/// missing value counts as the column's median, and only a row that misses all of them goes both
/// ways. A row without any value scores NaN and is not trained on.
///
/// **Categories**: columns that [`categorical`](IsolationForestConfig::categorical) names hold codes without an order. A
/// node of a `standard` forest sends each category that its training rows have right or left at random, one each way at
/// least, as isotree does (Cortes 2019, `categ_split_type="subset"`). A row with a category that no training row of the
/// node had goes both ways, like one whose value is missing. Other columns are ordered numbers.
///
/// **Columns** may be constant, copies of each other, or of any size: `standard` compares in f64, the other splits in f32 after
/// scaling each column by its median and standard deviation.
///
/// **Complexity**: fitting reads only the rows that it draws, `O(trees * psi * (depth + columns))`
/// time and `O(trees * psi)` memory; scoring takes `O(rows * trees * depth)` time.
///
/// ```
/// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
///
/// let error = IsolationForest::new(IsolationForestConfig { n_trees: 0, ..Default::default() }).unwrap_err();
/// assert_eq!(error.to_string(), "n_trees = 0 is out of range (1 to 65535)");
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

    /// The hyper-parameters.
    pub fn config(&self) -> &IsolationForestConfig {
        &self.config
    }

    /// Fits to a bare matrix, a row per observation; columns are named by their number. Nothing
    /// is copied where rows lie one after the other in memory. An infinite value is an error when
    /// its row is drawn; rows that no tree draws are not read.
    ///
    /// ```
    /// use funnelpulse_iforest::{IsolationForest, IsolationForestConfig};
    /// use ndarray::array;
    ///
    /// let values = array![[0.0, 1.0], [0.1, 0.9], [0.2, 1.1], [9.0, -4.0]];
    /// let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_values(values.view())?;
    /// let scores = model.score_values(values.view())?;
    /// assert!(scores[3] > scores[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fit_values(&self, values: ArrayView2<'_, f64>) -> Result<IsolationForestModel, IsolationForestError> {
        let names: Vec<String> = (0..values.ncols()).map(|column| column.to_string()).collect();
        let columns = Columns::new(names.iter().map(String::as_str)).map_err(Error::from)?;
        let table = values.as_standard_layout();
        self.grow(&columns, table.view(), None, true)
    }

    /// Fits to rows of which some count more: the probability of being drawn for a tree is
    /// proportional to the weight. Rows of weight 0 are never drawn, now or in updates; other weights
    /// make no difference to updates.
    pub fn fit_weighted(
        &self,
        history: FrameView<'_>,
        weights: ArrayView1<'_, f64>,
    ) -> Result<IsolationForestModel, IsolationForestError> {
        let refuse = |what: String| Err(IsolationForestError::Weights(what));
        if weights.len() != history.nrows() {
            return refuse(format!("{} weights for {} rows", weights.len(), history.nrows()));
        }
        if let Some((row, weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return refuse(format!("{weight} at row {row} is not a number of 0 or more"));
        }
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let weights: Vec<f64> = weights.iter().map(|w| w / largest).collect();
        let values = history.values();
        let table = values.as_standard_layout();
        self.grow(history.columns(), table.view(), Some(&weights), true)
    }

    /// Grows a model on a table in standard layout. `recent`: the last rows are the latest.
    fn grow(
        &self,
        columns: &Columns,
        values: ArrayView2<'_, f64>,
        weights: Option<&[f64]>,
        recent: bool,
    ) -> Result<IsolationForestModel, IsolationForestError> {
        let width = columns.len();
        let table = values.to_slice().expect("the caller made it standard layout");
        if width == 0 || width > 65_535 || u32::try_from(values.nrows()).is_err() {
            let source =
                format!("{} rows of {width} columns (1 to 65535 columns, fewer than 2^32 rows)", values.nrows());
            return Err(Error::Detector { detector: KIND, source: source.into() }.into());
        }
        self.config.require_categorical(columns)?;
        let nursery = |population: Population| {
            let samples = self.config.max_samples.min(population.len());
            Nursery::new(&self.config, columns, table, population, samples)
        };
        // Most tables need no look at the rows that no tree draws.
        let unseen = (weights.is_none() && values.nrows() >= 2)
            .then(|| nursery(Population::unseen(values.nrows(), self.config.bootstrap)));
        let numbers = 0..self.config.n_trees as u64;
        let grown = unseen.and_then(|nursery| nursery.grow(numbers.clone()).map(|trees| (nursery, trees)));
        let (nursery, trees) = if let Some(grown) = grown {
            grown
        } else {
            if let Some(at) = table.iter().position(|v| v.is_infinite()) {
                let (row, column, value) = (at / width, columns[at % width].clone(), table[at]);
                return Err(Error::from(FrameError::Infinite { row, column, value }).into());
            }
            let population = Population::new(table, width, weights, self.config.bootstrap);
            if population.len() < 2 {
                return Err(Error::TooFewRows { detector: KIND, rows: population.len(), needed: 2 }.into());
            }
            let nursery = nursery(population);
            let trees = nursery.grow(numbers).expect("only rows with finite values can be drawn");
            (nursery, trees)
        };
        let reservoir = Reservoir::fill(&nursery, recent);
        let threshold = match self.config.contamination {
            Some(contamination) => {
                let scores = self.unseen_scores(&nursery, &trees, columns, weights)?;
                Threshold::from_contamination(&scores, contamination)
            }
            None => self.config.threshold.map(Threshold::new),
        };
        let bags = match weights {
            Some(_) => Bags::Unknown,
            None if nursery.population.is_scanned() => Bags::OfUsableRows,
            None => Bags::OfAllRows,
        };
        let (columns, config, samples) = (columns.clone(), self.config.clone(), nursery.samples);
        Ok(IsolationForestModel { columns, config, samples, trees, threshold, reservoir, bags })
    }

    /// Scores of the training rows by trees that did not see them: out of bag, or where every
    /// tree sees every row by forests grown without a fifth of the rows.
    fn unseen_scores(
        &self,
        nursery: &Nursery<'_>,
        trees: &[Trees],
        columns: &Columns,
        weights: Option<&[f64]>,
    ) -> Result<Vec<f64>, IsolationForestError> {
        if nursery.samples < nursery.population.len() {
            return Ok(out_of_bag::scores(nursery, trees));
        }
        let rows: Vec<&[f64]> = nursery.table.chunks_exact(nursery.width).collect();
        let config = IsolationForestConfig { contamination: None, reservoir: 0, ..self.config.clone() };
        let mut scores = vec![f64::NAN; rows.len()];
        let folds = rows.len().min(FOLDS);
        for fold in 0..folds {
            let kept: Vec<usize> = (0..rows.len()).filter(|row| row % folds != fold).collect();
            let table: Vec<f64> = kept.iter().flat_map(|&row| rows[row]).copied().collect();
            let weights: Option<Vec<f64>> = weights.map(|w| kept.iter().map(|&row| w[row]).collect());
            let table = ArrayView2::from_shape((kept.len(), nursery.width), &table).expect("whole rows");
            let forest = Self { config: config.clone() };
            // Too few rows to leave some out: no threshold rather than one from training scores.
            let Ok(model) = forest.grow(columns, table, weights.as_deref(), true) else { continue };
            for row in (fold..rows.len()).step_by(folds) {
                let view = ArrayView2::from_shape((1, nursery.width), rows[row]).expect("one row");
                scores[row] = model.score_values(view)?[0];
            }
        }
        Ok(scores)
    }
}

/// Parts that small tables are divided into for a threshold.
const FOLDS: usize = 5;

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
        let values = history.values();
        let table = values.as_standard_layout();
        self.grow(history.columns(), table.view(), None, true)
    }

    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<IsolationForestModel, IsolationForestError> {
        let Some(first) = histories.first() else {
            return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 2 }.into());
        };
        let table = stack(histories, first.columns())?;
        self.grow(first.columns(), table.view(), None, histories.len() == 1)
    }
}

/// The frames below one another, with the columns in the given order.
pub(crate) fn stack(frames: &[FrameView<'_>], columns: &[Arc<str>]) -> Result<Array2<f64>, Error> {
    let parts = frames.iter().map(|f| f.aligned(columns)).collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    if views.is_empty() {
        return Ok(Array2::zeros((0, columns.len())));
    }
    concatenate(Axis(0), &views).map_err(|e| Error::Detector { detector: KIND, source: BoxError::from(e) })
}
