//! The detector of last resort: how many standard deviations from the seasonal mean.

mod spread;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Detection, Detector, Error, FittedDetector, FrameView, OnlineDetector, PersistentModel, Timestamp,
};
use ndarray::{Array1, Array2, ArrayView2, Zip};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use self::spread::Spread;

const KIND: &str = "zscore";
/// Fewer observations than this don't make a season's own mean.
const MIN_PER_BIN: u64 = 3;
/// Observations that the spread common to all hours counts for beside an hour's own.
const PRIOR_OBSERVATIONS: f64 = 4.0;
/// Half-width of the reported interval, standard deviations.
const INTERVAL: f64 = 3.0;

/// What "the same time" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// Hour of week from three weeks of history on, hour of day from three days on, else none.
    #[default]
    Auto,
    /// All rows are alike.
    None,
    /// Rows of the same hour of the day (UTC) are alike.
    HourOfDay,
    /// Rows of the same hour of the week (UTC) are alike.
    HourOfWeek,
}

impl Season {
    fn resolve(self, span: i64) -> Self {
        match self {
            Self::Auto if span >= 21 * Timestamp::DAY - Timestamp::HOUR => Self::HourOfWeek,
            Self::Auto if span >= 3 * Timestamp::DAY - Timestamp::HOUR => Self::HourOfDay,
            Self::Auto => Self::None,
            other => other,
        }
    }

    /// Number of bins; one for `None` (and for `Auto`, which is resolved before).
    fn bins(self) -> usize {
        match self {
            Self::Auto | Self::None => 1,
            Self::HourOfDay => 24,
            Self::HourOfWeek => 168,
        }
    }

    fn bin(self, time: Timestamp) -> usize {
        let hour = time.as_micros().div_euclid(Timestamp::HOUR);
        hour.rem_euclid(self.bins() as i64) as usize
    }
}

/// Hyper-parameters of a [`ZScore`] detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ZScoreConfig {
    /// Which rows are compared with each other.
    pub season: Season,
    /// Median and median absolute deviation instead of mean and standard deviation: outliers in
    /// the history don't hide those to come. Only the plain statistics can be updated online.
    pub robust: bool,
}

impl Default for ZScoreConfig {
    fn default() -> Self {
        Self { season: Season::Auto, robust: true }
    }
}

/// Seasonal z-score: `max over columns of |value - mean| / std`, each hour of the day or week
/// with its own mean and standard deviation.
///
/// An hour's standard deviation is pooled with that of all hours (worth four observations), so
/// that a few identical nights don't make the next one an outlier. A column that never varied
/// counts as having a standard deviation of `max(|mean|, 1) / sqrt(n)`. Every z-score allows for
/// the error of the mean, `sqrt(1 + 1 / n)`. Missing values are skipped; a row without any value
/// scores NaN.
///
/// ```
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame};
/// use funnelpulse_ensemble::ZScore;
/// use ndarray::Array2;
///
/// let columns = Columns::new(["views"])?;
/// let history = Frame::from_rows(columns.clone(), Array2::from_shape_fn((50, 1), |(i, _)| (i % 5) as f64))?;
/// let model = ZScore::default().fit(history.view())?;
///
/// let next = Frame::from_rows(columns, Array2::from_elem((1, 1), 40.0))?;
/// let detection = model.detect(next.view())?;
/// assert!(detection.score()[0] > 10.0);
/// assert_eq!(detection.expected().expect("has expectations")[[0, 0]], 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZScore {
    config: ZScoreConfig,
}

impl ZScore {
    /// A detector with these hyper-parameters; all combinations are valid.
    pub fn new(config: ZScoreConfig) -> Self {
        Self { config }
    }

    /// Raw scores that this detector gives to clean, normally distributed rows of `columns`
    /// independent columns, as 10,000 evenly spaced quantiles: something to calibrate on when the
    /// history is too short to hold any of it out.
    pub fn reference_scores(columns: usize) -> Array1<f64> {
        let normal = Normal::standard();
        let quantile = |i: usize| {
            let p = (i as f64 + 0.5) / 10_000.0;
            normal.inverse_cdf(f64::midpoint(1.0, p.powf(1.0 / columns.max(1) as f64)))
        };
        (0..10_000).map(quantile).collect()
    }
}

impl From<ZScoreConfig> for ZScore {
    fn from(config: ZScoreConfig) -> Self {
        Self::new(config)
    }
}

impl Detector for ZScore {
    type Fitted = ZScoreModel;
    type Error = Error;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: FrameView<'_>) -> Result<ZScoreModel, Error> {
        self.fit_pooled(&[history])
    }

    fn fit_pooled(&self, histories: &[FrameView<'_>]) -> Result<ZScoreModel, Error> {
        let span = |h: &FrameView<'_>| match h.time() {
            [first, .., last] => last.as_micros().saturating_sub(first.as_micros()),
            _ => 0,
        };
        let season = self.config.season.resolve(histories.iter().map(span).max().unwrap_or(0));
        let columns = histories.first().map(|h| h.columns().clone());
        let Some(columns) = columns.filter(|c| !c.is_empty()) else {
            return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 2 });
        };
        let parts = histories.iter().map(|h| h.aligned(&columns)).collect::<Result<Vec<_>, _>>()?;
        let usable: usize = parts.iter().map(|p| p.rows().into_iter().filter(|r| !all_nan(r.iter())).count()).sum();
        if usable < 2 {
            return Err(Error::TooFewRows { detector: KIND, rows: usable, needed: 2 });
        }
        let mut model = ZScoreModel {
            season,
            updates_like_refit: self.config.season != Season::Auto,
            robust: self.config.robust,
            spreads: vec![Spread::default(); columns.len() * (season.bins() + 1)],
            columns,
        };
        if self.config.robust {
            model.learn_robust(histories, &parts.iter().map(|p| p.view()).collect::<Vec<_>>());
        } else {
            for (history, part) in histories.iter().zip(&parts) {
                model.learn(history.time(), part.view());
            }
        }
        Ok(model)
    }
}

