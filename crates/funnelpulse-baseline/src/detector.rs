//! Standard deviations from the seasonal mean.

use std::ops::Range;

use funnelpulse_core::{CalendarEntry, CalendarError, CrossValidated, Detector, Error, FrameView, Timestamp};
use ndarray::{Array1, ArrayView2, s};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::{
    ZScoreModel,
    calendar::Calendar,
    clock::{Clock, UTC},
    model::{Part, SortedHistory},
};

/// The name of the detector in models and results.
pub const KIND: &str = "zscore";
/// The times that are compared with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// Hour of week from three weeks of history on, hour of day from three days on, else none.
    #[default]
    Auto,
    /// All rows are alike.
    None,
    /// Rows of the same hour of the day are alike.
    HourOfDay,
    /// Rows of the same hour of the week are alike.
    HourOfWeek,
}

impl Season {
    pub(crate) fn resolve(self, span: i64) -> Self {
        match self {
            Self::Auto if span >= 21 * Timestamp::DAY - Timestamp::HOUR => Self::HourOfWeek,
            Self::Auto if span >= 3 * Timestamp::DAY - Timestamp::HOUR => Self::HourOfDay,
            Self::Auto => Self::None,
            other => other,
        }
    }

    /// Number of bins; one for `None` (and for `Auto`, which is resolved before).
    pub(crate) fn bins(self) -> usize {
        match self {
            Self::Auto | Self::None => 1,
            Self::HourOfDay => 24,
            Self::HourOfWeek => 168,
        }
    }
}

/// On what scale values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Logarithmic for columns that are never negative and skewed to the right: whose 95 %
    /// quantile lies over twice as far from the median as their 5 % quantile. Linear for others,
    /// and for plain statistics.
    #[default]
    Auto,
    /// The values as they are.
    Linear,
    /// `ln(1 + value / u)`, where `u` is the median of the positive values (mirrored for negative
    /// ones): busy hours don't make quiet ones look constant.
    Log,
}

/// Hyper-parameters of a [`ZScore`] detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ZScoreConfig {
    /// Which rows are compared with each other.
    pub season: Season,
    /// Time zone whose hours are compared, an IANA name such as `Europe/Berlin`: people follow local time, also where
    /// clocks are set.
    pub timezone: String,
    /// Median and median absolute deviation instead of mean and standard deviation: outliers in
    /// the history don't hide those to come. Only the plain statistics can be updated online.
    pub robust: bool,
    /// On what scale values are compared.
    pub scale: Scale,
    /// Holidays, promotions, mailings, for all series. Rows whose time lies in an entry teach the effect of its name
    /// and nothing else; the effect of a name that the history has not, or for a few rows only, widens what is
    /// expected. Local times are those of `timezone`.
    pub calendar: Vec<CalendarEntry>,
}

impl Default for ZScoreConfig {
    fn default() -> Self {
        Self { season: Season::Auto, timezone: UTC.to_owned(), robust: true, scale: Scale::Auto, calendar: Vec::new() }
    }
}

impl ZScoreConfig {
    /// Checks the time zone and the calendar; all other combinations are valid.
    ///
    /// ```
    /// use funnelpulse_baseline::ZScoreConfig;
    ///
    /// let config = ZScoreConfig { timezone: "Europe/Berlin".to_owned(), ..ZScoreConfig::default() };
    /// assert!(config.validate().is_ok());
    /// ```
    ///
    /// # Errors
    ///
    /// [`CalendarError::Zone`] for a name that is not in the IANA database, [`CalendarError::Entry`] for an entry that
    /// has no times, ends before it starts, or is for some series only.
    pub fn validate(&self) -> Result<(), CalendarError> {
        self.clock(self.season)?;
        self.calendar().map(drop)
    }

    fn clock(&self, season: Season) -> Result<Clock, CalendarError> {
        Clock::new(season, &self.timezone)
    }

    fn calendar(&self) -> Result<Calendar, CalendarError> {
        Calendar::new(&self.calendar, &self.timezone)
    }
}

/// Seasonal z-score: `max over columns of |value - mean| / std`, each hour of the day or week
/// with its own mean and standard deviation, on a linear or a logarithmic [`Scale`].
///
/// With robust statistics, a side of a column whose 1 % tail in the history starts beyond where that
/// of a normal distribution does counts for less in proportion: a metric that bursts now and then
/// does not drown the one that never fell silent.
///
/// The expected value is the mean in the column's own units, the interval three standard
/// deviations on the scale of comparison; with robust statistics the mean leaves out values beyond
/// five.
///
/// An hour's standard deviation is pooled with that of all hours (worth four observations), so
/// that a few identical nights don't make the next one an outlier. A column that never varied
/// counts as having a standard deviation of `max(|mean|, 1) / sqrt(n)`. Every z-score allows for
/// the error of the mean, `sqrt(1 + 1 / n)`. Missing values are skipped; a row without any value
/// scores NaN.
///
/// ```
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame};
/// use funnelpulse_baseline::ZScore;
/// use ndarray::Array2;
///
/// let columns = Columns::new(["views"])?;
/// let history = Frame::from_rows(columns.clone(), Array2::from_shape_fn((50, 1), |(i, _)| (i % 5) as f64))?;
/// let model = ZScore::default().fit(history.view())?;
///
/// let next = Frame::from_rows(columns, Array2::from_elem((1, 1), 40.0))?;
/// let detection = model.detect(next.view())?;
/// assert!(detection.score()[0] > 10.0);
/// assert!((detection.expected().expect("has expectations")[[0, 0]] - 2.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZScore {
    config: ZScoreConfig,
}

