//! Breaks of a whole series, with what changed at each.

mod filter;
mod show;
mod statistics;
#[cfg(test)]
mod tests;

use funnelpulse_core::Timestamp;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    filter::leave_out,
    statistics::{Segment, Statistics},
};
use crate::{
    ChangepointError, Penalty,
    auto::find_partition,
    classifier::{ClassifierConfig, ClassifierSearch},
    cost::{CostKind, CostL2},
    error::check_positive,
    kernel::rbf_pelt,
    noise::Ar1,
    penalty,
    search::{Fpop, Partition},
};

/// Hyper-parameters of a [`Segmenter`]. The defaults are those of the system it replaces: a
/// Gaussian kernel, penalty 10, segments of at least 24 rows.
///
/// **Filters.** `min_magnitude` and `max_p_value` are about the level. They apply to the
/// [costs of level](CostKind::is_of_level) (`l1`, `l2`, `linear`, `mahalanobis`, `poisson`, `binomial`), for which
/// a break without a change of level is none. With the other costs, which find changes of spread,
/// shape, dynamics or direction at the same level too, every break found is kept, however small
/// the change of level; so with the default cost neither has an effect, and the penalty alone
/// decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentationConfig {
    /// The cost of a segment.
    pub cost: CostKind,
    /// `gamma` of the Gaussian kernel, above 0; by default the median heuristic.
    pub gamma: Option<f64>,
    /// Lags of the autoregressive cost, 1 to 50.
    pub order: usize,
    /// The penalty of a break.
    pub penalty: Penalty,
    /// Fewest rows of a segment, 1 or more.
    pub min_size: usize,
    /// Breaks lie at multiples of this, 1 or more.
    pub jump: usize,
    /// Breaks with a smaller relative change of level are left out (0.15 = 15 %), 0 or more; costs
    /// of level only.
    pub min_magnitude: f64,
    /// Breaks with a larger p-value are left out, above 0, at most 1; costs of level only.
    pub max_p_value: f64,
}

impl Default for SegmentationConfig {
    fn default() -> Self {
        Self {
            cost: CostKind::Rbf,
            gamma: None,
            order: 4,
            penalty: Penalty::Value(10.0),
            min_size: 24,
            jump: 1,
            min_magnitude: 0.15,
            max_p_value: 1.0,
        }
    }
}

impl SegmentationConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ChangepointError> {
        self.penalty.validate(self.cost)?;
        check_positive("min_size", self.min_size)?;
        check_positive("jump", self.jump)?;
        if !(1..=50).contains(&self.order) {
            return Err(ChangepointError::config("order", self.order, "1 to 50"));
        }
        if let Some(gamma) = self.gamma.filter(|g| !(*g > 0.0 && g.is_finite())) {
            return Err(ChangepointError::config("gamma", gamma, "above 0, finite"));
        }
        if !(self.min_magnitude >= 0.0 && self.min_magnitude.is_finite()) {
            return Err(ChangepointError::config("min_magnitude", self.min_magnitude, "0 or more, finite"));
        }
        if !(self.max_p_value > 0.0 && self.max_p_value <= 1.0) {
            return Err(ChangepointError::config("max_p_value", self.max_p_value, "above 0, at most 1"));
        }
        Ok(())
    }
}

/// Which way a level went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeDirection {
    /// Up.
    Increase,
    /// Down.
    Decrease,
}

impl ChangeDirection {
    /// The name as it stands in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Increase => "increase",
            Self::Decrease => "decrease",
        }
    }
}

/// A level with its standard error, which allows for autocorrelation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentLevel {
    /// Mean of the segment, or its rate (that of both segments for one without trials).
    pub mean: f64,
    /// Its standard error (one for a rate without trials).
    pub standard_error: f64,
}

/// A break, and what changed at it. `Display` is one line.
///
/// Levels, magnitude, p-value and interval are about the level, whatever the cost. They are those
/// of the column whose level (mean) changed most, in standard errors; with
/// [`CostKind::Binomial`] those of the rate, successes over trials. A break that another cost finds,
/// of spread say, may come without a change of level: it then has a small magnitude, a p-value near
/// one and a wide interval, which say nothing about how sure the break is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Break {
    /// First row of the new segment.
    pub index: usize,
    /// Its time, if there are times.
    pub time: Option<Timestamp>,
    /// First and last row at which the new level may have begun, 95 % confidence (Bai 1997).
    pub interval: (usize, usize),
    /// The column that changed most; of a rate column 0, the successes.
    pub column: usize,
    /// Which way its level went.
    pub direction: ChangeDirection,
    /// Change of its level relative to the level before; from a level of zero, to the level after
    /// (so ±1).
    pub magnitude: f64,
    /// With a [classifier](Segmenter::classifier) that of its permutation test; otherwise the probability that noise around
    /// one level looks as much like a change of level at its best
    /// place: the Kolmogorov distribution of the cumulated sum over the two segments, with the
    /// long-run variance, times the number of columns. It is blind to changes of anything but the
    /// level.
    ///
    /// Of a rate: the two-proportion statistic with the common rate, cumulated over trials. The
    /// binomial variance is multiplied by the mean square of the residuals (Pearson) and by
    /// `(1 + rho) / (1 - rho)`, `rho` their autocorrelation at lag one, and by one at least. A
    /// segment without trials has no rate of its own, so no change.
    pub p_value: f64,
    /// Level of the segment before.
    pub before: SegmentLevel,
    /// Level of the segment after.
    pub after: SegmentLevel,
}

