//! The pages of a Parquet file, looked at before they are decoded.
//!
//! The decoder unpacks a page to its end before it compares the size with what the header claims, and
//! trusts the footer on how many values there are. Here the headers are read first, and pages that could
//! become too large are unpacked without keeping anything.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use parquet::{
    basic::{Compression, Type},
    errors::ParquetError,
    file::metadata::{ColumnChunkMetaData, ParquetMetaData},
};

use super::Failure;
use crate::table::budget::Budget;

/// Most bytes of the header of a page. Headers hold statistics, never data.
const MAX_HEADER: u64 = 16 << 20;
/// Most levels of structures within a header.
const MAX_DEPTH: usize = 8;
/// The most that a byte of DEFLATE becomes.
const DEFLATE_RATIO: u64 = 1032;
/// The encoding `DELTA_BYTE_ARRAY`, where a text may be the one before and nothing more.
const DELTA_BYTE_ARRAY: i64 = 7;
/// The kind of a page that holds a dictionary.
const DICTIONARY: i64 = 2;

/// Looks at every page. Returns the most bytes that one value may have because it repeats another.
pub(super) fn inspect(
    path: &Path,
    file: &File,
    metadata: &ParquetMetaData,
    budget: &Budget,
    dictionary: impl Fn(usize, usize) -> Result<u64, ParquetError>,
) -> Result<u64, Failure> {
    let (mut longest, mut bytes) = (1, 0_u64);
    for (g, group) in metadata.row_groups().iter().enumerate() {
        for (c, chunk) in group.columns().iter().enumerate() {
            let pages = Pages::read(path, file, chunk, budget)?;
            let width = match chunk.column_type() {
                Type::BYTE_ARRAY if pages.has_dictionary => pages.repeated.max(dictionary(g, c)?),
                Type::BYTE_ARRAY => pages.repeated,
                _ => 0,
            };
            longest = longest.max(width).max(fixed_width(chunk));
            // A row of a list may have any number of values.
            let nested = chunk.column_descr().max_rep_level() > 0;
            let each = if nested { width.max(fixed_width(chunk)) } else { fixed_width(chunk) };
            bytes = bytes.saturating_add(pages.values.saturating_mul(each));
            budget.check(path, 0, bytes)?;
        }
    }
    Ok(longest)
}

/// Bytes of a value in memory, at least.
pub(super) fn fixed_width(chunk: &ColumnChunkMetaData) -> u64 {
    match chunk.column_type() {
        // A bit, in fact.
        Type::BOOLEAN => 0,
        Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(chunk.column_descr().type_length()).unwrap_or(0),
    }
}

/// What the pages of a column of a row group come to.
#[derive(Default)]
struct Pages {
    values: u64,
    has_dictionary: bool,
    /// The most bytes of a text that repeats the one before.
    repeated: u64,
}

impl Pages {
    fn read(path: &Path, file: &File, chunk: &ColumnChunkMetaData, budget: &Budget) -> Result<Self, Failure> {
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        let (start, length) = range.ok_or_else(|| damaged("a column begins or ends nowhere"))?;
        let mut source = BufReader::new(file);
        let mut pages = Self::default();
        let (mut at, end) = (start, start.saturating_add(length));
        let failed = |error: io::Error| Failure::Decoder(ParquetError::External(Box::new(error)));
        source.seek(SeekFrom::Start(at)).map_err(failed)?;
        while at < end {
            let first = at == start;
            let mut header = Thrift { source: (&mut source).take(MAX_HEADER) };
            let page = PageHeader::read(&mut header)?;
            at += MAX_HEADER - header.source.limit();
            pages.count(path, &page, first, budget)?;
            if page.packed && unpacks_to_more(chunk.compression(), &mut source, &page, budget)? {
                return Err(budget.too_many_bytes(path).into());
            }
            at = at.checked_add(page.compressed).ok_or_else(|| damaged("a page has no end"))?;
            source.seek(SeekFrom::Start(at)).map_err(failed)?;
        }
        Ok(pages)
    }

    fn count(&mut self, path: &Path, page: &PageHeader, first: bool, budget: &Budget) -> Result<(), Failure> {
        budget.check(path, 0, page.uncompressed)?;
        if page.kind == DICTIONARY {
            if !first {
                return Err(damaged("a dictionary is not the first page of its column"));
            }
            self.has_dictionary = true;
        } else {
            self.values = self.values.saturating_add(page.values);
        }
        if page.encoding == DELTA_BYTE_ARRAY {
            self.repeated = self.repeated.max(page.uncompressed);
        }
        Ok(())
    }
}

