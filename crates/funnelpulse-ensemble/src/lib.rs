#![doc = include_str!("../README.md")]

mod adaptive;
mod budget;
mod combine;
mod error;
mod evidence;
mod peaks;
mod severity;
mod weights;

pub use adaptive::{AdaptiveConfig, AdaptiveThreshold};
pub use budget::{ScoredSeries, threshold_for_budget};
pub use combine::{Ensemble, EnsembleConfig, Vote, Voting};
pub use error::EnsembleError;
pub use funnelpulse_core::Verdict;
pub use severity::SeverityLevels;
pub use weights::{Answer, Weighting};
