#![doc = include_str!("../README.md")]

mod axis;
mod config;
mod distance;
mod explain;
mod export;
mod forest;
mod grown;
mod impute;
mod mixed;
mod model;
mod oblique;
mod online;
mod out_of_bag;
mod parallel;
mod path;
mod sample;
mod score;
mod shap;
mod trees;
mod vector;
mod walk;

pub use config::{IsolationForestConfig, IsolationForestError, Scoring, Split};
pub use forest::IsolationForest;
pub use funnelpulse_core as core;
pub use model::IsolationForestModel;
pub use ndarray;
pub use shap::ShapValues;
