//! What detectors see of a series: metrics, rates, residuals, engineered columns.

use funnelpulse_config::Config;
use funnelpulse_core::{Columns, Frame, FrameView, Timestamp};
use funnelpulse_ensemble::ZScoreModel;
use funnelpulse_features::{FeatureConfig, FeatureEngineer, MetricKind};
use ndarray::{Axis, concatenate};

use crate::PipelineError;

/// Ending of a column of seasonal z-scores.
const RESIDUAL: &str = "_residual";

/// Builds the matrices; one for all series.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    /// Stored metrics and rates.
    metrics: FeatureEngineer,
    /// Rates and the positions of their denominators: too small a denominator says nothing.
    proportions: Vec<(usize, usize)>,
    min_exposure: f64,
    engineer: FeatureEngineer,
    /// How far back engineered columns look, microseconds.
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
        let reach = days.chain(hours).max().unwrap_or(0);
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

    pub(super) fn residual_names(&self) -> impl Iterator<Item = String> {
        self.metric_names().iter().map(|m| format!("{m}{RESIDUAL}"))
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

    /// Metrics, residuals and, where asked for, engineered columns of `series`. `context` are
    /// earlier rows of the same series, which engineered columns look back on.
    pub(super) fn wide(
        &self,
        series: FrameView<'_>,
        metrics: &Metrics,
        baseline: &ZScoreModel,
        engineered: bool,
        context: Option<&Frame>,
    ) -> Result<Frame, PipelineError> {
        let residuals = baseline.residuals(metrics.usable.view()).map_err(|e| match e {
            funnelpulse_core::Error::Frame(e) => PipelineError::Frame(e),
            other => PipelineError::Detector { detector: other.to_string(), reason: "failed" },
        })?;
        let mut names: Vec<String> = self.metric_names().iter().map(ToString::to_string).collect();
        names.extend(self.residual_names());
        let mut parts = vec![metrics.usable.values().to_owned(), residuals];
        if engineered {
            let (frame, skip) = match context {
                Some(context) => with_context(context, series)?,
                None => (series.to_frame(), 0),
            };
            let features = self.engineer.transform(frame.view())?;
            let own: Vec<usize> =
                (0..features.ncols()).filter(|&i| self.is_engineered(&features.columns()[i])).collect();
            names.extend(own.iter().map(|&i| features.columns()[i].to_string()));
            let values = features.view().rows(skip..features.nrows()).values().select(Axis(1), &own);
            parts.push(values);
        }
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        let values = concatenate(Axis(1), &views).expect("all parts have a row per row of the series");
        Ok(Frame::new(series.time().to_vec(), Columns::new(names)?, values)?)
    }

    /// The last rows of a series, as far back as engineered columns of later rows reach.
    pub(super) fn context(&self, series: FrameView<'_>) -> Option<Frame> {
        let last = *series.time().last()?;
        let start = series.time().partition_point(|t| *t < last.offset(-self.reach));
        Some(series.rows(start..series.nrows()).to_frame())
    }
}

/// The rows of `context` before those of `series`, then those of `series`; and how many came first.
fn with_context(context: &Frame, series: FrameView<'_>) -> Result<(Frame, usize), PipelineError> {
    let before = series.time().first().map_or(0, |first| context.time().partition_point(|t| t < first));
    let head = context.view().rows(0..before).select(series.columns())?;
    let values = concatenate(Axis(0), &[head.values(), series.values()]).expect("both have the same columns");
    let time = head.time().iter().chain(series.time()).copied().collect();
    Ok((Frame::new(time, series.columns().clone(), values)?, before))
}
