//! A text file in blocks of whole lines.

use std::io::{self, Read};

use memchr::{memchr2, memchr2_iter, memrchr};

/// Bytes that are read at a time: some thousand lines, and they stay in a cache of the second level. Tests look at what
/// happens between blocks.
const BLOCK: usize = if cfg!(test) { 32 } else { 256 << 10 };

/// Reads blocks. What follows the last block that was used is there for a reader of any kind.
#[derive(Debug)]
pub(super) struct Blocks<R> {
    input: R,
    /// What was read; used up to `at`.
    bytes: Vec<u8>,
    at: usize,
    failed: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, bytes: Vec::new(), at: 0, failed: None }
    }

    /// Reads one more block behind what is not yet used, and says whether there was any more.
    pub(super) fn fill(&mut self) -> bool {
        self.bytes.drain(..self.at);
        self.at = 0;
        let before = self.bytes.len();
        if self.failed.is_none() {
            self.bytes.reserve(BLOCK);
            self.failed = (&mut self.input).take(BLOCK as u64).read_to_end(&mut self.bytes).err();
        }
        self.bytes.len() > before
    }

    /// What went wrong behind the bytes that were read.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// Whether a line that does not end among what is not yet used is longer than a block.
    pub(super) fn is_full(&self) -> bool {
        self.rest().len() >= BLOCK
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Marks this many bytes at the front of [`rest`](Self::rest) as used.
    pub(super) fn used(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The whole lines among what is not yet used, where there are any and every one ends in a line feed alone and has
    /// no quotes.
    pub(super) fn plain_lines(&self) -> Option<&str> {
        let bytes = self.rest();
        let bytes = &bytes[..=memrchr(b'\n', bytes)?];
        let is_plain = memchr2(b'"', b'\r', bytes).is_none();
        std::str::from_utf8(bytes).ok().filter(|_| is_plain)
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.bytes.len() {
            let read = (&self.bytes[self.at..]).read(buffer)?;
            self.at += read;
            return Ok(read);
        }
        self.failed.take().map_or_else(|| self.input.read(buffer), Err)
    }
}

/// One line, and where its fields end.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) ends: &'a [usize],
}

impl<'a> Line<'a> {
    pub(super) fn field(&self, place: usize) -> &'a str {
        let start = if place == 0 { 0 } else { self.ends[place - 1] + 1 };
        &self.text[start..self.ends[place]]
    }
}

/// Splits plain lines of so many fields until `take` says to stop or a line has another number of fields. Returns the
/// bytes of the lines that were taken.
pub(super) fn split<E>(
    lines: &str,
    (delimiter, width): (u8, usize),
    mut take: impl FnMut(Line<'_>) -> Result<bool, E>,
) -> Result<usize, E> {
    let (mut start, mut ends) = (0, Vec::with_capacity(width));
    for at in memchr2_iter(delimiter, b'\n', lines.as_bytes()) {
        ends.push(at - start);
        if lines.as_bytes()[at] != b'\n' {
            continue;
        }
        // An empty line is no record.
        if ends.len() != width || at == start {
            break;
        }
        let goes_on = take(Line { text: &lines[start..at], ends: &ends })?;
        start = at + 1;
        ends.clear();
        if !goes_on {
            break;
        }
    }
    Ok(start)
}
