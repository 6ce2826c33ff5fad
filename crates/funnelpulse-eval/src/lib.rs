#![doc = include_str!("../README.md")]

#[cfg(feature = "bench")]
pub mod bench;
mod error;
pub mod generator;
pub mod metrics;

pub use error::EvalError;
pub use metrics::{Evaluation, EvaluationOptions, evaluate, mean};
