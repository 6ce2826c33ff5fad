//! What detectors see of a series: metrics, rates, residuals, engineered columns.
//!
//! | column | meaning |
//! |---|---|
//! | `views`, `conversion_rate` ... | a stored metric or a rate; a proportion of too few is missing |
//! | `views_residual` ... | its seasonal z-score |
//! | `views_residual_6h`, `views_residual_24h` ... | its z-scores of the last 6 or 24 hours, added up and divided by the root of their number: what is a little off for long |
//! | `views_lag_24h` ... | engineered by `funnelpulse-features` |

use funnelpulse_config::Config;
use funnelpulse_core::{Columns, Frame, FrameView, Timestamp};
use funnelpulse_ensemble::ZScoreModel;
use funnelpulse_features::{FeatureConfig, FeatureEngineer, MetricKind};
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::PipelineError;

/// Ending of a column of seasonal z-scores.
pub(super) const RESIDUAL: &str = "_residual";
/// Windows of added-up z-scores, hours.
const TRAILING_HOURS: [i64; 2] = [6, 24];
/// A single z-score counts for at most this much in a window: no hour alone makes a long trend.
const TRAILING_LIMIT: f64 = 4.0;

/// Builds the matrices; one for all series.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    /// Stored metrics and rates.
    metrics: FeatureEngineer,
    /// Rates and the positions of their denominators: too small a denominator says nothing.
    proportions: Vec<(usize, usize)>,
    min_exposure: f64,
    engineer: FeatureEngineer,
    /// How far back columns and detectors look, microseconds.
    reach: i64,
}

/// The metrics of a series, for people and for models.
#[derive(Debug)]
pub(super) struct Metrics {
    /// As they are.
    pub(super) observed: Frame,
    /// Without the proportions that say nothing.
    pub(super) usable: Frame,
}

impl Metrics {
    /// Without the first rows.
    pub(super) fn skip(self, rows: usize) -> Self {
        let rest = |frame: Frame| match rows {
            0 => frame,
            _ => frame.view().rows(rows..frame.nrows()).to_frame(),
        };
        Self { observed: rest(self.observed), usable: rest(self.usable) }
    }
}

impl Matrix {
    pub(super) fn new(config: &Config) -> Result<Self, PipelineError> {
        let rates = FeatureConfig { rates: true, ..FeatureConfig::rates_only() };
        let metrics = FeatureEngineer::new(&config.input, &rates)?;
        let is_count = |name: &str| config.input.metrics.iter().any(|m| m.name == name && m.kind == MetricKind::Count);
        let position = |name: &str| metrics.names().position(name);
        let proportions = config
            .input
            .metrics
            .iter()
            .filter_map(|m| match &m.kind {
                MetricKind::Rate { numerator, denominator } if is_count(numerator) && is_count(denominator) => {
                    Some((position(&m.name)?, position(denominator)?))
                }
                _ => None,
            })
            .collect();
        let engineer = FeatureEngineer::new(&config.input, &config.features)?;
        let f = &config.features;
        let days = f.rolling_days.iter().chain(&f.statistical_days).map(|d| i64::from(*d) * Timestamp::DAY);
        let hours = f.lag_hours.iter().map(|h| i64::from(*h) * Timestamp::HOUR);
        let trailing = TRAILING_HOURS.into_iter().map(|h| h * Timestamp::HOUR);
        let looks_back = config.pipeline.detectors.iter().any(|d| d == "changepoint");
        let changepoint = looks_back.then(|| config.changepoint.context() as i64 * Timestamp::HOUR);
        #[cfg(feature = "lstm-ae")]
        let window = {
            let runs = config.pipeline.detectors.iter().any(|d| d == "lstm-ae");
            runs.then(|| config.lstm_ae.sequence_length as i64 * Timestamp::HOUR)
        };
        #[cfg(not(feature = "lstm-ae"))]
        let window: Option<i64> = None;
        let reach = days.chain(hours).chain(trailing).chain(changepoint).chain(window).max().unwrap_or(0);
        Ok(Self { metrics, proportions, min_exposure: config.pipeline.min_exposure, engineer, reach })
    }

    /// Names of the stored metrics, then of the rates.
    pub(super) fn metric_names(&self) -> &Columns {
        self.metrics.names()
    }

    /// The columns a panel must have.
    pub(super) fn inputs(&self) -> &Columns {
        self.metrics.inputs()
    }

