#![doc = include_str!("../README.md")]

mod calendar;
mod clock;
mod detector;
mod effects;
mod model;
mod scale;
mod sorted;
mod spread;
#[cfg(test)]
mod tests;

pub use detector::{KIND, Scale, Season, ZScore, ZScoreConfig};
pub use funnelpulse_core::{self as core, CalendarEntry, CalendarError};
pub use model::ZScoreModel;
pub use ndarray;
