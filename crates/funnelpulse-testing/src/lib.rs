//! Test helpers: the [conformance suite](Conformance) that every detector passes, synthetic
//! frames, labelled data that may be absent.

mod conformance;
mod frames;
mod shared;

pub use conformance::Conformance;
pub use frames::{noise_frame, plant};
pub use shared::shared_file;
