#![doc = include_str!("../README.md")]

mod error;
pub mod generator;
pub mod metrics;

pub use error::EvalError;
pub use metrics::{Evaluation, EvaluationOptions, evaluate, mean};
