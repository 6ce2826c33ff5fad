#![doc = include_str!("../README.md")]

mod batch;
mod cells;
mod error;
mod events;
#[cfg(feature = "ffi")]
pub mod ffi;
mod options;
mod panel;
mod recognise;
mod strays;
mod table;
mod times;
mod write;

pub use batch::{panel_from_batches, panel_to_batch, split_key};
pub use error::IoError;
pub use events::{EventRow, each_event, further_columns, read_cube, read_events, scan_events, wanted_columns};
pub use options::{Epoch, ReadOptions};
pub use panel::{PanelRead, SeriesProblem, read_panel};
pub use recognise::{InputKind, recognise};
pub use strays::{StrayRow, set_aside_strays};
pub use table::Table;
pub use times::TimeReader;
pub use write::{
    Companion, StagedFile, WriteReport, csv_bytes, parquet_bytes, recover, write_bytes, write_file, write_partitioned,
    write_results,
};
