//! Tests of the crate through its public interface.

#![allow(clippy::unwrap_used, reason = "a helper of a test may panic")]

mod calendar;
mod calendar_steps;
mod conformance;
mod coverage;
mod golden;
mod held_out;
mod hostile;
mod inputs;
mod numerics;
mod parity;
mod posterior;
mod properties;
#[cfg(feature = "prophet")]
mod prophet_json;
mod reference;
