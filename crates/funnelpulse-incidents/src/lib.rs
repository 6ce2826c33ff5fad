#![doc = include_str!("../README.md")]

mod against;
mod alarm;
mod calendar;
mod clock;
mod config;
mod error;
mod grid;
mod incident;
mod kind;
mod mask;
mod model;
mod name;
mod price;
mod prior;
mod scan;
mod series;
mod site;
mod structure;
#[cfg(test)]
mod tests;
mod windows;

pub use against::Forecast;
pub use calendar::CalendarEntry;
pub use config::IncidentConfig;
pub use error::IncidentError;
pub use incident::{Evidence, Incident, Window};
pub use kind::IncidentKind;
pub use model::{IncidentDetector, IncidentModel, SITE};
pub use scan::Scan;