/// A fitted [`ZScore`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ZScoreModel {
    columns: Columns,
    season: Season,
    robust: bool,
    updates_like_refit: bool,
    /// Per column: one per bin, then one of all rows.
    spreads: Vec<Spread>,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    season: Season,
    robust: bool,
    updates_like_refit: bool,
    spreads: Vec<Spread>,
}

impl TryFrom<Unchecked> for ZScoreModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        if u.spreads.len() != u.columns.len() * (u.season.bins() + 1) {
            return Err("a z-score model has a mean per column and bin");
        }
        if !u.spreads.iter().all(Spread::is_valid) {
            return Err("means are finite, deviations finite and not negative");
        }
        Ok(Self {
            columns: u.columns,
            season: u.season,
            robust: u.robust,
            updates_like_refit: u.updates_like_refit,
            spreads: u.spreads,
        })
    }
}

impl ZScoreModel {
    /// Signed z-scores, a row per row of `frame` and a column per column of the model; NaN where
    /// the value is missing.
    pub fn residuals(&self, frame: FrameView<'_>) -> Result<Array2<f64>, Error> {
        let values = frame.aligned(&self.columns)?;
        let (expected, deviation) = self.predict(frame.time());
        let mut residuals = values.into_owned();
        Zip::from(&mut residuals)
            .and(&expected)
            .and(&deviation)
            .for_each(|value, mean, std| *value = ((*value - mean) / std).clamp(-f64::MAX, f64::MAX));
        Ok(residuals)
    }

    /// Expected values and their standard deviations at the given times.
    fn predict(&self, time: &[Timestamp]) -> (Array2<f64>, Array2<f64>) {
        let shape = (time.len(), self.columns.len());
        let bins = self.season.bins();
        let (mut expected, mut deviation) = (Array2::zeros(shape), Array2::zeros(shape));
        for (column, spreads) in self.spreads.chunks_exact(bins + 1).enumerate() {
            let (all, own) = (spreads[bins], &spreads[..bins]);
            let known = || own.iter().filter(|s| s.count() >= MIN_PER_BIN);
            let observations: u64 = known().map(Spread::count).sum();
            let common = known()
                .fold(0.0, |sum: f64, s| sum.hypot(s.deviation() * (s.count() as f64 / observations as f64).sqrt()));
            let predictions: Vec<(f64, f64)> = own
                .iter()
                .map(|s| if s.count() >= MIN_PER_BIN { s.predict(common) } else { all.predict(all.deviation()) })
                .collect();
            for (row, &t) in time.iter().enumerate() {
                (expected[[row, column]], deviation[[row, column]]) = predictions[self.season.bin(t)];
            }
        }
        (expected, deviation)
    }

    fn learn(&mut self, time: &[Timestamp], values: ArrayView2<'_, f64>) {
        let bins = self.season.bins();
        for (&t, row) in time.iter().zip(values.rows()) {
            for (column, &value) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let spreads = &mut self.spreads[column * (bins + 1)..];
                spreads[self.season.bin(t)].push(value);
                spreads[bins].push(value);
            }
        }
    }

    fn learn_robust(&mut self, histories: &[FrameView<'_>], parts: &[ArrayView2<'_, f64>]) {
        let bins = self.season.bins();
        for (column, spreads) in self.spreads.chunks_exact_mut(bins + 1).enumerate() {
            let mut samples = vec![Vec::new(); bins + 1];
            for (history, part) in histories.iter().zip(parts) {
                for (&t, &value) in history.time().iter().zip(part.column(column)).filter(|(_, v)| !v.is_nan()) {
                    samples[self.season.bin(t)].push(value);
                    samples[bins].push(value);
                }
            }
            for (spread, sample) in spreads.iter_mut().zip(&mut samples) {
                *spread = Spread::robust(sample);
            }
        }
    }
}

impl FittedDetector for ZScoreModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let (expected, deviation) = self.predict(frame.time());
        let contributions = self.residuals(frame)?.mapv_into(f64::abs);
        let score = contributions.rows().into_iter().map(|row| row.iter().copied().fold(f64::NAN, f64::max)).collect();
        let reach = deviation * INTERVAL;
        let (lower, upper) = (&expected - &reach, &expected + &reach);
        Ok(Detection::new(score)
            .with_expected(expected)
            .with_interval(lower, upper)
            .with_contributions(contributions.mapv_into(|z| if z.is_nan() { 0.0 } else { z })))
    }

    fn as_online(&mut self) -> Option<&mut dyn OnlineDetector> {
        if self.robust { None } else { Some(self) }
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl OnlineDetector for ZScoreModel {
    fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error> {
        let values = rows.aligned(&self.columns)?;
        self.learn(rows.time(), values.view());
        Ok(())
    }

    /// So it is, but for [`Season::Auto`]: the season stays what the first fit found.
    fn update_equals_refit(&self) -> bool {
        self.updates_like_refit
    }
}

impl PersistentModel for ZScoreModel {
    const KIND: &'static str = KIND;
}

fn all_nan<'a>(mut row: impl Iterator<Item = &'a f64>) -> bool {
    row.all(|v| v.is_nan())
}