/// The breaks of a series. `Display` is a line per break.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// In order of time.
    pub breaks: Vec<Break>,
    /// Sum of the costs of the segments found, before any break was left out; 0 with a
    /// [classifier](Segmenter::classifier).
    pub cost: f64,
    /// Rows used: those without a missing value.
    pub rows: usize,
}

/// Finds the breaks of a whole series: the cost, the search and the statistics in one.
///
/// **Missing values**: rows with a NaN in any column are left out, and indices are those of the
/// rows given.
///
/// ```
/// use funnelpulse_changepoint::{ChangeDirection, SegmentationConfig, Segmenter};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((200, 1), |(i, _)| (i * 7 % 10) as f64 + if i < 120 { 40.0 } else { 20.0 });
/// let found = Segmenter::new(SegmentationConfig::default())?.segment(values.view(), None)?;
/// let shift = &found.breaks[0];
/// assert_eq!((shift.index, shift.direction), (120, ChangeDirection::Decrease));
/// assert!((shift.magnitude + 20.0 / 44.5).abs() < 1e-6 && shift.p_value < 1e-6);
/// assert!(shift.interval.0 <= 120 && 120 <= shift.interval.1);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Segmenter {
    config: SegmentationConfig,
    method: Method,
}

/// The way to the breaks.
#[derive(Clone, Debug, PartialEq)]
enum Method {
    /// The cost and the penalty of the configuration.
    Cost,
    /// No parameter.
    Auto,
    /// A classifier and a permutation test.
    Classifier(ClassifierSearch),
}

impl TryFrom<SegmentationConfig> for Segmenter {
    type Error = ChangepointError;

    fn try_from(config: SegmentationConfig) -> Result<Self, ChangepointError> {
        Self::new(config)
    }
}

impl Segmenter {
    /// Checks the hyper-parameters.
    pub fn new(config: SegmentationConfig) -> Result<Self, ChangepointError> {
        config.validate()?;
        Ok(Self { config, method: Method::Cost })
    }

    /// Without a parameter: the breaks that [`find_partition`](crate::auto::find_partition) finds, none left out. One
    /// column.
    ///
    /// ```
    /// use funnelpulse_changepoint::Segmenter;
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((60, 1), |(i, _)| (i * 7 % 10) as f64 + if i < 40 { 40.0 } else { 20.0 });
    /// assert_eq!(Segmenter::auto().segment(values.view(), None)?.breaks[0].index, 40);
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn auto() -> Self {
        let config = SegmentationConfig { min_size: 1, min_magnitude: 0.0, ..SegmentationConfig::default() };
        Self { config, method: Method::Auto }
    }

    /// The breaks that a [classifier](crate::classifier) finds, none left out. Their p-values are those of its permutation
    /// test; there is no cost.
    ///
    /// ```
    /// use funnelpulse_changepoint::{Segmenter, classifier::ClassifierConfig};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((200, 1), |(i, _)| (i * i * 7 % 10) as f64 + if i < 120 { 40.0 } else { 20.0 });
    /// let found = Segmenter::classifier(ClassifierConfig::default())?.segment(values.view(), None)?;
    /// assert_eq!(found.breaks[0].index, 120);
    /// assert_eq!(found.breaks[0].p_value, 0.005, "none of 199 permutations has so large a gain");
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn classifier(config: ClassifierConfig) -> Result<Self, ChangepointError> {
        let method = Method::Classifier(ClassifierSearch::new(config)?);
        Ok(Self { config: SegmentationConfig { min_size: 1, ..SegmentationConfig::default() }, method })
    }

