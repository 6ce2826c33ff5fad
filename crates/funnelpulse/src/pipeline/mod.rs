//! From a panel to findings.

mod builder;
mod fitted;
mod incidents;
mod matrix;
mod member;
mod saved;
mod series;
#[cfg(test)]
mod tests;

pub use builder::{Pipeline, PipelineBuilder, Progress, Stage, registry};
pub use fitted::{FittedPipeline, SeriesInfo};
pub(crate) use series::Plan;
