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
pub use model::SubsequenceModel;
pub use period::period;
pub use stream::{Stream, StreamConfig};
