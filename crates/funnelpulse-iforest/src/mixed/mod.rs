//! Trees that split a number at a threshold and a category by a set.

mod categories;
mod trees;

pub(crate) use categories::{Category, LEFT, RIGHT, Sides, draw_sides};
pub(crate) use trees::{MixedTree, MixedTrees};
