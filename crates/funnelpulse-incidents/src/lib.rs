#![doc = include_str!("../README.md")]

mod against;
mod alarm;
mod calendar;
mod clock;
mod config;
mod error;
mod fit;
mod grid;
mod incident;
mod judge;
mod kept;
mod live;
mod mask;
mod model;
mod name;
mod normal;
mod onset;
mod panel;
mod price;
mod scan;
mod series;
mod site;
mod site_scan;
mod structure;
#[cfg(test)]
mod tests;
mod windows;

pub use against::ExternalForecast;
pub use config::IncidentConfig;
pub use error::IncidentError;
pub use fit::IncidentDetector;
pub use funnelpulse_core::{CalendarEntry, CalendarError, IncidentKind, SITE};
pub use incident::{EvidenceWindow, IncidentEpisode, RowEvidence};
pub use model::IncidentModel;
pub use panel::{FittedIncidents, KIND};
pub use scan::Scan;
