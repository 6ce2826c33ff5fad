//! Tests of the whole detector on small made-up shops.

mod found;
mod input;
mod live;
mod names;
mod properties;
mod shop;
mod structure;
mod time;
mod windows;
