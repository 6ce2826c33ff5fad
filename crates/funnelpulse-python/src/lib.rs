//! The native module of the Python package `funnelpulse`.
//!
//! It only translates: tables and arrays in, tables and arrays out. Detection is in the crates that it
//! calls. Work that takes time runs without the interpreter's lock.

mod config;
mod detectors;
mod error;
mod findings;
mod forecast;
mod generator;
mod input;
mod live;
mod metrics;
mod pipeline;
mod segments;
mod table;

use pyo3::prelude::*;

/// The native module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<table::Table>()?;
    module.add_class::<config::Config>()?;
    module.add_class::<pipeline::Pipeline>()?;
    module.add_class::<pipeline::FittedPipeline>()?;
    module.add_class::<findings::Findings>()?;
    module.add_class::<live::LivePipeline>()?;
    module.add_class::<live::Advance>()?;
    module.add_function(wrap_pyfunction!(generator::generate, module)?)?;
    module.add_class::<detectors::FittedModel>()?;
    module.add_class::<segments::Segmenter>()?;
    module.add_class::<forecast::Forecaster>()?;
    module.add_function(wrap_pyfunction!(forecast::cross_validation, module)?)?;
    metrics::register(module)
}
