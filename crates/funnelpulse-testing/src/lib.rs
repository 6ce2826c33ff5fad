//! Test helpers: the detector conformance suite, synthetic frames, labelled data that may be absent.

mod shared;

pub use shared::shared_file;
