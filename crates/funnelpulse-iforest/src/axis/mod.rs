//! Trees that split one column at a time.

mod cuts;
mod grow;
mod plan;
mod portable;
mod simd;
mod sweep;
mod trees;

pub(crate) use cuts::Ranks;
pub(crate) use grow::Grower;
pub(crate) use simd::LaneTrees;
pub(crate) use sweep::{Scratch, SweepTrees};
pub(crate) use trees::AxisTrees;
