//! The isolation forest from outside.

mod categorical;
mod contract;
mod explain;
#[cfg(any(feature = "onnx", feature = "treelite"))]
mod export;
mod family;
mod fuzz;
mod neighbours;
mod online;
mod parity;

use funnelpulse_core::{Detector, FittedDetector, Frame, FrameView};
use funnelpulse_iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel, Split};

/// Every way to divide a node.
const SPLITS: [Split; 5] = [Split::Standard, Split::Extended, Split::PooledGain, Split::AveragedGain, Split::Density];

fn forest(config: IsolationForestConfig) -> IsolationForest {
    IsolationForest::new(config).expect("valid")
}

/// A small forest, quick to grow.
fn small(split: Split) -> IsolationForestConfig {
    IsolationForestConfig { split, n_trees: 30, max_samples: 64, ..Default::default() }
}

fn fitted(config: IsolationForestConfig, frame: &Frame) -> IsolationForestModel {
    forest(config).fit(frame.view()).expect("enough rows")
}

fn scores(model: &IsolationForestModel, frame: FrameView<'_>) -> Vec<f64> {
    model.detect(frame).expect("same columns").into_score().to_vec()
}
