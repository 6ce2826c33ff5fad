#![doc = include_str!("../README.md")]

mod alert;
mod deviation;
mod factors;
mod impact;
mod number;
mod summary;

pub use alert::{Alert, AlertConfig, AlertError, Priority};
pub use deviation::Deviation;
pub use factors::{Factor, top_factors};
pub use impact::{Impact, ImpactConfig};
pub use number::short;
pub use summary::{Finding, Summary, Tally};
