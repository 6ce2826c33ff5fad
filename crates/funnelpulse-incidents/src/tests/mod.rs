//! Tests of the whole detector on small made-up shops.

mod found;
mod input;
mod live;
mod properties;
mod shop;
mod time;
