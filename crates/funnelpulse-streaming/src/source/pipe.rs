//! Text that comes through a pipe, such as standard input.

use std::{
    io::Read,
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

use funnelpulse_features::EventSpec;
use funnelpulse_io::{ReadOptions, TimeReader};

use super::{
    Input, Polled, Position, Positions, Source,
    text::{LONGEST, TextDecoder},
};
use crate::{
    StreamError,
    decode::{TextFormat, complete_lines},
};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;
/// Chunks that wait to be taken.
const WAITING: usize = 4;

/// Text from a reader in a thread of its own, so that the wall clock goes on while nothing comes. One partition, called
/// `pipe`.
///
/// A pipe can't be rewound: after a restart the stream goes on with what comes then, and what was read after the last
/// checkpoint is lost.
///
/// ```
/// use std::time::Duration;
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::ReadOptions;
/// use funnelpulse_streaming::{Input, PipeSource, Polled, Source, TextFormat};
///
/// let text = r#"{"event_time": "2019-10-01 00:00:00 UTC", "event_type": "view", "brand": "runail"}"#;
/// let options = ReadOptions::default();
/// let mut source = PipeSource::new(text.as_bytes(), TextFormat::JsonLines, &EventSpec::default(), &options)?;
/// let mut events = 0;
/// let mut take = |input: Input<'_>| events += i32::from(matches!(input, Input::Event { .. }));
/// while source.poll(Duration::from_secs(1), &mut take)? != Polled::End {}
/// assert_eq!(events, 1);
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Debug)]
pub struct PipeSource {
    chunks: Receiver<std::io::Result<Vec<u8>>>,
    format: TextFormat,
    spec: EventSpec,
    times: TimeReader,
    decoder: Option<TextDecoder>,
    rest: Vec<u8>,
    /// Bytes that were handed out.
    offset: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Open,
    Ended,
}

impl PipeSource {
    /// Starts reading.
    pub fn new(
        reader: impl Read + Send + 'static,
        format: TextFormat,
        spec: &EventSpec,
        options: &ReadOptions,
    ) -> Result<Self, StreamError> {
        spec.validate()?;
        let times = TimeReader::new(options).map_err(|e| StreamError::contents("pipe", e))?;
        let (sender, chunks) = sync_channel(WAITING);
        std::thread::spawn(move || {
            let mut reader = reader;
            let mut chunk = vec![0; CHUNK];
            loop {
                let message = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(length) => Ok(chunk[..length].to_vec()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = message.is_err();
                if sender.send(message).is_err() || failed {
                    return;
                }
            }
        });
        let (spec, state) = (spec.clone(), State::New);
        Ok(Self { chunks, format, spec, times, decoder: None, rest: Vec::new(), offset: 0, state })
    }

    /// Hands out what is complete; at the end everything.
    fn give(&mut self, at_end: bool, take: &mut dyn FnMut(Input<'_>)) -> Result<(), StreamError> {
        if self.decoder.is_none() {
            let mut header = Vec::new();
            if self.format.delimiter().is_some() {
                let end = match memchr::memchr(b'\n', &self.rest) {
                    Some(end) => end + 1,
                    None if at_end => self.rest.len(),
                    None => return Ok(()),
                };
                header.extend(self.rest.drain(..end));
            }
            let decoder = TextDecoder::new(self.format, &self.spec, &self.times, &header);
            self.decoder = Some(decoder.map_err(|reason| StreamError::contents("pipe", reason))?);
        }
        let mut complete = complete_lines(&self.rest, self.format);
        if at_end || (complete == 0 && self.rest.len() > LONGEST) {
            complete = self.rest.len();
        }
        if let Some(decoder) = self.decoder.as_mut().filter(|_| complete > 0) {
            decoder.decode(&self.rest[..complete], 0, take);
            self.rest.drain(..complete);
            self.offset += complete as u64;
        }
        Ok(())
    }
}

impl Source for PipeSource {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        if self.state == State::New {
            self.state = State::Open;
            take(Input::Assigned { partition: 0, name: "pipe", not_before: None });
        }
        if self.state == State::Ended {
            return Ok(Polled::End);
        }
        match self.chunks.recv_timeout(wait) {
            Ok(Ok(chunk)) => {
                self.rest.extend_from_slice(&chunk);
                self.give(false, take)?;
                Ok(Polled::Records)
            }
            Ok(Err(error)) => Err(StreamError::file("pipe")(error)),
            Err(RecvTimeoutError::Timeout) => Ok(Polled::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                self.give(true, take)?;
                self.state = State::Ended;
                take(Input::Finished { partition: 0 });
                Ok(Polled::Records)
            }
        }
    }

    fn positions(&self) -> Positions {
        [("pipe".to_owned(), Position { next: self.offset, done: self.state == State::Ended })].into()
    }

    fn seek(&mut self, _: &Positions) -> Result<(), StreamError> {
        Ok(())
    }
}
