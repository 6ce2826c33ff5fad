//! Which detectors see what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the detectors that run unless others are named.
const DEFAULT: [&str; 5] = ["iforest", "seasonal", "changepoint", "zscore", "incidents"];

/// Names of the detectors of this build.
pub(crate) const DETECTORS: &[&str] = if cfg!(feature = "lstm-ae") {
    &["iforest", "seasonal", "changepoint", "zscore", "incidents", "subsequence", "lstm-ae"]
} else {
    &["iforest", "seasonal", "changepoint", "zscore", "incidents", "subsequence"]
};

/// On what a detector is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One model per series.
    #[default]
    PerSeries,
    /// One model of all series together.
    Pooled,
}

/// How series become scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// The detectors to run: `iforest`, `seasonal`, `changepoint`, `zscore`, `incidents`. Not among
    /// the default ones are `subsequence`, for series whose seasons are none of the calendar's,
    /// and, in builds with the feature `lstm-ae`, `lstm-ae`, which takes minutes to train.
    pub detectors: Vec<String>,
    /// Per detector: one model per series or one of all series. By default `lstm-ae` has one of all
    /// series, every other detector one per series.
    pub scope: BTreeMap<String, Scope>,
    /// Per detector: the columns it sees. Any stored metric, rate or engineered column; for each
    /// metric and rate also `NAME_residual`, its seasonal z-score, and `NAME_residual_6h` and
    /// `NAME_residual_24h`, those of the last hours added up. By default the isolation forest sees
    /// all residuals, the z-score metrics, rates and the added-up residuals, changepoints metrics and
    /// rates, subsequences and the autoencoder metrics. The seasonal model sees the counts, each with its own noise: a count that is part of
    /// another (as its rates say) as beta-binomial with the other as exposure, any other as
    /// negative binomial; where there are no counts, metrics and rates. `seasonal.metrics` or columns
    /// given here replace that.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Rows that a series needs for a model of its own, 2 or more; a series with fewer is scored by
    /// the pooled model, or where there is none by the z-score.
    pub min_rows: usize,
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

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            detectors: DEFAULT.map(str::to_owned).into(),
            scope: BTreeMap::new(),
            columns: BTreeMap::new(),
            min_rows: 168,
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
pub(crate) enum PipelineError {
    #[error("{name} = {value} is out of range ({allowed})")]
    Range { name: &'static str, value: f64, allowed: &'static str },
    #[error("{name}: no detector is called `{detector}` (there are: {})", DETECTORS.join(", "))]
    Detector { name: &'static str, detector: String },
    #[error("detectors: none is named, at least one is needed (there are: {})", DETECTORS.join(", "))]
    NoDetector,
    #[error("detectors: `{detector}` is named twice")]
    Twice { detector: String },
}

impl PipelineConfig {
    /// What `detector` is trained on.
    pub fn scope_of(&self, detector: &str) -> Scope {
        let usual = if detector == "lstm-ae" { Scope::Pooled } else { Scope::PerSeries };
        self.scope.get(detector).copied().unwrap_or(usual)
    }

    pub(crate) fn validate(&self) -> Result<(), PipelineError> {
        let known = |name, detector: &String| {
            if DETECTORS.contains(&detector.as_str()) {
                Ok(())
            } else {
                Err(PipelineError::Detector { name, detector: detector.clone() })
            }
        };
        self.detectors.iter().try_for_each(|d| known("detectors", d))?;
        self.scope.keys().try_for_each(|d| known("scope", d))?;
        self.columns.keys().try_for_each(|d| known("columns", d))?;
        if self.detectors.is_empty() {
            return Err(PipelineError::NoDetector);
        }
        if let Some(twice) = self.detectors.iter().enumerate().find(|(i, d)| self.detectors[..*i].contains(d)) {
            return Err(PipelineError::Twice { detector: twice.1.clone() });
        }
        let range = |name, value: f64, range: std::ops::RangeInclusive<f64>, allowed| {
            if range.contains(&value) { Ok(()) } else { Err(PipelineError::Range { name, value, allowed }) }
        };
        range("min_rows", self.min_rows as f64, 2.0..=1e9, "2 to 1000000000")?;
        range("min_fallback_rows", self.min_fallback_rows as f64, 2.0..=1e9, "2 to 1000000000")?;
        range("contamination", self.contamination, 0.0..=0.2, "0 to 0.2")?;
        range("min_exposure", self.min_exposure, 0.0..=f64::MAX, "0 or more, finite")?;
        range("folds", self.folds as f64, 2.0..=20.0, "2 to 20")
    }
}
