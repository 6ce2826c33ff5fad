#![doc = include_str!("../README.md")]

mod clock;
mod detector;
mod model;
mod scale;
mod sorted;
mod spread;
#[cfg(test)]
mod tests;

pub use detector::{KIND, Scale, Season, ZScore, ZScoreConfig};
pub use funnelpulse_core as core;
pub use model::ZScoreModel;
pub use ndarray;
