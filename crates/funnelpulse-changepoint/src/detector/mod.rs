//! The detector: the evidence at each row for a break that has just happened.

mod config;
mod evidence;
mod model;
mod profile;
mod season;
mod sorted;
#[cfg(test)]
mod tests;

use std::ops::Range;

use funnelpulse_core::{CrossValidated, Detector, Error, FrameView, Threshold, Timestamp};
use ndarray::{Array1, s};
use sorted::SortedColumn;

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
        let rows = usable_rows(history);
        if rows < MIN_ROWS || history.ncols() == 0 {
            return Err(Error::TooFewRows { detector: KIND, rows, needed: MIN_ROWS }.into());
        }
        let config = self.with_season(self.config.season.resolve(history.time()));
        let values = history.values();
        let column = |values| {
            let entries = sorted::entries(config.season, history.time(), values, |_| 0);
            SortedColumn::new(config.season, entries.iter())
        };
        let sorted: Vec<_> = values.columns().into_iter().map(column).collect();
        Ok(ChangepointModel::learn(&config, history, &sorted))
    }

    /// Levels and spreads of each part are those of the other parts; the 95 % quantiles of the
    /// evidence, which one fifth of the rows hardly moves, are those of all rows.
    fn fit_cross_validated(
        &self,
        history: FrameView<'_>,
        folds: usize,
    ) -> CrossValidated<ChangepointModel, ChangepointError> {
        let (time, n) = (history.time(), history.nrows());
        let blocks: Vec<_> = (0..folds).map(|fold| fold * n / folds..(fold + 1) * n / folds).collect();
        let season = self.config.season.resolve(time);
        let possible = |block: &Range<usize>| {
            let rest: Vec<Timestamp> = time[..block.start].iter().chain(&time[block.end..]).copied().collect();
            let rows = usable_rows(history.rows(0..block.start)) + usable_rows(history.rows(block.end..n));
            rows >= MIN_ROWS && self.config.season.resolve(&rest) == season
        };
        if history.ncols() == 0 || !blocks.iter().all(possible) {
            return Ok((self.fit(history)?, None));
        }
        let config = self.with_season(season);
        let fold_of = |row: usize| blocks.partition_point(|block| block.end <= row) as u32;
        let values = history.values();
        let column = |values| sorted::entries(season, time, values, fold_of);
        let entries: Vec<_> = values.columns().into_iter().map(column).collect();
        let all: Vec<_> = entries.iter().map(|column| SortedColumn::new(season, column.iter())).collect();
        let model = ChangepointModel::learn(&config, history, &all);
        let mut held_out = Array1::from_elem(n, f64::NAN);
        for (fold, block) in blocks.into_iter().enumerate() {
            let others = |column: &Vec<_>| {
                SortedColumn::new(season, column.iter().filter(|entry: &&sorted::Entry| entry.2 as usize != fold))
            };
            let model = model.with_profiles(&entries.iter().map(others).collect::<Vec<_>>());
            let first = block.start.saturating_sub(config.context());
            let scores = model.scores(history.rows(first..block.end))?;
            held_out.slice_mut(s![block.clone()]).assign(&scores.slice(s![block.start - first..]));
        }
        Ok((model, Some(held_out)))
    }

    /// Not supported: every series has a season and a level of its own.
    fn fit_pooled(&self, _: &[FrameView<'_>]) -> Result<ChangepointModel, ChangepointError> {
        Err(Error::Unsupported { detector: KIND, what: "one model of many series (each has its own season)" }.into())
    }
}

impl Changepoint {
    fn with_season(&self, season: ProfileSeason) -> ChangepointConfig {
        ChangepointConfig { season, ..self.config.clone() }
    }
}

/// Rows with any value.
fn usable_rows(frame: FrameView<'_>) -> usize {
    frame.values().rows().into_iter().filter(|row| row.iter().any(|v| !v.is_nan())).count()
}
