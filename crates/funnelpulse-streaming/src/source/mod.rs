//! Where records come from.

mod files;
mod folder;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod parquet;
mod pipe;
mod text;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use funnelpulse_core::Timestamp;
use funnelpulse_features::Event;
use serde::{Deserialize, Serialize};

pub use folder::{FolderSource, Reading};
#[cfg(feature = "kafka")]
pub use kafka::KafkaSource;
pub use memory::{MemoryRecord, MemorySource};
pub use pipe::PipeSource;

use crate::{ClosedWindow, StreamError};

/// How far a partition was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Where to go on: an offset in Kafka, bytes of a text, rows of a Parquet file.
    pub next: u64,
    /// Nothing more will come.
    pub done: bool,
}

/// How far each partition was read, by name.
pub type Positions = BTreeMap<String, Position>;

/// What a source hands out.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A partition is read from now on, and holds windows open until it has had records, is idle or is finished.
    Assigned {
        /// The number by which it is called from now on; a number is never used for another name.
        partition: u32,
        /// Its name, the same after a restart.
        name: &'a str,
        /// None of its records is older, where that is known.
        not_before: Option<Timestamp>,
    },
    /// An event.
    Event {
        /// Its partition.
        partition: u32,
        /// The event.
        event: &'a Event<'a>,
        /// Its [identity](Event::identity), where the source knows it already.
        identity: Option<u128>,
    },
    /// A window, or some of its rows, that another process closed.
    Window {
        /// The partition of the events that it is of.
        partition: u32,
        /// The window.
        window: &'a ClosedWindow,
        /// No more rows of it follow.
        last: bool,
    },
    /// A record that can't be read as an event.
    Broken {
        /// Its partition.
        partition: u32,
        /// The reason.
        reason: Cow<'a, str>,
        /// The record.
        value: &'a [u8],
    },
    /// No more records of the partition will come for now: it no longer holds windows open.
    Finished {
        /// The partition.
        partition: u32,
    },
}

/// The result of a [`Source::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Records came.
    Records,
    /// Nothing came within the time.
    Nothing,
    /// Nothing will come any more.
    End,
}

/// A source of records in partitions.
///
/// A partition keeps its order; records of different partitions come in any order. After [`seek`](Self::seek) to
/// positions that [`positions`](Self::positions) returned, the same records follow as the first time.
pub trait Source {
    /// Hands out the next records, waiting for at most `wait`. All partitions that are known are assigned before the
    /// first record.
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError>;

    /// The positions after the records that were handed out.
    fn positions(&self) -> Positions;

    /// Goes on from these positions. To be called before the first poll; partitions that are not named start at their
    /// beginning.
    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError>;

    /// The reason why nothing comes although something may be there, such as a broker that does not answer. By default
    /// there is none.
    fn waiting(&self) -> Option<String> {
        None
    }

    /// Records that are there and were not read, by the name of the partition. By default it is not known.
    fn behind(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    /// The consumer group, for sinks that commit the positions within their transaction. By default there is none.
    fn group(&self) -> Option<Group> {
        None
    }
}

/// A consumer group at the moment of a commit: what a transaction needs to commit positions on its behalf.
#[derive(Clone)]
pub struct Group {
    #[cfg(feature = "kafka")]
    pub(crate) metadata: std::sync::Arc<rdkafka::consumer::ConsumerGroupMetadata>,
    #[cfg(feature = "kafka")]
    pub(crate) topic: String,
    /// Partition and offset of the next record.
    #[cfg(feature = "kafka")]
    pub(crate) offsets: Vec<(i32, i64)>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}
