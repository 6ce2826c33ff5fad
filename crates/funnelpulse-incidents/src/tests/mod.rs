//! Tests of the whole detector on small made-up shops.

mod found;
mod input;
mod live;
mod memory;
mod names;
mod onset;
mod properties;
pub(crate) mod shop;
mod structure;
mod time;
mod windows;
