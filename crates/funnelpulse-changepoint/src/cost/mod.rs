//! Costs of a segment: the misfit of one model to all its rows.

mod autoregressive;
mod binomial;
mod kernel;
mod l1;
mod l2;
mod normal;
mod poisson;
mod rank;
mod signal;
#[cfg(test)]
mod tests;
mod trend;

use std::fmt::Debug;

use ndarray::ArrayView2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    autoregressive::CostAutoregressive, binomial::CostBinomial, kernel::CostRbf, l1::CostL1, l2::CostL2,
    normal::CostNormal, poisson::CostPoisson, rank::CostRank, trend::CostLinearTrend,
};
pub(crate) use self::{poisson::running_exposure, signal::Signal};
use crate::ChangepointError;

/// The cost of every segment `start..end` of one signal.
///
/// Costs are additive over segments; a search looks for the segmentation with the lowest sum.
/// Implement this to search with a cost of your own:
///
/// ```
/// use funnelpulse_changepoint::{cost::Cost, search::Pelt};
///
/// /// Range of the values: segments are flat within a band.
/// #[derive(Debug)]
/// struct Range(Vec<f64>);
///
/// impl Cost for Range {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn cost(&self, start: usize, end: usize) -> f64 {
///         let part = &self.0[start..end];
///         let high = part.iter().copied().fold(f64::MIN, f64::max);
///         high - part.iter().copied().fold(f64::MAX, f64::min)
///     }
///     // Two halves may together have more range than the whole.
///     fn is_subadditive(&self) -> bool {
///         false
///     }
/// }
///
/// let steps = Range((0..60).map(|i| f64::from(i / 20 * 5 + i % 2)).collect());
/// let found = Pelt::new(2, 1)?.search(&steps, 2.0)?;
/// assert_eq!(found.breaks, [20, 40]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
pub trait Cost: Debug + Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// True if there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fewest rows for which the cost is defined.
    fn min_size(&self) -> usize {
        1
    }

    /// Cost of the rows `start..end`, finite.
    ///
    /// # Panics
    /// May panic unless `start + min_size <= end <= len`.
    fn cost(&self, start: usize, end: usize) -> f64;

    /// Costs of the segments that end before row `end` and start at each of `starts`, into `out`.
    fn costs(&self, starts: &[usize], end: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(starts.iter().map(|&start| self.cost(start, end)));
    }

    /// A stateful way to the same costs for searches that go through the ends in order; for costs
    /// that take long to compute from nothing.
    fn sweep(&self) -> Option<Box<dyn Sweep + '_>> {
        None
    }

    /// `cost(start, split) + cost(split, end)` for each split, into `out`; splits ascend.
    fn split_costs(&self, start: usize, end: usize, splits: &[usize], out: &mut Vec<f64>) {
        out.clear();
        out.extend(splits.iter().map(|&split| self.cost(start, split) + self.cost(split, end)));
    }

    /// True if two parts never cost more than the whole. PELT prunes only if so.
    fn is_subadditive(&self) -> bool {
        true
    }
}

/// Costs for ascending ends.
pub trait Sweep {
    /// As [`Cost::costs`]. `end` must be larger in every call, `starts` ascending, and none below
    /// the first of the call before.
    fn costs(&mut self, starts: &[usize], end: usize, out: &mut Vec<f64>);
}

/// Costs by the sweep of a cost if it has one, from nothing otherwise.
pub(crate) struct Sweeper<'a, C: ?Sized> {
    cost: &'a C,
    sweep: Option<Box<dyn Sweep + 'a>>,
}

impl<'a, C: Cost + ?Sized> Sweeper<'a, C> {
    pub(crate) fn new(cost: &'a C) -> Self {
        Self { cost, sweep: cost.sweep() }
    }

    pub(crate) fn costs(&mut self, starts: &[usize], end: usize, out: &mut Vec<f64>) {
        match &mut self.sweep {
            Some(sweep) => sweep.costs(starts, end, out),
            None => self.cost.costs(starts, end, out),
        }
    }
}

