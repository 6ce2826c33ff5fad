#![doc = include_str!("../README.md")]

/// The types that most programs need.
pub mod prelude {
    pub use crate::{
        Anomaly, Catalog, Config, Entry, Findings, FittedPipeline, Incident, Pipeline, SeriesFindings,
        core::{Columns, Detector, FittedDetector, Frame, Panel, SeriesKey, Severity, Timestamp},
        features::PanelSpec,
    };
}

#[doc(inline)]
pub use funnelpulse_analytics::{Anomaly, Findings, Incident, ModelScores, Notice, SeriesFailure, SeriesFindings};
#[doc(inline)]
pub use funnelpulse_pipeline::{
    Advance, BuildContext, Built, Catalog, ColumnNames, Config, Entry, Feedback, FittedPipeline, IncidentChange,
    LeftOut, LiveIncident, LivePipeline, LiveRow, Phase, Pipeline, PipelineBuilder, PipelineConfig, PipelineError,
    Preset, Progress, RawScores, Scope, SeriesInfo, TrainedOn,
};

#[cfg(feature = "alerts")]
#[doc(inline)]
pub use funnelpulse_pipeline::{alert_candidate, observation};

#[cfg(feature = "alerts")]
#[doc(inline)]
pub use funnelpulse_alerts as alerts;
#[doc(inline)]
pub use funnelpulse_analytics as analytics;
#[doc(inline)]
pub use funnelpulse_baseline as baseline;
#[cfg(feature = "changepoint")]
#[doc(inline)]
pub use funnelpulse_changepoint as changepoint;
#[doc(inline)]
pub use funnelpulse_config as config;
#[doc(inline)]
pub use funnelpulse_core as core;
#[doc(inline)]
pub use funnelpulse_ensemble as ensemble;
#[cfg(feature = "eval")]
#[doc(inline)]
pub use funnelpulse_eval as eval;
#[doc(inline)]
pub use funnelpulse_features as features;
#[cfg(feature = "iforest")]
#[doc(inline)]
pub use funnelpulse_iforest as iforest;
#[cfg(feature = "incidents")]
#[doc(inline)]
pub use funnelpulse_incidents as incidents;
#[cfg(feature = "io")]
#[doc(inline)]
pub use funnelpulse_io as io;
#[cfg(feature = "lstm-ae")]
#[doc(inline)]
pub use funnelpulse_lstm_ae as lstm_ae;
#[cfg(feature = "report")]
#[doc(inline)]
pub use funnelpulse_report as report;
#[cfg(feature = "seasonal")]
#[doc(inline)]
pub use funnelpulse_seasonal as seasonal;
#[cfg(feature = "subsequence")]
#[doc(inline)]
pub use funnelpulse_subsequence as subsequence;
