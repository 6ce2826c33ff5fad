//! The columns of a series that detectors see: metrics, rates, residuals, engineered columns.
//!
//! | column | meaning |
//! |---|---|
//! | `views`, `conversion_rate` ... | a stored metric or a rate; a proportion of too few is missing |
//! | `views_residual` ... | its seasonal z-score |
//! | `views_residual_6h`, `views_residual_24h` ... | its z-scores of the last 6 or 24 hours, added up and divided by the root of their number: what is a little off for long |
//! | `views_lag_24h` ... | engineered by `funnelpulse-features` |

use funnelpulse_baseline::ZScoreModel;
use funnelpulse_core::{Columns, Context, Frame, FrameView, Timestamp};
use funnelpulse_features::{FeatureConfig, FeatureEngineer, MetricKind};
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::{ColumnNames, Config, PipelineError};

/// Ending of a column of seasonal z-scores.
pub(crate) const RESIDUAL: &str = "_residual";
/// Windows of added-up z-scores, hours.
const TRAILING_HOURS: [i64; 2] = [6, 24];
/// A single z-score counts for at most this much in a window: no hour alone makes a long trend.
const TRAILING_LIMIT: f64 = 4.0;

/// Builds the matrices; one for all series.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// Stored metrics and rates.
    metrics: FeatureEngineer,
    /// Rates and the positions of their denominators: too small a denominator says nothing.
    proportions: Vec<(usize, usize)>,
    min_exposure: f64,
    engineer: FeatureEngineer,
    features: FeatureConfig,
}

/// The metrics of a series.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// As they are.
    pub(crate) observed: Frame,
    /// Without the proportions that say nothing.
    pub(crate) usable: Frame,
}

impl Matrix {
    pub(crate) fn new(config: &Config) -> Result<Self, PipelineError> {
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
        let min_exposure = config.pipeline.min_exposure;
        Ok(Self { metrics, proportions, min_exposure, engineer, features: config.features.clone() })
    }

    /// Names of the stored metrics, then of the rates.
    pub(crate) fn metric_names(&self) -> &Columns {
        self.metrics.names()
    }

    /// The columns a panel must have.
    pub(crate) fn inputs(&self) -> &Columns {
        self.metrics.inputs()
    }

    /// Columns of z-scores: of single rows, then added up over windows.
    fn residual_names(&self) -> impl Iterator<Item = String> + '_ {
        self.metric_names().iter().map(|m| format!("{m}{RESIDUAL}")).chain(self.trailing_names())
    }

    /// Columns of z-scores added up over a window.
    fn trailing_names(&self) -> impl Iterator<Item = String> + '_ {
        TRAILING_HOURS.into_iter().flat_map(|h| self.metric_names().iter().map(move |m| format!("{m}{RESIDUAL}_{h}h")))
    }

    /// Every column that a detector may see.
    pub(crate) fn names(&self) -> ColumnNames {
        let text = |names: &Columns| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        ColumnNames {
            stored: text(self.inputs()),
            metrics: text(self.metric_names()),
            hourly: self.metric_names().iter().map(|m| format!("{m}{RESIDUAL}")).collect(),
            trailing: self.trailing_names().collect(),
            engineered: text(self.engineer.names()).into_iter().filter(|n| self.is_engineered(n)).collect(),
        }
    }

    /// Look-back of a column, microseconds.
    fn span_of(&self, column: &str) -> i64 {
        if self.is_engineered(column) {
            return self.features.look_back(column);
        }
        let ends = |hours: &i64| column.ends_with(&format!("{RESIDUAL}_{hours}h"));
        TRAILING_HOURS.iter().find(|hours| ends(hours)).map_or(0, |hours| hours * Timestamp::HOUR)
    }

    /// The rows of a series that a detector with this context needs when it sees these columns.
    pub(crate) fn context(&self, detector: Context, columns: &Columns) -> Context {
        detector.with_span(columns.iter().map(|c| self.span_of(c)).max().unwrap_or(0))
    }

    /// The columns of the wide table that are the z-scores of single rows.
    pub(crate) fn hourly_residuals(&self) -> std::ops::Range<usize> {
        let metrics = self.metric_names().len();
        metrics..2 * metrics
    }

    /// True if `column` comes from the feature engineer.
    pub(crate) fn is_engineered(&self, column: &str) -> bool {
        self.metric_names().position(column).is_none() && self.engineer.names().position(column).is_some()
    }

    /// The metric that a column is made of: the longest one its name starts with.
    pub(crate) fn metric_of(&self, column: &str) -> Option<usize> {
        let names = self.metric_names().iter().enumerate();
        let made_of = |m: &str| column == m || column.strip_prefix(m).is_some_and(|rest| rest.starts_with('_'));
        names.filter(|(_, m)| made_of(m)).max_by_key(|(_, m)| m.len()).map(|(i, _)| i)
    }

    pub(crate) fn metrics(&self, series: FrameView<'_>) -> Result<Metrics, PipelineError> {
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

    /// Metrics, residuals and, where asked for, engineered columns of `series`, given its usable metrics. Rows before
    /// `derived` have no residuals: nothing looks at them.
    pub(crate) fn wide(
        &self,
        series: FrameView<'_>,
        usable: FrameView<'_>,
        baseline: &ZScoreModel,
        engineered: bool,
        derived: usize,
    ) -> Result<Frame, PipelineError> {
        let rows = derived..series.nrows();
        let residuals = baseline.residuals(usable.rows(rows.clone())).map_err(PipelineError::series)?;
        let time = &series.time()[rows];
        let trailing = TRAILING_HOURS.map(|h| trailing_sums(time, residuals.view(), h * Timestamp::HOUR));
        let mut names: Vec<String> = self.metric_names().iter().map(ToString::to_string).collect();
        names.extend(self.residual_names());
        let mut parts = vec![usable.values().to_owned(), below_nothing(derived, residuals)];
        parts.extend(trailing.map(|trailing| below_nothing(derived, trailing)));
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

    /// Whether a column is neither a stored metric nor a rate.
    pub(crate) fn is_derived(&self, column: &str) -> bool {
        self.metric_names().position(column).is_none()
    }
}

/// `values` below so many rows of nothing.
fn below_nothing(rows: usize, values: Array2<f64>) -> Array2<f64> {
    if rows == 0 {
        return values;
    }
    let nothing = Array2::from_elem((rows, values.ncols()), f64::NAN);
    concatenate(Axis(0), &[nothing.view(), values.view()]).expect("both have the same columns")
}

/// The rows of `context` before those of `series`, then those of `series`; and how many came first.
pub(crate) fn with_context(context: &Frame, series: FrameView<'_>) -> Result<(Frame, usize), PipelineError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_looks_back_as_far_as_its_own_columns() {
        let matrix = Matrix::new(&Config::default()).unwrap();
        let reach = |columns: &[&str]| {
            let columns = Columns::new(columns.iter().copied()).unwrap();
            matrix.context(Context::NONE, &columns)
        };
        let hours = |hours: i64| Context::NONE.with_span(hours * Timestamp::HOUR);
        assert_eq!(reach(&["views", "conversion_rate", "hour"]), Context::NONE);
        assert_eq!(reach(&["views_residual", "views_residual_24h"]), hours(24));
        assert_eq!(reach(&["views_lag_1h", "views_change_168h"]), hours(168));
        assert_eq!(reach(&["views_rolling_std_7d", "views_lag_1h"]), hours(7 * 24));
        assert_eq!(reach(&["views_percentile"]), Context::NONE.with_span(i64::MAX));
    }
}
