#![doc = include_str!("../README.md")]

mod config;
mod covariates;
mod cross_validation;
mod design;
mod detector;
mod error;
mod fit;
mod fitting;
mod forecast;
mod held_out;
mod history;
mod judge;
mod laplace;
mod likelihood;
mod model;
#[cfg(feature = "prophet")]
mod prophet;
mod robust;
mod rows;
mod step;
mod uncertainty;
mod validate;
mod vector;

pub use config::{
    Combine, CustomSeasonality, FourierOrder, Growth, Holiday, Likelihood, Metric, Mode, Regressor, Scaling,
    SeasonalConfig, Standardize,
};
pub use covariates::Covariates;
pub use cross_validation::{CrossValidation, Cutoffs, HeldOut, HorizonMetrics};
pub use detector::SeasonalDetectorModel;
pub use error::SeasonalError;
pub use fitting::Seasonal;
pub use forecast::{Component, Forecast};
pub use funnelpulse_core as core;
pub use funnelpulse_core::CalendarEntry;
pub use laplace::ParameterErrors;
pub use model::SeasonalModel;
pub use ndarray;
pub use step::TimeStep;

/// The tag of the detector in tables and files.
const KIND: &str = "seasonal";
