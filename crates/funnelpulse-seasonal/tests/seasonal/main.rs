//! Tests of the crate through its public interface.

mod conformance;
mod parity;
mod reference;
