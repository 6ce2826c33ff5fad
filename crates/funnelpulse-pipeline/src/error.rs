//! Errors of a pipeline as a whole.

use std::path::PathBuf;

use funnelpulse_config::ConfigError;
use funnelpulse_core::{FrameError, ModelError, hint};
use funnelpulse_features::FeatureError;

/// Errors of building, saving or loading a pipeline, or of input of which nothing can be used.
/// Failures of single series are no errors: see
/// [`SeriesFailure`](funnelpulse_analytics::SeriesFailure).
///
/// ```
/// use funnelpulse_pipeline::{Config, Pipeline, PipelineError};
///
/// let mut config = Config::default();
/// config.pipeline.detectors = vec!["oracle".to_owned()];
/// let error = Pipeline::builder().config(config).build().unwrap_err();
/// assert!(matches!(error, PipelineError::Config(_)));
/// assert!(error.to_string().contains("no detector is called `oracle`"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The panel lacks a column.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The feature settings don't fit the panel.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// A detector should see a column that nothing makes.
    #[error("detector `{detector}`: there is no column `{column}`{}", hint(suggestion.as_deref()))]
    UnknownColumn {
        /// The detector.
        detector: String,
        /// The column.
        column: String,
        /// The nearest column there is.
        suggestion: Option<String>,
    },
    /// A detector without a weight in the ensemble, or the name of another detector.
    #[error("detector `{detector}` {reason}")]
    Detector {
        /// The detector.
        detector: String,
        /// The reason.
        reason: &'static str,
    },
    /// A detector has nothing to look at in this input.
    #[error("detector `{detector}` can't look at this input: {reason}")]
    NotApplicable {
        /// The detector.
        detector: String,
        /// The reason.
        reason: String,
    },
    /// A detector failed on a series.
    #[error(transparent)]
    Series(funnelpulse_core::Error),
    /// The ensemble refused the scores.
    #[error(transparent)]
    Ensemble(#[from] funnelpulse_ensemble::EnsembleError),
    /// A model file is damaged, foreign or hostile.
    #[error("{}: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        #[source]
        source: ModelError,
    },
    /// A model could not be encoded.
    #[error(transparent)]
    Encode(#[from] ModelError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// Rows for a live pipeline that are not later than those it has seen.
    #[error("series `{series}`: a row at {first} is not later than the last one, at {last}")]
    NotLater {
        /// The series.
        series: funnelpulse_core::SeriesKey,
        /// Time of the first new row.
        first: funnelpulse_core::Timestamp,
        /// Time of the last row that was taken.
        last: funnelpulse_core::Timestamp,
    },
    /// A model of other stored metrics for a live pipeline.
    #[error("the rows of the stream have `{has}`, the model needs `{needs}`")]
    OtherInputs {
        /// The stored metrics that are kept.
        has: String,
        /// Those of the new model.
        needs: String,
    },
}

impl PipelineError {
    /// An error of one series.
    pub(crate) fn series(error: funnelpulse_core::Error) -> Self {
        match error {
            funnelpulse_core::Error::Frame(error) => Self::Frame(error),
            other => Self::Series(other),
        }
    }
}
