//! Rows as JSON lines to standard output and the like.

use std::io::Write;

use arrow::{array::RecordBatch, json::LineDelimitedWriter};

use super::{Channel, Commit, Sink, rows_error};
use crate::StreamError;

/// Writes the rows of each committed epoch as JSON lines; dead letters are left out.
///
/// What was written can't be taken back: rows of an epoch that was committed right before a crash may be missing.
///
/// ```
/// use funnelpulse_streaming::WriterSink;
///
/// let _sink = WriterSink::new(std::io::stdout());
/// ```
#[derive(Debug)]
pub struct WriterSink<W> {
    writer: W,
    open: Vec<u8>,
}

impl<W: Write> WriterSink<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, open: Vec::new() }
    }
}

impl<W: Write> Sink for WriterSink<W> {
    fn recover(&mut self, _: &[String]) -> Result<(), StreamError> {
        Ok(())
    }

    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        if channel == Channel::Rows {
            let mut json = LineDelimitedWriter::new(&mut self.open);
            json.write(rows).and_then(|()| json.finish()).map_err(rows_error("JSON lines"))?;
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<String>, StreamError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &Commit<'_>) -> Result<(), StreamError> {
        let written = self.writer.write_all(&self.open).and_then(|()| self.writer.flush());
        self.open.clear();
        written.map_err(StreamError::file("output"))
    }
}