/// The costs by name, as configuration files and command lines give them.
///
/// The [costs of level](Self::is_of_level) find changes of a level only; breaks of theirs are
/// filtered by magnitude and p-value (see [`SegmentationConfig`](crate::SegmentationConfig)), those
/// of the others are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostKind {
    /// [`CostL1`]: change of the median.
    L1,
    /// [`CostL2`]: change of the mean.
    #[default]
    L2,
    /// [`CostNormal`]: change of mean or (co)variance.
    Normal,
    /// [`CostPoisson`]: change of a rate of counts.
    Poisson,
    /// [`CostBinomial`]: change of a proportion; columns successes and trials.
    Binomial,
    /// [`CostRank`]: change of distribution by ranks.
    Rank,
    /// [`CostRbf`]: change of distribution by a Gaussian kernel.
    Rbf,
    /// Linear kernel, which is [`CostL2`].
    Linear,
    /// Cosine kernel: change of direction, [`CostL2`] of rows scaled to length one.
    Cosine,
    /// Change of the mean in units of the columns' covariance, [`CostL2::mahalanobis`].
    Mahalanobis,
    /// [`CostAutoregressive`]: change of an autoregressive model.
    Autoregressive,
    /// [`CostLinearTrend`]: change of level or slope.
    LinearTrend,
}

impl CostKind {
    /// Every cost.
    pub const ALL: [Self; 12] = [
        Self::L1,
        Self::L2,
        Self::Normal,
        Self::Poisson,
        Self::Binomial,
        Self::Rank,
        Self::Rbf,
        Self::Linear,
        Self::Cosine,
        Self::Mahalanobis,
        Self::Autoregressive,
        Self::LinearTrend,
    ];

    /// The name as it stands in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Normal => "normal",
            Self::Poisson => "poisson",
            Self::Binomial => "binomial",
            Self::Rank => "rank",
            Self::Rbf => "rbf",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Mahalanobis => "mahalanobis",
            Self::Autoregressive => "autoregressive",
            Self::LinearTrend => "linear_trend",
        }
    }

    /// True if it finds changes of a level and of nothing else: `l1`, `l2`, `linear`, `mahalanobis`, `poisson` and
    /// `binomial` (the rate). The filters of
    /// [`SegmentationConfig`](crate::SegmentationConfig) apply to these only. The other costs find
    /// changes of spread, distribution, direction, dynamics or slope, with or without one of level.
    pub const fn is_of_level(self) -> bool {
        matches!(self, Self::L1 | Self::L2 | Self::Linear | Self::Mahalanobis | Self::Poisson | Self::Binomial)
    }

    /// The cost of `values`, a row per time; `gamma` is used by [`Rbf`](Self::Rbf) (`None`: median
    /// heuristic), `order` by [`Autoregressive`](Self::Autoregressive).
    ///
    /// ```
    /// use funnelpulse_changepoint::cost::{Cost, CostKind};
    /// use ndarray::array;
    ///
    /// let cost = CostKind::L2.build(array![[1.0], [3.0]].view(), None, 4)?;
    /// assert!((cost.cost(0, 2) - 2.0).abs() < 1e-12);
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn build(
        self,
        values: ArrayView2<'_, f64>,
        gamma: Option<f64>,
        order: usize,
    ) -> Result<Box<dyn Cost>, ChangepointError> {
        Ok(match self {
            Self::L1 => Box::new(CostL1::new(values)?),
            Self::L2 | Self::Linear => Box::new(CostL2::new(values)?),
            Self::Normal => Box::new(CostNormal::new(values)?),
            Self::Poisson => Box::new(CostPoisson::new(values)?),
            Self::Binomial => Box::new(CostBinomial::new(values)?),
            Self::Rank => Box::new(CostRank::new(values)?),
            Self::Rbf => Box::new(CostRbf::new(values, gamma)?),
            Self::Cosine => Box::new(CostL2::cosine(values)?),
            Self::Mahalanobis => Box::new(CostL2::mahalanobis(values)?),
            Self::Autoregressive => Box::new(CostAutoregressive::new(values, order)?),
            Self::LinearTrend => Box::new(CostLinearTrend::new(values)?),
        })
    }
}

impl std::fmt::Display for CostKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads what `Display` writes.
impl std::str::FromStr for CostKind {
    type Err = ChangepointError;

    fn from_str(text: &str) -> Result<Self, ChangepointError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            const ALLOWED: &str = "l1, l2, normal, poisson, binomial, rank, rbf, linear, cosine, mahalanobis, \
                                   autoregressive, linear_trend";
            ChangepointError::config("cost", text, ALLOWED)
        })
    }
}
