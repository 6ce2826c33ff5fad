#![doc = include_str!("../README.md")]

mod checkpoint;
mod config;
mod detector;
mod engine;
#[cfg(feature = "flex")]
mod fused;
mod kernel;
mod model;
mod network;
mod scale;
mod series;
mod stream;
mod tensors;
mod train;
mod whiten;

pub use config::{Compute, LstmAutoencoderConfig, LstmAutoencoderError, ReconstructionScoring, Transform};
pub use detector::LstmAutoencoder;
pub use model::LstmAutoencoderModel;
pub use stream::LstmAutoencoderStream;
pub use train::{EpochLoss, TrainingProgress};