/// Whether a page becomes larger than its header claims, of codecs that the decoder unpacks to the end;
/// the others are given no more room than was claimed.
fn unpacks_to_more(
    codec: Compression,
    source: &mut BufReader<&File>,
    page: &PageHeader,
    budget: &Budget,
) -> Result<bool, Failure> {
    let packed = page.compressed.saturating_sub(page.levels);
    let skip = i64::try_from(page.levels).map_err(|_| damaged("a page has no end"))?;
    let failed = |error: io::Error| Failure::Decoder(ParquetError::External(Box::new(error)));
    let room = page.uncompressed.saturating_sub(page.levels).saturating_add(1);
    let unpacked = match codec {
        Compression::GZIP(_) if packed.saturating_mul(DEFLATE_RATIO) > budget.bytes_left() => {
            source.seek_relative(skip).map_err(failed)?;
            count(flate2::read::MultiGzDecoder::new(source.take(packed)), room)
        }
        Compression::BROTLI(_) => {
            source.seek_relative(skip).map_err(failed)?;
            count(brotli::Decompressor::new(source.take(packed), 1 << 12), room)
        }
        _ => 0,
    };
    Ok(unpacked >= room)
}

/// Bytes up to a number of them; where the data are damaged, those before. The decoder names the damage.
fn count(source: impl Read, most: u64) -> u64 {
    let (mut source, mut buffer, mut total) = (source.take(most), [0; 1 << 13], 0);
    while let Ok(read @ 1..) = source.read(&mut buffer) {
        total += read as u64;
    }
    total
}

fn damaged(what: &str) -> Failure {
    Failure::Decoder(ParquetError::General(what.to_owned()))
}

/// What is needed of the header of a page.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    kind: i64,
    uncompressed: u64,
    compressed: u64,
    values: u64,
    encoding: i64,
    /// Bytes in front that are not packed.
    levels: u64,
    packed: bool,
}

impl PageHeader {
    fn read(thrift: &mut Thrift<impl Read>) -> Result<Self, Failure> {
        let mut page = Self { packed: true, ..Self::default() };
        let size = |value: i64| u64::try_from(value).map_err(|_| damaged("a page has a negative size"));
        thrift.structure(0, &mut |path, value| {
            match (path, value) {
                ([1], value) => page.kind = value,
                ([2], value) => page.uncompressed = size(value)?,
                ([3], value) => page.compressed = size(value)?,
                // Of a data page, a dictionary and a data page of the second version.
                ([5 | 7 | 8, 1], value) => page.values = size(value)?,
                ([5 | 7, 2] | [8, 4], value) => page.encoding = value,
                ([8, 5 | 6], value) => page.levels = page.levels.saturating_add(size(value)?),
                ([8, 7], value) => page.packed = value != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(page)
    }
}

/// Reads structures of the compact protocol of Thrift.
struct Thrift<R> {
    source: R,
}

/// Takes a number, or a truth value as 0 or 1, and the fields that lead to it.
type Visit<'a> = dyn FnMut(&[i64], i64) -> Result<(), Failure> + 'a;

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> Result<u8, Failure> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).map_err(|_| damaged("the header of a page has no end"))?;
        Ok(byte[0])
    }

    fn unsigned(&mut self) -> Result<u64, Failure> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number in the header of a page has no end"))
    }

    fn signed(&mut self) -> Result<i64, Failure> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Failure> {
        let skipped = io::copy(&mut (&mut self.source).take(bytes), &mut io::sink()).unwrap_or(0);
        if skipped == bytes { Ok(()) } else { Err(damaged("the header of a page has no end")) }
    }

    /// The fields of a structure, and of those within.
    fn structure(&mut self, depth: usize, visit: &mut Visit<'_>) -> Result<(), Failure> {
        self.fields(&mut Vec::new(), depth, visit)
    }

    fn fields(&mut self, path: &mut Vec<i64>, depth: usize, visit: &mut Visit<'_>) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(damaged("the header of a page is nested too deep"));
        }
        let mut field = 0_i64;
        loop {
            let head = self.byte()?;
            let (step, kind) = (i64::from(head >> 4), head & 0x0f);
            if kind == 0 {
                return Ok(());
            }
            field = if step == 0 { self.signed()? } else { field.saturating_add(step) };
            path.push(field);
            match kind {
                // A truth value is in its type.
                1 | 2 => visit(path, i64::from(kind == 1))?,
                _ => self.value(kind, path, depth, visit)?,
            }
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i64>, depth: usize, visit: &mut Visit<'_>) -> Result<(), Failure> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => {
                let value = self.signed()?;
                visit(path, value)
            }
            7 => self.skip(8),
            8 => {
                let length = self.unsigned()?;
                self.skip(length)
            }
            12 => self.fields(path, depth + 1, visit),
            // Lists, sets and maps do not occur.
            _ => Err(damaged("the header of a page holds something unknown")),
        }
    }
}
