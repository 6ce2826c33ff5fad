//! Records of a text, from its complete lines.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::TimeReader;

use super::{Input, files::Chunk};
use crate::{
    StreamError,
    decode::{CsvDecoder, JsonDecoder, TextFormat, complete_lines},
};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;
/// The longest record in bytes; a longer one is broken.
pub(super) const LONGEST: usize = 4 << 20;
/// The longest header of a CSV file in bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// Turns text into records.
#[derive(Clone, Debug)]
pub(super) enum TextDecoder {
    Json(JsonDecoder),
    Csv(CsvDecoder),
}

impl TextDecoder {
    /// `header` is the first line of a CSV file.
    pub(super) fn new(format: TextFormat, spec: &EventSpec, times: &TimeReader, header: &[u8]) -> Result<Self, String> {
        Ok(match format.delimiter() {
            None => Self::Json(JsonDecoder::new(spec, times.clone())),
            Some(delimiter) => {
                let decoder = CsvDecoder::new(spec, times.clone(), header, delimiter);
                Self::Csv(decoder.map_err(std::borrow::Cow::into_owned)?)
            }
        })
    }

    /// Hands out the records of complete lines. Returns the time of the last event.
    pub(super) fn decode(&mut self, text: &[u8], partition: u32, take: &mut dyn FnMut(Input<'_>)) -> Option<Timestamp> {
        let mut last = None;
        match self {
            Self::Csv(csv) => csv.decode(text, |record| match record {
                Ok(event) => {
                    last = Some(event.time);
                    take(Input::Event { partition, event, identity: None });
                }
                Err((broken, value)) => take(Input::Broken { partition, reason: broken.0, value }),
            }),
            Self::Json(json) => {
                let mut from = 0;
                while from < text.len() {
                    let to = memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |end| from + end);
                    let line = text[from..to].trim_ascii();
                    from = to + 1;
                    if line.is_empty() {
                        continue;
                    }
                    let result = json.decode(line, |event| {
                        take(Input::Event { partition, event, identity: None });
                        event.time
                    });
                    match result {
                        Ok(time) => last = Some(time),
                        Err(broken) => take(Input::Broken { partition, reason: broken.0, value: line }),
                    }
                }
            }
        }
        last
    }
}

/// A text file that is read in order, and may grow.
#[derive(Debug)]
pub(super) struct TextFile {
    path: PathBuf,
    file: File,
    format: TextFormat,
    decoder: TextDecoder,
    /// Bytes of the file up to the end of the last record that was handed out.
    pub(super) offset: u64,
    /// Read, but not handed out.
    rest: Vec<u8>,
    /// The record that goes on is too long: it is skipped up to its end.
    skipping: bool,
}

impl TextFile {
    /// Opens a file at this offset; `None` while the header of a CSV file is not complete.
    pub(super) fn open(
        path: &Path,
        format: TextFormat,
        spec: &EventSpec,
        times: &TimeReader,
        offset: u64,
        is_complete: bool,
    ) -> Result<Option<Self>, StreamError> {
        let mut file = File::open(path).map_err(StreamError::file(path))?;
        let (mut header, mut offset) = (Vec::new(), offset);
        if format.delimiter().is_some() {
            (&mut file).take(LONGEST_HEADER).read_to_end(&mut header).map_err(StreamError::file(path))?;
            let end = match memchr::memchr(b'\n', &header) {
                Some(end) => end + 1,
                None if is_complete => header.len(),
                None if (header.len() as u64) < LONGEST_HEADER => return Ok(None),
                None => return Err(StreamError::contents(path, "the first line is longer than 1 MiB")),
            };
            header.truncate(end);
            offset = offset.max(end as u64);
        }
        file.seek(SeekFrom::Start(offset)).map_err(StreamError::file(path))?;
        let decoder = TextDecoder::new(format, spec, times, &header);
        let decoder = decoder.map_err(|reason| StreamError::contents(path, reason))?;
        let path = path.to_path_buf();
        Ok(Some(Self { path, file, format, decoder, offset, rest: Vec::new(), skipping: false }))
    }

    /// Hands out the next records. With `is_complete` the last line needs no end.
    pub(super) fn read(
        &mut self,
        partition: u32,
        is_complete: bool,
        take: &mut dyn FnMut(Input<'_>),
    ) -> Result<Chunk, StreamError> {
        loop {
            let before = self.rest.len();
            let read = (&mut self.file).take(CHUNK as u64).read_to_end(&mut self.rest);
            read.map_err(StreamError::file(&self.path))?;
            let at_end = self.rest.len() == before;
            let mut complete = complete_lines(&self.rest, self.format);
            if at_end && is_complete {
                complete = self.rest.len();
            }
            if complete == 0 && self.rest.len() > LONGEST {
                self.skip(partition, take);
                continue;
            }
            if complete == 0 && at_end {
                return Ok(Chunk::End);
            }
            if complete == 0 {
                continue;
            }
            let mut text = &self.rest[..complete];
            if std::mem::take(&mut self.skipping) {
                text = &text[memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1)..];
            }
            let last = self.decoder.decode(text, partition, take);
            self.offset += complete as u64;
            self.rest.drain(..complete);
            return Ok(Chunk::Records(last));
        }
    }

    /// Drops a record that is too long; it counts once.
    fn skip(&mut self, partition: u32, take: &mut dyn FnMut(Input<'_>)) {
        if !self.skipping {
            let reason = format!("the record is longer than {LONGEST} bytes; is a quote missing?").into();
            take(Input::Broken { partition, reason, value: &self.rest });
        }
        self.skipping = true;
        self.offset += self.rest.len() as u64;
        self.rest.clear();
    }
}
