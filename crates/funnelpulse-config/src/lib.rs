#![doc = include_str!("../README.md")]

mod error;
mod keys;
mod layers;
mod sections;

pub use error::ConfigError;
pub use keys::settings;
pub use layers::{Layers, Shape, read_value};
pub use sections::{Section, Sections, Settings};
