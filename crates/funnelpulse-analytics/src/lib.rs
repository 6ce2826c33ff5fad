#![doc = include_str!("../README.md")]

mod alert;
mod compare;
mod comparison;
mod deviation;
mod factors;
mod findings;
mod group;
mod impact;
mod incident;
mod localize;
mod locate;
mod narrative;
mod number;
mod period;
mod row_clock;
mod similar;
mod stage;
mod summary;
#[cfg(feature = "arrow")]
mod table;

pub use alert::{AlertConfig, AlertError, Notice, Priority};
pub use compare::{Change, Comparison, compare};
pub use comparison::{
    CompareError, Contribution, Gap, Group, Kinds, ModelComparison, ModelSide, PanelComparison, Selection,
    SeriesDifference, compare_findings, compare_panel,
};
#[cfg(feature = "eval")]
pub use comparison::{Labels, Quality};
pub use deviation::Deviation;
pub use factors::{Factor, top_factors};
pub use findings::{Anomaly, DetectorColumns, Findings, Layout, ModelScores, SeriesFailure, SeriesFindings};
pub use impact::{Impact, ImpactConfig};
pub use incident::Incident;
pub use localize::{Cause, Combination, History, Leaves, Localization, LocalizeConfig, LocalizeError, Localizer};
pub use locate::{
    HISTORY_DAYS, LocateError, Measure, Place, Question, UnknownMeasure, locate, windows_of_incidents,
    windows_to_locate,
};
pub use narrative::Story;
pub use number::short;
pub use period::{Period, PeriodError, moment};
pub use row_clock::RowClock;
pub use similar::{Profile, Similar, most_similar};
pub use stage::{
    Attribution, Decomposition, FunnelTotals, Level, Link, Stage, StageError, decompose, decompose_funnel,
    decompose_levels,
};
pub use summary::{Direction, Finding, Summary, Tally, Trend};

pub(crate) use number::median;
