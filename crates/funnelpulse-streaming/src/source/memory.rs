//! Records in memory, for tests and examples.

use std::time::Duration;

use funnelpulse_core::Timestamp;
use funnelpulse_features::Event;

use super::{Input, Polled, Position, Positions, Source};
use crate::StreamError;

/// An event that owns its parts, or a record that is none.
#[derive(Clone, Debug, PartialEq)]
pub enum MemoryRecord {
    /// An event.
    Event {
        /// When it happened.
        time: Timestamp,
        /// Its type.
        event_type: String,
        /// The parts of the series' name.
        keys: Vec<Option<String>>,
        /// The product.
        product: Option<String>,
        /// The user.
        user: Option<String>,
        /// The session.
        session: Option<String>,
        /// The price.
        price: Option<f64>,
    },
    /// A record that can't be read.
    Broken(String),
}

/// Partitions in memory. Each poll hands out records of one partition, in turns.
///
/// ```
/// use std::time::Duration;
/// use funnelpulse_streaming::{MemoryRecord, MemorySource, Polled, Source};
///
/// let mut source = MemorySource::new(vec![vec![MemoryRecord::Broken("x".into())]], 100);
/// let mut inputs = 0;
/// while source.poll(Duration::ZERO, &mut |_| inputs += 1)? != Polled::End {}
/// assert_eq!(inputs, 3, "assigned, broken, finished");
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemorySource {
    partitions: Vec<Vec<MemoryRecord>>,
    next: Vec<usize>,
    batch: usize,
    turn: usize,
    assigned: bool,
}

impl MemorySource {
    /// These partitions, called `0`, `1` and so on; at most `batch` records per poll.
    pub fn new(partitions: Vec<Vec<MemoryRecord>>, batch: usize) -> Self {
        let next = vec![0; partitions.len()];
        Self { partitions, next, batch: batch.max(1), turn: 0, assigned: false }
    }

    /// Adds a record to a partition.
    pub fn push(&mut self, partition: usize, record: MemoryRecord) {
        self.partitions[partition].push(record);
    }
}

impl Source for MemorySource {
    fn poll(&mut self, _: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        let count = self.partitions.len();
        if !self.assigned {
            self.assigned = true;
            for partition in 0..count {
                take(Input::Assigned { partition: partition as u32, name: &partition.to_string(), not_before: None });
                if self.next[partition] == self.partitions[partition].len() {
                    take(Input::Finished { partition: partition as u32 });
                }
            }
        }
        let open = |p: &usize| self.next[*p] < self.partitions[*p].len();
        let Some(index) = (self.turn..self.turn + count).map(|turn| turn % count).find(open) else {
            return Ok(Polled::End);
        };
        self.turn = (index + 1) % count;
        let (from, partition) = (self.next[index], index as u32);
        let to = (from + self.batch).min(self.partitions[index].len());
        for record in &self.partitions[index][from..to] {
            give(record, partition, take);
        }
        self.next[index] = to;
        if to == self.partitions[index].len() {
            take(Input::Finished { partition });
        }
        Ok(Polled::Records)
    }

    fn positions(&self) -> Positions {
        let position = |(index, next): (usize, &usize)| {
            (index.to_string(), Position { next: *next as u64, done: *next == self.partitions[index].len() })
        };
        self.next.iter().enumerate().map(position).collect()
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        for (index, next) in self.next.iter_mut().enumerate() {
            let position = positions.get(&index.to_string()).copied().unwrap_or_default();
            *next = (position.next as usize).min(self.partitions[index].len());
        }
        Ok(())
    }
}

fn give(record: &MemoryRecord, partition: u32, take: &mut dyn FnMut(Input<'_>)) {
    match record {
        MemoryRecord::Broken(text) => {
            take(Input::Broken { partition, reason: "broken".into(), value: text.as_bytes() });
        }
        MemoryRecord::Event { time, event_type, keys, product, user, session, price } => {
            let keys: Vec<Option<&str>> = keys.iter().map(Option::as_deref).collect();
            let event = Event {
                time: *time,
                event_type,
                keys: &keys,
                product: product.as_deref(),
                user: user.as_deref(),
                session: session.as_deref(),
                price: *price,
            };
            take(Input::Event { partition, event: &event, identity: None });
        }
    }
}
