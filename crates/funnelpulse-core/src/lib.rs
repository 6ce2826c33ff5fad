#![doc = include_str!("../README.md")]

mod budget;
mod calibrator;
mod detection;
mod detector;
mod error;
mod frame;
mod merge;
mod model;
mod panel;
mod threshold;
mod time;
mod verdict;

pub use budget::{AlarmBudget, ParseBudgetError};
pub use calibrator::{Calibrator, ScoreSketch, evidence_of_score, score_of_evidence};
pub use detection::Detection;
pub use detector::{Detector, DynDetector, FittedDetector, OnlineDetector};
pub use error::{BoxError, Error, FrameError, ModelError};
pub use frame::{Columns, Frame, FrameView};
pub use merge::Merge;
pub use model::{FORMAT_VERSION, ModelInfo, PersistentModel, Registry, inspect, read_payload, to_bytes, write_payload};
pub use panel::{Panel, SeriesKey};
pub use threshold::Threshold;
pub use time::{Timestamp, parse_timestamp};
pub use verdict::{AnomalyType, Severity};