    /// The breaks of `values`, a row per time of `time` (if given) in order.
    pub fn segment(
        &self,
        values: ArrayView2<'_, f64>,
        time: Option<&[Timestamp]>,
    ) -> Result<Segmentation, ChangepointError> {
        let config = &self.config;
        let (kept, values) = complete_rows(values, time)?;
        // Costs count the rows they are given.
        let (found, p_values) = self.find(values.view()).map_err(|error| match error {
            ChangepointError::Value { row, column, value, allowed } => {
                ChangepointError::Value { row: kept[row], column, value, allowed }
            }
            other => other,
        })?;
        let segments = Segment::between(values.view(), &found.breaks);
        let statistics = Statistics::new(config.cost, values.view(), &segments);
        let small = |b: &Break| b.magnitude.abs() < config.min_magnitude || b.p_value > config.max_p_value;
        let is_filtered = config.cost.is_of_level() && self.method == Method::Cost;
        let breaks = leave_out(segments, |left, right| statistics.compare(left, right), |b| is_filtered && small(b));
        let mut segmentation = Segmentation { breaks, cost: found.cost, rows: values.nrows() };
        for (found, p_value) in segmentation.breaks.iter_mut().zip(p_values) {
            found.p_value = p_value;
        }
        for found in &mut segmentation.breaks {
            found.index = kept[found.index];
            found.interval = (kept[found.interval.0], kept[found.interval.1]);
            found.time = time.map(|time| time[found.index]);
        }
        Ok(segmentation)
    }

    /// The best segmentation, and the p-values of its breaks where the search has them.
    fn find(&self, values: ArrayView2<'_, f64>) -> Result<(Partition, Vec<f64>), ChangepointError> {
        let partition = match &self.method {
            Method::Cost => self.by_cost(values)?,
            Method::Auto if values.ncols() == 1 => {
                Partition::at(&CostL2::new(values)?, find_partition(values.column(0))?.breaks)
            }
            Method::Auto => {
                return Err(ChangepointError::Columns { what: "auto", columns: values.ncols(), allowed: "1 column" });
            }
            Method::Classifier(search) => {
                let found = search.search(values)?;
                let breaks = found.iter().map(|found| found.index).collect();
                return Ok((Partition { breaks, cost: 0.0 }, found.into_iter().map(|found| found.p_value).collect()));
            }
        };
        Ok((partition, Vec::new()))
    }

    /// The best segmentation by the cost alone.
    fn by_cost(&self, values: ArrayView2<'_, f64>) -> Result<Partition, ChangepointError> {
        let config = &self.config;
        if values.nrows() < config.min_size {
            return Err(ChangepointError::TooShort { rows: values.nrows(), needed: config.min_size, segments: 1 });
        }
        let size = (config.min_size, config.jump);
        Ok(match (config.cost, config.penalty) {
            (CostKind::Rbf, Penalty::Value(penalty)) => rbf_pelt(values, config.gamma, size.0, size.1, penalty)?,
            (CostKind::L2 | CostKind::Linear, Penalty::Value(penalty)) if values.ncols() == 1 => {
                Fpop::new(size.0, size.1)?.l2(values.column(0), penalty)?
            }
            (kind, penalty) => {
                let cost = kind.build(values, config.gamma, config.order)?;
                let parameters = penalty::parameters(kind, values.ncols(), config.order);
                penalty.search(&*cost, size, noise(kind, values), parameters)?
            }
        })
    }
}

/// The rows without NaN, and where they were.
fn complete_rows(
    values: ArrayView2<'_, f64>,
    time: Option<&[Timestamp]>,
) -> Result<(Vec<usize>, Array2<f64>), ChangepointError> {
    if let Some(time) = time.filter(|time| time.len() != values.nrows()) {
        return Err(ChangepointError::Length { what: "time", found: time.len(), expected: values.nrows() });
    }
    let complete = |(i, row): (usize, ArrayView1<'_, f64>)| row.iter().all(|v| !v.is_nan()).then_some(i);
    let kept: Vec<usize> = values.rows().into_iter().enumerate().filter_map(complete).collect();
    let values = values.select(Axis(0), &kept);
    Ok((kept, values))
}

/// The noise of a series in units of a cost.
fn noise(kind: CostKind, values: ArrayView2<'_, f64>) -> f64 {
    let mean = |of: fn(&Ar1) -> f64| {
        let columns = values.columns().into_iter().map(|c| of(&Ar1::fit(c)));
        columns.sum::<f64>() / values.ncols() as f64
    };
    match kind {
        CostKind::L1 => mean(|noise| noise.long_run_variance().sqrt() * (2.0 / std::f64::consts::PI).sqrt()),
        CostKind::L2 | CostKind::Linear | CostKind::LinearTrend => mean(Ar1::long_run_variance),
        // In units of the variance of all rows, breaks included.
        CostKind::Mahalanobis => {
            let share = |column: ArrayView1<'_, f64>| {
                let variance = column.var(1.0_f64.min(column.len() as f64 - 1.0));
                if variance > 0.0 { Ar1::fit(column).long_run_variance() / variance } else { 1.0 }
            };
            values.columns().into_iter().map(share).sum::<f64>() / values.ncols() as f64
        }
        CostKind::Autoregressive => mean(|noise| noise.variance * (1.0 - noise.rho * noise.rho)),
        _ => 1.0,
    }
}
