#![doc = include_str!("../README.md")]

mod absent;
mod engineer;
mod error;
mod funnel;
mod spec;

pub use absent::fill_known_empty;
pub use engineer::{BusinessHours, FeatureConfig, FeatureEngineer, FeatureState};
pub use error::FeatureError;
pub use funnel::{
    Counts, Cube, CubeBuilder, Event, EventScreen, EventSpec, FunnelBuilder, Gold, IngestReport, Leaf, RejectedExample,
    RejectedRows, Rejection, Screened, Step, ValidEvent, price_band, series_name,
};
pub use spec::{Absent, Duplicates, MetricKind, MetricSpec, NO_KEY, PanelSpec, Unsorted};
