#![doc = include_str!("../README.md")]

mod compare;
mod error;
mod feedback;
mod findings;
mod incident;
mod locate;
mod pipeline;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "io")]
mod table;
mod timings;

pub use compare::{
    CompareError, Contribution, Gap, Group, Kinds, ModelComparison, ModelSide, PanelComparison, Selection,
    SeriesDifference, compare_findings, compare_panel,
};
#[cfg(feature = "eval")]
pub use compare::{Labels, Quality};
pub use error::{PipelineError, SeriesFailure};
pub use feedback::Feedback;
pub use findings::{Anomaly, Findings, ModelScores, ModelSource, SeriesFindings};
pub use incident::Incident;
pub use locate::{
    HISTORY_DAYS, LocateError, Measure, Place, Question, UnknownMeasure, locate, windows_of_incidents,
    windows_to_locate,
};
pub use pipeline::{FittedPipeline, Pipeline, PipelineBuilder, Progress, SeriesInfo, Stage, registry};

pub use funnelpulse_analytics as analytics;
pub use funnelpulse_changepoint as changepoint;
pub use funnelpulse_config as config;
pub use funnelpulse_core as core;
pub use funnelpulse_ensemble as ensemble;
#[cfg(feature = "eval")]
pub use funnelpulse_eval as eval;
pub use funnelpulse_features as features;
pub use funnelpulse_iforest as iforest;
pub use funnelpulse_incidents as incidents;
#[cfg(feature = "io")]
pub use funnelpulse_io as io;
#[cfg(feature = "lstm-ae")]
pub use funnelpulse_lstm_ae as lstm_ae;
pub use funnelpulse_seasonal as seasonal;
pub use funnelpulse_subsequence as subsequence;
