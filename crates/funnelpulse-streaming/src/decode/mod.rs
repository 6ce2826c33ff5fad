//! From bytes to events.

mod cell;
mod json;
mod lines;
mod time;

pub(crate) use cell::{Broken, Cells};
pub(crate) use json::JsonDecoder;
pub use lines::TextFormat;
pub(crate) use lines::{CsvDecoder, complete_lines};