    /// Columns of z-scores: by the hour, then by window.
    pub(super) fn residual_names(&self) -> impl Iterator<Item = String> + '_ {
        self.metric_names().iter().map(|m| format!("{m}{RESIDUAL}")).chain(self.trailing_names())
    }

    /// Columns of z-scores added up over a window.
    pub(super) fn trailing_names(&self) -> impl Iterator<Item = String> + '_ {
        TRAILING_HOURS.into_iter().flat_map(|h| self.metric_names().iter().map(move |m| format!("{m}{RESIDUAL}_{h}h")))
    }

    /// Every column that a detector may see.
    pub(super) fn available(&self) -> Vec<String> {
        let engineered = self.engineer.names().iter().filter(|n| self.metric_names().position(n).is_none());
        let metrics = self.metric_names().iter().chain(engineered).map(ToString::to_string);
        metrics.chain(self.residual_names()).collect()
    }

    /// Whether `column` comes from the feature engineer.
    pub(super) fn is_engineered(&self, column: &str) -> bool {
        self.metric_names().position(column).is_none() && self.engineer.names().position(column).is_some()
    }

    /// The metric that a column is made of: the longest one its name starts with.
    pub(super) fn metric_of(&self, column: &str) -> Option<usize> {
        let names = self.metric_names().iter().enumerate();
        let made_of = |m: &str| column == m || column.strip_prefix(m).is_some_and(|rest| rest.starts_with('_'));
        names.filter(|(_, m)| made_of(m)).max_by_key(|(_, m)| m.len()).map(|(i, _)| i)
    }

    pub(super) fn metrics(&self, series: FrameView<'_>) -> Result<Metrics, PipelineError> {
        let observed = self.metrics.transform(series)?;
        let (time, columns, mut values) = observed.clone().into_parts();
        for mut row in values.rows_mut() {
            for &(rate, denominator) in &self.proportions {
                // Also where the denominator is missing.
                if row[denominator] < self.min_exposure || row[denominator].is_nan() {
                    row[rate] = f64::NAN;
                }
            }
        }
        Ok(Metrics { observed, usable: Frame::new(time, columns, values)? })
    }

    /// Metrics, residuals and, where asked for, engineered columns of `series`.
    pub(super) fn wide(
        &self,
        series: FrameView<'_>,
        metrics: &Metrics,
        baseline: &ZScoreModel,
        engineered: bool,
    ) -> Result<Frame, PipelineError> {
        let residuals = baseline.residuals(metrics.usable.view()).map_err(PipelineError::series)?;
        let trailing = TRAILING_HOURS.map(|h| trailing_sums(series.time(), residuals.view(), h * Timestamp::HOUR));
        let mut names: Vec<String> = self.metric_names().iter().map(ToString::to_string).collect();
        names.extend(self.residual_names());
        let mut parts = vec![metrics.usable.values().to_owned(), residuals];
        parts.extend(trailing);
        if engineered {
            let features = self.engineer.transform(series)?;
            let own: Vec<usize> =
                (0..features.ncols()).filter(|&i| self.is_engineered(&features.columns()[i])).collect();
            names.extend(own.iter().map(|&i| features.columns()[i].to_string()));
            parts.push(features.values().select(Axis(1), &own));
        }
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        let values = concatenate(Axis(1), &views).expect("all parts have a row per row of the series");
        Ok(Frame::new(series.time().to_vec(), Columns::new(names)?, values)?)
    }

    /// The last rows of a series, as far back as columns of later rows reach.
    pub(super) fn context(&self, series: FrameView<'_>) -> Option<Frame> {
        let last = *series.time().last()?;
        let start = series.time().partition_point(|t| *t < last.offset(-self.reach));
        Some(series.rows(start..series.nrows()).to_frame())
    }
}

/// The rows of `context` before those of `series`, then those of `series`; and how many came first.
pub(super) fn with_context(context: &Frame, series: FrameView<'_>) -> Result<(Frame, usize), PipelineError> {
    let before = series.time().first().map_or(0, |first| context.time().partition_point(|t| t < first));
    let head = context.view().rows(0..before).select(series.columns())?;
    let values = concatenate(Axis(0), &[head.values(), series.values()]).expect("both have the same columns");
    let time = head.time().iter().chain(series.time()).copied().collect();
    Ok((Frame::new(time, series.columns().clone(), values)?, before))
}

/// Per column, the z-scores of `(t - width, t]` added up and divided by the root of their number:
/// again a z-score where the hours are independent. NaN where the row's own is.
fn trailing_sums(time: &[Timestamp], z: ArrayView2<'_, f64>, width: i64) -> Array2<f64> {
    let mut sums = Array2::from_elem(z.dim(), f64::NAN);
    let mut start = 0;
    for row in 0..time.len() {
        start += time[start..=row].partition_point(|t| *t <= time[row].offset(-width));
        for column in (0..z.ncols()).filter(|&c| !z[[row, c]].is_nan()) {
            // A few dozen additions per value: nothing to gain from sliding, and nothing drifts.
            let known = (start..=row).map(|r| z[[r, column]]).filter(|v| !v.is_nan());
            let (sum, n) = known.fold((0.0, 0.0), |(s, n), v| (s + v.clamp(-TRAILING_LIMIT, TRAILING_LIMIT), n + 1.0));
            sums[[row, column]] = sum / f64::sqrt(n);
        }
    }
    sums
}
