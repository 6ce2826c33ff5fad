#![doc = include_str!("../README.md")]

mod conformance;
mod frames;
mod panel_conformance;
mod shared;

pub use conformance::Conformance;
pub use frames::{noise_frame, outage_panel, plant};
pub use panel_conformance::PanelConformance;
pub use shared::shared_file;
