#![doc = include_str!("../README.md")]

mod baskets;
mod config;
mod decode;
mod error;
mod evidence;
mod grid;
mod incident;
mod kind;
mod level;
mod model;
mod noise;
mod panel;
mod prior;
mod profile;
mod site;
mod tail;
#[cfg(test)]
mod tests;

pub use config::IncidentConfig;
pub use error::IncidentError;
pub use funnelpulse_core::{IncidentKind, SITE};
pub use incident::{Evidence, Incident};
pub use model::{Forecast, IncidentDetector, IncidentModel, Scan};
pub use noise::Noise;
pub use panel::{FittedIncidents, KIND};
