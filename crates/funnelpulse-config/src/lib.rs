#![doc = include_str!("../README.md")]

mod document;
mod error;
mod keys;
mod layers;
mod pipeline;
mod preset;

pub use document::Config;
pub use error::ConfigError;
pub use layers::Layers;
pub use pipeline::{PipelineConfig, Scope};
pub use preset::Preset;