impl ZScore {
    /// A detector with these hyper-parameters. A time zone that does not exist and an entry of the calendar that can't
    /// be used are refused when it is fitted, or by [`ZScoreConfig::validate`].
    pub fn new(config: ZScoreConfig) -> Self {
        Self { config }
    }

    fn clock(&self, season: Season) -> Result<Clock, Error> {
        self.config.clock(season).map_err(|e| Error::detector(KIND, e))
    }

    fn calendar(&self) -> Result<Calendar, Error> {
        self.config.calendar().map_err(|e| Error::detector(KIND, e))
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
        let season = self.config.season.resolve(histories.iter().map(|h| span(h.time())).max().unwrap_or(0));
        let columns = histories.first().map(|h| h.columns().clone());
        let Some(columns) = columns.filter(|c| !c.is_empty()) else {
            return Err(too_few(0));
        };
        let parts = histories.iter().map(|h| h.aligned(&columns)).collect::<Result<Vec<_>, _>>()?;
        let usable: usize = parts.iter().map(|p| usable_rows(p.view())).sum();
        if usable < 2 {
            return Err(too_few(usable));
        }
        let parts: Vec<_> = histories.iter().map(FrameView::time).zip(parts.iter().map(|p| p.view())).collect();
        let (clock, calendar) = (self.clock(season)?, self.calendar()?);
        let ordinary: Vec<_> = parts.iter().map(|part| calendar.ordinary(part)).collect();
        // A history that lies within entries has nothing else to learn from.
        let is_enough = ordinary.iter().map(|values| usable_rows(values.view())).sum::<usize>() >= 2;
        let ordinary: Vec<Part<'_>> = parts.iter().zip(&ordinary).map(|(part, o)| (part.0, o.view())).collect();
        let ordinary = if is_enough { &ordinary } else { &parts };
        let mut model = if self.config.robust {
            ZScoreModel::learn_robust(&self.config, columns, &SortedHistory::new(clock, ordinary, |_| 0))
        } else {
            ZScoreModel::learn_plain(&self.config, clock, columns, ordinary)
        };
        model.learn_effects(calendar, &parts);
        Ok(model)
    }

    /// Medians without a part of the history are those of the sorted columns without its values:
    /// the held-out scores are exactly those of models that were fitted without that part.
    fn fit_cross_validated(&self, history: FrameView<'_>, folds: usize) -> CrossValidated<ZScoreModel, Error> {
        let time = history.time();
        let blocks: Vec<_> =
            (0..folds).map(|fold| fold * time.len() / folds..(fold + 1) * time.len() / folds).collect();
        let season = self.config.season.resolve(span(time));
        let calendar = self.calendar()?;
        let ordinary = calendar.ordinary(&(time, history.values()));
        let same_season = |block: &Range<usize>| self.config.season.resolve(span_without(time, block)) == season;
        let enough = |block: &Range<usize>| {
            let rows = |rows: Range<usize>| usable_rows(ordinary.slice(s![rows, ..]));
            rows(0..block.start) + rows(block.end..time.len()) >= 2
        };
        if !self.config.robust || history.ncols() == 0 || !blocks.iter().all(|b| enough(b) && same_season(b)) {
            return Ok((self.fit(history)?, None));
        }
        let columns = history.columns();
        let fold_of = |row: usize| blocks.partition_point(|block| block.end <= row) as u32;
        let sorted = SortedHistory::new(self.clock(season)?, &[(time, ordinary.view())], fold_of);
        let mut held_out = Array1::from_elem(time.len(), f64::NAN);
        for (fold, block) in blocks.iter().enumerate() {
            let mut model = ZScoreModel::learn_robust(&self.config, columns.clone(), &sorted.without(fold as u32));
            let [before, after] = [history.rows(0..block.start), history.rows(block.end..time.len())];
            let others = [&before, &after].map(|frame| (frame.time(), frame.values()));
            model.learn_effects(calendar.clone(), &others);
            held_out.slice_mut(s![block.clone()]).assign(&model.scores(history.rows(block.clone()))?);
        }
        let mut model = ZScoreModel::learn_robust(&self.config, columns.clone(), &sorted);
        model.learn_effects(calendar, &[(time, history.values())]);
        Ok((model, Some(held_out)))
    }
}

fn too_few(rows: usize) -> Error {
    Error::TooFewRows { detector: KIND, rows, needed: 2 }
}

/// Rows with any value.
fn usable_rows(values: ArrayView2<'_, f64>) -> usize {
    values.rows().into_iter().filter(|r| r.iter().any(|v| !v.is_nan())).count()
}

/// From the first to the last time, microseconds.
fn span(time: &[Timestamp]) -> i64 {
    match time {
        [first, .., last] => last.as_micros().saturating_sub(first.as_micros()),
        _ => 0,
    }
}

/// The same without a block of rows.
fn span_without(time: &[Timestamp], block: &Range<usize>) -> i64 {
    let (before, after) = (&time[..block.start], &time[block.end..]);
    match (before.first().or(after.first()), after.last().or(before.last())) {
        (Some(first), Some(last)) => last.as_micros().saturating_sub(first.as_micros()),
        _ => 0,
    }
}
