//! Detectors, their columns and their training.

use std::collections::BTreeMap;

use funnelpulse_core::Training;
use serde::{Deserialize, Serialize};

use crate::Catalog;

/// A week: the season that most series have.
const WEEK_SECONDS: u64 = 7 * 86_400;
/// Fewest rows that a model is trained on unless the configuration says so: eight weeks of days.
const LEAST_ROWS: usize = 56;
/// Rows that are enough for a model however short their step: those of a week of hours.
const MOST_ROWS: usize = 168;

/// The series that one model of a detector is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One model per series.
    #[default]
    PerSeries,
    /// One model of all series together.
    Pooled,
}

/// Settings of detectors, training and calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// The detectors to run, by their names in the [`Catalog`](crate::Catalog). Where none is
    /// named, those that run by default.
    pub detectors: Vec<String>,
    /// Per detector: one model per series or one of all series, where the catalog's default is not
    /// wanted.
    pub scope: BTreeMap<String, Scope>,
    /// Per detector: the columns it sees, where the catalog's default is not wanted. Any stored
    /// metric, rate or engineered column; for each metric and rate also `NAME_residual`, its
    /// seasonal z-score, and `NAME_residual_6h` and `NAME_residual_24h`, those of the last hours
    /// added up. `@stored`, `@metrics` (with rates), `@residuals` and `@trailing_residuals` stand for
    /// all columns of a kind.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Rows with data that a series needs for a model of its own, 2 or more; a series with fewer is
    /// scored by the pooled model, or where there is none by the z-score. By default those of a
    /// week, at least 56 and at most 168: 168 hours, 56 days, 168 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rows: Option<usize>,
    /// Rows that a series needs to be scored at all, 2 or more.
    pub min_fallback_rows: usize,
    /// A rate whose denominator is below this is taken as missing: it says nothing, 0 or more.
    pub min_exposure: f64,
    /// Parts of the history on which scores are calibrated in turn, each by a model of the others,
    /// when the detector has no out-of-sample scores of its own, 2 to 20.
    pub folds: usize,
    /// Share of the history that may be anomalous, 0 to 0.2: that many of the highest scores don't
    /// shape the calibration. 0 for a history known to be clean.
    pub contamination: f64,
    /// The metric or rate whose expected value stands in the result; by default
    /// `conversion_rate`, or the first metric where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_pipeline::{Config, Scope};
///
/// let text = "
///     [pipeline]
///     detectors = ['zscore']
///     scope.zscore = 'pooled'
///     columns.zscore = ['views', 'purchases_residual']
/// ";
/// let config = Config::layers().toml(text)?.build()?;
/// assert_eq!(config.pipeline.scope["zscore"], Scope::Pooled);
/// assert_eq!(config.pipeline.columns["zscore"].len(), 2);
/// assert_eq!(config.pipeline.min_rows, None);
/// # Ok::<(), funnelpulse_config::ConfigError>(())
/// ```
impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            detectors: Vec::new(),
            scope: BTreeMap::new(),
            columns: BTreeMap::new(),
            min_rows: None,
            min_fallback_rows: 24,
            min_exposure: 20.0,
            folds: 5,
            contamination: 0.03,
            metric: None,
        }
    }
}

/// A setting of the pipeline that makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    #[error("{name} = {value} is out of range ({allowed})")]
    Range { name: &'static str, value: f64, allowed: &'static str },
    #[error("{name}: no detector is called `{detector}` (there are: {known})")]
    Detector { name: &'static str, detector: String, known: String },
    #[error("detectors: none is named, at least one is needed (there are: {known})")]
    NoDetector { known: String },
    #[error("detectors: `{detector}` is named twice")]
    Twice { detector: String },
}

impl PipelineConfig {
    pub(crate) fn validate(&self, catalog: &Catalog) -> Result<(), SettingError> {
        let names = || catalog.names().collect::<Vec<_>>().join(", ");
        let known = |name, detector: &String| match catalog.get(detector) {
            Some(_) => Ok(()),
            None => Err(SettingError::Detector { name, detector: detector.clone(), known: names() }),
        };
        self.detectors.iter().try_for_each(|d| known("detectors", d))?;
        self.scope.keys().try_for_each(|d| known("scope", d))?;
        self.columns.keys().try_for_each(|d| known("columns", d))?;
        if self.detectors.is_empty() {
            return Err(SettingError::NoDetector { known: names() });
        }
        if let Some(twice) = self.detectors.iter().enumerate().find(|(i, d)| self.detectors[..*i].contains(d)) {
            return Err(SettingError::Twice { detector: twice.1.clone() });
        }
        let range = |name, value: f64, range: std::ops::RangeInclusive<f64>, allowed| {
            if range.contains(&value) { Ok(()) } else { Err(SettingError::Range { name, value, allowed }) }
        };
        range("min_rows", self.min_rows.map_or(2.0, |rows| rows as f64), 2.0..=1e9, "2 to 1000000000")?;
        range("min_fallback_rows", self.min_fallback_rows as f64, 2.0..=1e9, "2 to 1000000000")?;
        range("contamination", self.contamination, 0.0..=0.2, "0 to 0.2")?;
        range("min_exposure", self.min_exposure, 0.0..=f64::MAX, "0 or more, finite")?;
        range("folds", self.folds as f64, 2.0..=20.0, "2 to 20")
    }

    /// Settings of training and calibration, as the adaptors take them.
    pub(crate) fn training(&self, step_seconds: u64) -> Training {
        let week = usize::try_from(WEEK_SECONDS / step_seconds.max(1)).unwrap_or(MOST_ROWS);
        let min_rows = self.min_rows.unwrap_or_else(|| week.clamp(LEAST_ROWS, MOST_ROWS));
        Training { min_rows, folds: self.folds, contamination: self.contamination }
    }
}
