#![doc = include_str!("../README.md")]

pub mod auto;
pub mod classifier;
pub mod cost;
mod detector;
mod error;
pub mod kernel;
mod linalg;
pub mod noise;
pub mod online;
mod penalty;
pub mod search;
mod segment;
mod vector;

pub use detector::{ChangeScale, Changepoint, ChangepointConfig, ChangepointModel, ProfileSeason};
pub use error::ChangepointError;
pub use funnelpulse_core as core;
pub use ndarray;
pub use penalty::{Penalty, PenaltyRule};
pub use segment::{Break, ChangeDirection, SegmentLevel, Segmentation, SegmentationConfig, Segmenter};
