//! Trees that split one column at a time.

mod cuts;
mod grow;
mod portable;
mod simd;
mod sweep;
mod trees;

pub(crate) use cuts::Ranks;
pub(crate) use grow::Grower;
pub(crate) use simd::LaneTrees;
pub(crate) use sweep::Scratch;
pub(crate) use trees::AxisTrees;
