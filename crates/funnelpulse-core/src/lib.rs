#![doc = include_str!("../README.md")]

mod adaptors;
mod budget;
#[cfg(feature = "calendar")]
mod calendar;
mod calibrator;
mod context;
mod count;
mod detection;
mod detector;
mod episode;
mod error;
mod frame;
#[cfg(feature = "ics")]
mod ics;
mod incident_kind;
mod isolate;
mod live;
mod memory;
mod merge;
mod model;
#[cfg(feature = "model-files")]
mod model_file;
mod panel;
mod panel_detector;
mod panel_view;
mod plain;
#[cfg(feature = "arrow")]
mod record_batch;
mod suggest;
mod threshold;
mod time;
mod verdict;
mod wrong_value;

pub use adaptors::{PerSeries, Pooled, SeriesModels, Training};
pub use budget::{AlarmBudget, ParseBudgetError};
#[cfg(feature = "calendar")]
pub use calendar::{CalendarEntry, CalendarError, Zone};
pub use calibrator::{Calibrator, ScoreSketch, evidence_of_score, score_of_evidence};
pub use context::Context;
pub use count::counted;
pub use detection::Detection;
pub use detector::{CrossValidated, Detector, DynDetector, FittedDetector, OnlineDetector};
pub use episode::{Episode, Episodes, Funnel, GROUP, Posterior, SITE};
pub use error::{BoxError, Error, FrameError, ModelError};
pub use frame::{Columns, Frame, FrameView};
pub use incident_kind::IncidentKind;
pub use isolate::isolated;
pub use live::{LiveDetector, LivePanel};
pub use memory::Memory;
pub use merge::Merge;
#[cfg(feature = "model-files")]
pub use model::{FORMAT_VERSION, Registry, inspect, read_model, read_payload, to_bytes};
pub use model::{ModelInfo, Payload, PersistentModel, Writer, decode_payload, write_payload};
#[cfg(feature = "model-files")]
pub use model_file::ModelFile;
pub use panel::{Panel, SeriesKey};
pub use panel_detector::{
    Absence, AnyDetector, DynPanelDetector, FittedPanelDetector, ModelSource, PanelDetector, Purpose, SeriesDetection,
    Survey,
};
pub use panel_view::{PanelView, SeriesView};
pub use plain::{DetectorExt, FittedExt, ToFrame};
pub use suggest::hint;
#[cfg(feature = "suggestions")]
pub use suggest::nearest_name;
pub use threshold::Threshold;
pub use time::{Timestamp, parse_timestamp};
pub use verdict::{AnomalyType, Severity, Verdict};
pub use wrong_value::{type_in_words, wrong_value};
