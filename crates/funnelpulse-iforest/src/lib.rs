#![doc = include_str!("../README.md")]

mod config;
mod forest;
mod parallel;
mod tree;

pub use config::{IsolationForestConfig, IsolationForestError};
pub use forest::{IsolationForest, IsolationForestModel};
