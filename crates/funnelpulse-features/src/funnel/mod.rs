//! Raw events, cleaned, deduplicated and summed up per key and window.

mod builder;
mod cube;
mod direct;
mod event;
mod gold;
mod report;
mod screen;
mod seen;
mod sieve;
mod silver;

pub use builder::{FunnelBuilder, Gold};
pub use cube::{Counts, Cube, CubeBuilder, Leaf, price_band};
pub use event::{Event, EventSpec};
pub use report::{IngestReport, RejectedExample, RejectedRows, Rejection};
pub use screen::{EventScreen, Screened, ValidEvent, series_name};
pub use silver::Step;

#[cfg(test)]
mod tests;
