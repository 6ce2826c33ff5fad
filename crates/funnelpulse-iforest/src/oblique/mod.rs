//! Trees that split along random directions.

mod directions;
mod grow;
mod kernel;
mod quad;
mod scale;
mod split;
mod trees;

pub(crate) use grow::{Grower, Rule};
pub(crate) use scale::Scale;
pub(crate) use trees::{GrownTree, ObliqueTrees};
