#![doc = include_str!("../README.md")]

mod document;
mod error;
mod keys;
mod layers;
mod pipeline;

pub use document::Config;
pub use error::ConfigError;
pub use layers::Layers;
pub use pipeline::{PipelineConfig, Scope};
