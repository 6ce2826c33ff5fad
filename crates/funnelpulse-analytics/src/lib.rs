#![doc = include_str!("../README.md")]

mod alert;
mod compare;
mod deviation;
mod factors;
mod impact;
mod localize;
mod narrative;
mod number;
mod period;
mod similar;
mod stage;
mod summary;

pub use alert::{Alert, AlertConfig, AlertError, Priority};
pub use compare::{Change, Comparison, compare};
pub use deviation::Deviation;
pub use factors::{Factor, top_factors};
pub use impact::{Impact, ImpactConfig};
pub use localize::{Cause, Combination, History, Leaves, Localization, LocalizeConfig, LocalizeError, Localizer};
pub use narrative::Story;
pub use number::short;
pub use period::{Period, PeriodError, moment};
pub use similar::{Profile, Similar, most_similar};
pub use stage::{
    Attribution, Decomposition, FunnelTotals, Level, Link, Stage, StageError, decompose, decompose_funnel,
    decompose_levels,
};
pub use summary::{Direction, Finding, Summary, Tally, Trend};

pub(crate) use number::median;
