//! Where rows go.

#[cfg(feature = "kafka")]
mod events;
mod files;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod keys;
mod memory;
mod writer;

use arrow::array::RecordBatch;

#[cfg(feature = "kafka")]
pub use events::KafkaMessages;
pub use files::{FileFormat, FileSink};
#[cfg(feature = "kafka")]
pub use kafka::KafkaSink;
pub use memory::MemorySink;
pub use writer::WriterSink;

use crate::{Group, Positions, StreamError};

/// What rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Results of the operator.
    Rows,
    /// Records that were late, rejected or unreadable, with the reason.
    DeadLetters,
}

impl Channel {
    /// The name, part of file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// What is committed.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The epoch.
    pub epoch: u64,
    /// The output files of the epoch, as [`Sink::prepare`] named them.
    pub files: &'a [String],
    /// The name of the state file.
    pub state: &'a str,
    /// How far the input was read.
    pub positions: &'a Positions,
    /// The consumer group, where the source has one.
    pub group: Option<&'a Group>,
}

/// A sink in two phases: rows are written during an epoch, made durable by [`prepare`](Self::prepare), and become
/// visible by [`commit`](Self::commit), after the checkpoint of the epoch is committed.
pub trait Sink {
    /// Called once before all else: ends what an earlier process left open.
    fn start(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    /// Called once after [`start`](Self::start): makes the files of the last committed epoch visible, where a crash came
    /// between, and drops what was written after it.
    fn recover(&mut self, committed: &[String]) -> Result<(), StreamError>;

    /// Writes rows of the current epoch. Rows of one channel all have the same columns.
    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError>;

    /// Makes all rows of the epoch durable, but not visible. Returns the names of the files.
    fn prepare(&mut self, epoch: u64) -> Result<Vec<String>, StreamError>;

    /// Makes the rows of the epoch visible.
    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StreamError>;

    /// Transactions that were committed and aborted since the start; none by default.
    fn transactions(&self) -> [u64; 2] {
        [0; 2]
    }

    /// Whether the name of the checkpoint is committed together with the rows in one transaction: then no manifest is
    /// written, and [`committed`](Self::committed) says which checkpoint counts.
    fn commits_checkpoint(&self) -> bool {
        false
    }

    /// The longest time between two checkpoints that the sink can bear; `None` without a limit.
    fn longest_epoch(&self) -> Option<std::time::Duration> {
        None
    }

    /// The name of the checkpoint of the last transaction. Called after [`start`](Self::start).
    fn committed(&mut self) -> Result<Option<String>, StreamError> {
        Ok(None)
    }
}

pub(crate) fn rows_error(sink: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> StreamError {
    move |error| StreamError::Rows { sink, reason: error.to_string() }
}
