//! The detector: the evidence at each row for a break that has just happened.

mod config;
mod evidence;
mod model;
mod profile;
mod season;
#[cfg(test)]
mod tests;

use funnelpulse_core::{Detector, Error, FrameView, Threshold};

pub use self::{
    config::{ChangeScale, ChangepointConfig},
    model::ChangepointModel,
    season::ProfileSeason,
};
use crate::ChangepointError;

pub(super) const KIND: &str = "changepoint";
/// Fewest rows that can be learnt from.
const MIN_ROWS: usize = 10;

/// Changes of level as they happen, in series with a daily and weekly rhythm.
///
/// **Model.** Fitting learns a level and a spread for each hour of the week (or day) of each
/// column, by trimmed moments, so that breaks and outliers in the history have little influence. A
/// column that is never negative is modelled as a rate of change times that level, with a variance
/// in proportion to the level, as counts, amounts and ratios have it; others shift by a number.
///
/// **Score.** At every row, for each number `m` of rows up to the [horizon](ChangepointConfig::horizon),
/// the last `m` rows are compared with the [`lookback`](ChangepointConfig::lookback) rows before
/// them by the signed root of the likelihood ratio of two levels against one (quasi-Poisson, or
/// normal). If a break up to two days before the horizon explains the last rows better, they are
/// compared with the rows since that break too, and the weaker comparison counts: a break has a high
/// score in its first rows only. The result is divided by its 95 % quantile in the history over that of a
/// normal distribution (if larger), which allows for autocorrelation and wandering; the score of a
/// column is the highest over `m`, in standard deviations, and counts less in proportion if the
/// level changed by less than [`min_magnitude`](ChangepointConfig::min_magnitude). **The score of a
/// row is that of its highest column**; the contributions are those of each.
///
/// The score looks back only, over [`context`](ChangepointConfig::context) rows: a break is seen at
/// its first rows, in the history or after it. Before the first row of a frame eight rows as
/// expected are assumed.
///
/// **Missing values** are left out. A column contributes zero where its value is missing; a row
/// without any value scores NaN. Absent rows are skipped: rows are counted, not hours.
///
/// **Expected** is the level of the hour times the present level of the column (over the
/// day before, or the lookback if shorter), the interval three standard deviations.
///
/// ```
/// use funnelpulse_changepoint::{Changepoint, ChangepointConfig};
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Timestamp};
/// use ndarray::Array2;
///
/// // Views with a daily rhythm that lose a third of their level at hour 700.
/// let views = |i: usize| (100.0 + 60.0 * (i as f64 / 24.0 * std::f64::consts::TAU).sin() + (i * 7 % 10) as f64)
///     * if i < 700 { 1.0 } else { 0.67 };
/// let time = (0..800).map(|i| Timestamp::from_seconds(3_600 * i)).collect();
/// let frame = Frame::new(time, Columns::new(["views"])?, Array2::from_shape_fn((800, 1), |(i, _)| views(i)))?;
///
/// let detector = Changepoint::new(ChangepointConfig::default())?;
/// let model = detector.fit(frame.view().rows(0..600))?;
/// let scores = model.detect(frame.view())?.into_score();
/// let first = (600..800).find(|&i| Changepoint::THRESHOLD.flags(scores[i])).expect("the break is found");
/// assert!((700..706).contains(&first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Changepoint {
    config: ChangepointConfig,
}

impl Changepoint {
    /// A limit on raw scores that clean funnel data pass less than once per brand and month.
    pub const THRESHOLD: Threshold = Threshold::new(6.0);

    /// Checks the hyper-parameters.
    pub fn new(config: ChangepointConfig) -> Result<Self, ChangepointError> {
        config.validate()?;
        Ok(Self { config })
    }
}

impl TryFrom<ChangepointConfig> for Changepoint {
    type Error = ChangepointError;

    fn try_from(config: ChangepointConfig) -> Result<Self, ChangepointError> {
        Self::new(config)
    }
}

impl Detector for Changepoint {
    type Fitted = ChangepointModel;
    type Error = ChangepointError;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<ChangepointModel, ChangepointError> {
        let rows = history.values().rows().into_iter().filter(|row| row.iter().any(|v| !v.is_nan())).count();
        if rows < MIN_ROWS || history.ncols() == 0 {
            return Err(Error::TooFewRows { detector: KIND, rows, needed: MIN_ROWS }.into());
        }
        Ok(ChangepointModel::learn(&self.config, history))
    }

    /// Not supported: every series has a season and a level of its own.
    fn fit_pooled(&self, _: &[FrameView<'_>]) -> Result<ChangepointModel, ChangepointError> {
        Err(Error::Unsupported { detector: KIND, what: "one model of many series (each has its own season)" }.into())
    }
}
