//! From a panel to findings.

mod builder;
mod fitted;
mod incidents;
mod learn;
mod matrix;
mod member;
mod saved;
mod scored;
mod series;
#[cfg(test)]
mod tests;

pub use builder::{Pipeline, PipelineBuilder, Progress, Stage, registry};
pub use fitted::{FittedPipeline, SeriesInfo};
pub(crate) use series::Plan;
