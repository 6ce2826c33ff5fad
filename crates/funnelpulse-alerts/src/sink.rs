//! Where alerts go.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use crate::{Alert, AlertsError, DeliveryError};

/// Something that alerts are delivered to.
///
/// A [`Dispatcher`](crate::Dispatcher) calls it from a thread of its own, so it may block; it
/// should give up after some seconds.
pub trait Sink: fmt::Debug + Send {
    /// A name that is its own among the sinks of a dispatcher and the same after a restart: the
    /// spool remembers by it what was delivered. It must not hold a secret.
    fn name(&self) -> &str;

    /// Delivers one alert. A [`Temporary`](DeliveryError::Temporary) failure is tried again.
    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError>;
}

/// One line of JSON per alert.
///
/// ```
/// use funnelpulse_alerts::{Alert, JsonLines, Sink};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let mut sink = JsonLines::new("memory", Vec::new());
/// sink.deliver(&Alert::new("runail", Severity::Low, Timestamp::from_seconds(0)))?;
/// let line: serde_json::Value = serde_json::from_slice(sink.get_ref()).unwrap();
/// assert_eq!(line["id"], "runail");
/// # Ok::<(), funnelpulse_alerts::DeliveryError>(())
/// ```
pub struct JsonLines<W> {
    name: String,
    writer: W,
}

impl<W> fmt::Debug for JsonLines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`, flushing after each line.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer }
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.writer
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError> {
        let mut line = serde_json::to_vec(alert).map_err(DeliveryError::permanent)?;
        line.push(b'\n');
        self.writer.write_all(&line).and_then(|()| self.writer.flush()).map_err(DeliveryError::temporary)
    }
}

/// Appends to a file, which is opened anew for every alert: it may be moved away at any time, and
/// a disk that was full or away is used again as soon as it is back.
#[derive(Clone, Debug)]
pub struct AppendFile {
    path: PathBuf,
}

impl AppendFile {
    /// Creates the file where it isn't there.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, AlertsError> {
        let file = Self { path: path.into() };
        file.open().map_err(|e| AlertsError::file(&file.path, e))?;
        Ok(file)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.path)
    }
}

impl Write for AppendFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_appended_to_and_every_byte_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        std::fs::write(&path, "before ").unwrap();
        let mut file = AppendFile::new(&path).unwrap();
        assert_eq!(file.write(b"one ").unwrap(), 4);
        file.write_all(b"two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before one two");
    }
}
