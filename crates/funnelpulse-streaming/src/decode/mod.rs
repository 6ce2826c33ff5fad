//! From bytes to events.

#[cfg(feature = "avro")]
mod avro;
mod cell;
mod json;
mod lines;
mod time;

#[cfg(feature = "avro")]
pub(crate) use avro::AvroDecoder;
pub(crate) use cell::{Broken, Cells};
pub(crate) use json::JsonDecoder;
pub use lines::TextFormat;
pub(crate) use lines::{CsvDecoder, complete_lines};
