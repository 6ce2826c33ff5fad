#![doc = include_str!("../README.md")]

mod alert;
mod deviation;
mod factors;
mod impact;
mod localize;
mod number;
mod summary;

pub use alert::{Alert, AlertConfig, AlertError, Priority};
pub use deviation::Deviation;
pub use factors::{Factor, top_factors};
pub use impact::{Impact, ImpactConfig};
pub use localize::{Cause, Combination, History, Leaves, Localization, LocalizeConfig, LocalizeError, Localizer};
pub use number::short;
pub use summary::{Finding, Summary, Tally};

pub(crate) use number::median;
