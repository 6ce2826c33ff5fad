//! Tests of the crate through its public interface.

mod conformance;
mod coverage;
mod parity;
mod reference;
