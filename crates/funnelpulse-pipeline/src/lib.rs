#![doc = include_str!("../README.md")]

#[cfg(feature = "alerts")]
mod alerts;
#[cfg(feature = "files")]
mod aside;
mod catalog;
mod conclude;
mod config;
mod drift;
mod error;
mod expectation;
mod feedback;
mod fitted;
mod learn;
mod live;
mod matrix;
mod member;
mod pipeline;
mod pipeline_config;
mod plan;
mod prepared;
mod preset;
mod progress;
mod runs;
mod saved;
mod scored;
mod scoring;
mod spacing;
#[cfg(test)]
mod tests;
mod timings;

#[cfg(feature = "alerts")]
pub use alerts::{alert_candidate, observation};
pub use catalog::{BuildContext, Built, Catalog, ColumnNames, Entry, RawScores, TrainedOn};
pub use config::Config;
pub use error::PipelineError;
pub use feedback::Feedback;
pub use fitted::{FittedPipeline, SeriesInfo};
pub use live::{Advance, IncidentChange, LiveIncident, LivePipeline, LiveRow};
pub use member::LeftOut;
pub use pipeline::{Pipeline, PipelineBuilder};
pub use pipeline_config::{PipelineConfig, Scope};
pub use preset::Preset;
pub use progress::{Phase, Progress};
