//! Rows in memory, for tests and examples.

use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;

use super::{Channel, Commit, Sink};
use crate::StreamError;

/// Keeps the rows that were committed. Clones share them, as processes share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    committed: Arc<Mutex<Vec<(Channel, RecordBatch)>>>,
    open: Vec<(Channel, RecordBatch)>,
}

impl MemorySink {
    /// The committed rows of a channel.
    pub fn rows(&self, channel: Channel) -> Vec<RecordBatch> {
        let committed = self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        committed.iter().filter(|(c, _)| *c == channel).map(|(_, rows)| rows.clone()).collect()
    }
}

impl Sink for MemorySink {
    fn recover(&mut self, _: &[String]) -> Result<(), StreamError> {
        self.open.clear();
        Ok(())
    }

    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        self.open.push((channel, rows.clone()));
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<String>, StreamError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &Commit<'_>) -> Result<(), StreamError> {
        self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut self.open);
        Ok(())
    }
}
