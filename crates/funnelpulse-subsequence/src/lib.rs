#![doc = include_str!("../README.md")]

mod config;
mod detector;
mod model;
mod patterns;
mod period;
mod scale;
mod sorted;
mod stream;

pub use config::{SubsequenceConfig, SubsequenceError, SubsequenceScoring};
pub use detector::Subsequence;
pub use funnelpulse_core as core;
pub use model::SubsequenceModel;
pub use ndarray;
pub use period::period;
pub use stream::{Stream, StreamConfig};
