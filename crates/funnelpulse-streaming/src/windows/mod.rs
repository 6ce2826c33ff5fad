//! Detection in two stages: any number of processes turn events into windows, one for each site scores them.

mod message;
mod owned;
mod rebalance;
mod stage;

pub(crate) use message::decode;
pub use stage::{WindowStage, WindowStageConfig};
