#![doc = include_str!("../README.md")]

mod adaptive;
mod budget;
mod combine;
mod error;
mod severity;
mod weights;
mod zscore;

pub use adaptive::{AdaptiveConfig, AdaptiveThreshold};
pub use budget::{ScoredSeries, threshold_for_budget};
pub use combine::{Ensemble, EnsembleConfig, Verdict, Vote, Voting};
pub use error::EnsembleError;
pub use severity::SeverityLevels;
pub use weights::{Episode, Weighting};
pub use zscore::{Scale, Season, ZScore, ZScoreConfig, ZScoreModel};
