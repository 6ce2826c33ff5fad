#![doc = include_str!("../README.md")]

mod absent;
mod engineer;
mod error;
mod funnel;
mod spec;

pub use absent::fill_known_empty;
pub use engineer::{BusinessHours, FeatureConfig, FeatureEngineer, FeatureState};
pub use error::FeatureError;
pub use funnel::{Event, EventSpec, FunnelBuilder, Gold, IngestReport, RejectedExample, RejectedRows, Rejection};
pub use spec::{Absent, MetricKind, MetricSpec, NO_KEY, PanelSpec, Unsorted};
