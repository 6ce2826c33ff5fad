//! Raw events, cleaned, deduplicated and summed up per key and window.

mod builder;
mod event;
mod gold;
mod report;
mod silver;

pub use builder::{FunnelBuilder, Gold};
pub use event::{Event, EventSpec};
pub use report::{IngestReport, RejectedExample, RejectedRows, Rejection};

#[cfg(test)]
mod tests;
