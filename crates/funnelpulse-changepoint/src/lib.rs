#![doc = include_str!("../README.md")]

pub mod cost;
mod detector;
mod error;
pub mod kernel;
mod linalg;
pub mod search;

pub use detector::{Changepoint, ChangepointConfig, ChangepointModel, Scale, Season};
pub use error::ChangepointError;
