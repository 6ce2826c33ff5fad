//! Files that become far larger than they are, and files that changed since they were written.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use funnelpulse_io::{IoError, ReadOptions, Table};
use parquet::{
    arrow::ArrowWriter,
    basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel},
    file::properties::{WriterProperties, WriterPropertiesBuilder},
};

fn parquet(path: &Path, batches: &[RecordBatch], properties: WriterPropertiesBuilder) {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(properties.build())).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

fn gzip(path: &Path, mut write: impl FnMut(&mut dyn Write)) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::default());
    write(&mut encoder);
    encoder.finish().unwrap();
}

fn small(bytes: u64) -> ReadOptions {
    ReadOptions { max_bytes: Some(bytes), ..ReadOptions::default() }
}

fn refused(path: &Path, options: &ReadOptions) -> String {
    let error = Table::read_with(path, options).unwrap_err();
    assert!(matches!(error, IoError::TooLarge { .. }), "{error}");
    error.to_string()
}

#[test]
fn too_many_rows_are_refused_in_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0; 11]));
    let batch = RecordBatch::try_from_iter([("views", numbers)]).unwrap();
    let path = |name: &str| folder.path().join(name);
    parquet(&path("a.parquet"), &[batch], WriterProperties::builder());
    fs::write(path("a.csv"), "views\n".to_owned() + &"1\n".repeat(11)).unwrap();
    gzip(&path("a.csv.gz"), |out| out.write_all(("views\n".to_owned() + &"1\n".repeat(11)).as_bytes()).unwrap());
    let ten = ReadOptions { max_rows: 10, ..ReadOptions::default() };
    for name in ["a.parquet", "a.csv", "a.csv.gz"] {
        let error = refused(&path(name), &ten);
        assert!(error.contains("more than 10 rows, the most that max_rows allows; raise it"), "{error}");
        let enough = ReadOptions { max_rows: 11, ..ReadOptions::default() };
        assert_eq!(Table::read_with(&path(name), &enough).unwrap().num_rows(), 11);
    }
    // The files of a folder share the limit.
    let shared = ReadOptions { max_rows: 32, ..ReadOptions::default() };
    assert!(refused(folder.path(), &shared).contains("more than 32 rows"));
}

#[test]
fn a_bomb_of_text_is_refused_before_it_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.csv.gz");
    // 2 GiB of rows in some two megabytes; by default a gigabyte is allowed.
    let rows = "a,b\n".repeat(1 << 20);
    gzip(&path, |out| {
        for _ in 0..512 {
            out.write_all(rows.as_bytes()).unwrap();
        }
    });
    assert!(fs::metadata(&path).unwrap().len() < 20_000_000);
    let error = refused(&path, &small(64 << 20));
    assert!(error.contains("more than 67108864 bytes in memory, the most that max_bytes allows"), "{error}");
    // One line without an end.
    let line = folder.path().join("line.csv.gz");
    let part = "x".repeat(1 << 20);
    gzip(&line, |out| {
        out.write_all(b"a\n\"").unwrap();
        for _ in 0..80 {
            out.write_all(part.as_bytes()).unwrap();
        }
    });
    let error = Table::read(&line).unwrap_err().to_string();
    assert!(error.contains("the record is longer than 67108864 bytes; is a quote missing?"), "{error}");
}

#[test]
fn a_bomb_of_numbers_is_refused_by_what_the_file_says_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.parquet");
    let same: ArrayRef = Arc::new(Int64Array::from(vec![7; 1 << 20]));
    let batch = RecordBatch::try_from_iter([("views", same)]).unwrap();
    let batches: Vec<RecordBatch> = std::iter::repeat_n(batch, 32).collect();
    parquet(&path, &batches, WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())));
    assert!(fs::metadata(&path).unwrap().len() < 200_000, "32 million numbers in a small file");
    assert!(refused(&path, &small(128 << 20)).contains("bytes in memory"));
    assert_eq!(Table::read(&path).unwrap().num_rows(), 32 << 20, "within the default");
}

#[test]
fn a_dictionary_bomb_is_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.parquet");
    // One text of a megabyte, in each of 40,000 rows: 40 GB.
    let text = StringArray::from_iter_values(["x".repeat(1 << 20)]);
    let keys = Int32Array::from(vec![0; 40_000]);
    let rows: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(text)));
    let batch = RecordBatch::try_from_iter([("name", rows)]).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_page_size_limit(8 << 20)
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    parquet(&path, &[batch], properties);
    assert!(fs::metadata(&path).unwrap().len() < 100_000, "{}", fs::metadata(&path).unwrap().len());
    assert!(refused(&path, &ReadOptions::default()).contains("more than 1073741824 bytes in memory"));
}

/// A number of the compact protocol of Thrift.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

/// In front of a field of Thrift: how far its number is from the one before, and its type. In front of a
/// list: how many, and of which type.
fn head(step: u8, kind: u8) -> u8 {
    step * 16 + kind
}

/// A file of one column `v` made by hand: one page with a header, codec, encoding and claims of our choice.
struct Handmade {
    /// Parquet's number of the type: 2 is INT64, 6 is `BYTE_ARRAY`.
    kind: i64,
    codec: i64,
    encoding: i64,
    values: i64,
    /// The size that page and column claim to have when unpacked.
    claimed: i64,
    page: Vec<u8>,
}

impl Handmade {
    fn write(&self, path: &Path) {
        let number = |step: u8, value: i64| [vec![head(step, 5)], zigzag(value)].concat();
        let long = |step: u8, value: i64| [vec![head(step, 6)], zigzag(value)].concat();
        let text = |step: u8, value: &str| [vec![head(step, 8)], varint(value.len() as u64), value.into()].concat();
        let header = [
            number(1, 0),
            number(1, self.claimed),
            number(1, self.page.len() as i64),
            // A data page: values, their encoding, and that of levels twice (RLE).
            vec![head(2, 12)],
            [number(1, self.values), number(1, self.encoding), number(1, 3), number(1, 3), vec![0]].concat(),
            vec![0],
        ]
        .concat();
        let packed = (header.len() + self.page.len()) as i64;
        let column = [
            number(1, self.kind),
            [vec![head(1, 9), head(1, 5)], zigzag(self.encoding)].concat(),
            [vec![head(1, 9), head(1, 8)], varint(1), b"v".to_vec()].concat(),
            number(1, self.codec),
            long(1, self.values),
            long(1, header.len() as i64 + self.claimed),
            long(1, packed),
            long(2, 4),
            vec![0],
        ]
        .concat();
        let chunk = [long(2, 4), vec![head(1, 12)], column, vec![0]].concat();
        let group = [vec![head(1, 9), head(1, 12)], chunk, long(1, packed), long(1, self.values), vec![0]].concat();
        let root = [text(4, "schema"), number(1, 1), vec![0]].concat();
        let leaf = [number(1, self.kind), number(2, 0), text(1, "v"), vec![0]].concat();
        let footer = [
            number(1, 1),
            [vec![head(1, 9), head(2, 12)], root, leaf].concat(),
            long(1, self.values),
            [vec![head(1, 9), head(1, 12)], group].concat(),
            vec![0],
        ]
        .concat();
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        fs::write(path, [b"PAR1", &*header, &self.page, &footer, &length, b"PAR1"].concat()).unwrap();
    }
}

/// Some bytes, and then nothing but zeros, as a codec packs them.
fn packed(codec: i64, start: &[u8], zeros: usize) -> Vec<u8> {
    let part = vec![0; 1 << 20];
    let fill = |out: &mut dyn Write| {
        out.write_all(start).unwrap();
        for _ in 0..zeros >> 20 {
            out.write_all(&part).unwrap();
        }
    };
    match codec {
        2 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            fill(&mut encoder);
            encoder.finish().unwrap()
        }
        4 => {
            let mut out = Vec::new();
            fill(&mut brotli::CompressorWriter::new(&mut out, 1 << 16, 5, 22));
            out
        }
        _ => start.to_vec(),
    }
}

#[test]
fn pages_that_understate_their_size_are_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.parquet");
    let numbers: Vec<u8> = (0..4_i64).flat_map(i64::to_le_bytes).collect();
    // GZIP and BROTLI; of the others the decoder takes no more than was claimed.
    for codec in [2, 4] {
        let made = |zeros| {
            let page = packed(codec, &numbers, zeros);
            Handmade { kind: 2, codec, encoding: 0, values: 4, claimed: 32, page }.write(&path);
        };
        made(0);
        assert_eq!(Table::read(&path).unwrap().f64_column("v").unwrap(), [0.0, 1.0, 2.0, 3.0], "codec {codec}");
        // 300 MB behind a page that claims 32 bytes.
        made(300 << 20);
        assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
        assert!(refused(&path, &small(64 << 20)).contains("more than 67108864 bytes in memory"), "codec {codec}");
    }
    // A size that is claimed and not there.
    Handmade { kind: 2, codec: 0, encoding: 0, values: 4, claimed: i64::from(i32::MAX), page: numbers }.write(&path);
    assert!(refused(&path, &ReadOptions::default()).contains("bytes in memory"));
}

#[test]
fn texts_that_repeat_the_one_before_are_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.parquet");
    // DELTA_BYTE_ARRAY: lengths of prefixes, then of suffixes, in blocks of 128 differences that all take
    // no bits; then the one suffix of a megabyte. 60,000 rows: 60 GB.
    let (rows, long) = (60_000_u64, 1_i64 << 20);
    let lengths = |first: i64, then: i64| {
        let mut bytes = [varint(128), varint(4), varint(rows), zigzag(first)].concat();
        for block in 0..(rows - 1).div_ceil(128) {
            // The second value differs from the first, by 21 bits; the others do not differ.
            let step = then - first;
            if block == 0 && step != 0 {
                let least = step.min(0);
                bytes.extend(zigzag(least));
                let bits = 21_u8;
                bytes.extend([bits; 4]);
                let mut packed = vec![0_u8; 128 * usize::from(bits) / 8];
                for value in 0..128_usize {
                    let difference = (if value == 0 { step } else { 0 } - least) as u64;
                    for bit in (0..usize::from(bits)).filter(|bit| difference >> bit & 1 == 1) {
                        let at = value * usize::from(bits) + bit;
                        packed[at / 8] |= 1 << (at % 8);
                    }
                }
                bytes.extend(packed);
            } else {
                bytes.extend([0, 0, 0, 0, 0]);
            }
        }
        bytes
    };
    let page = [lengths(0, long), lengths(long, 0), vec![b'x'; long as usize]].concat();
    let claimed = page.len() as i64;
    Handmade { kind: 6, codec: 0, encoding: 7, values: rows as i64, claimed, page }.write(&path);
    assert!(refused(&path, &ReadOptions::default()).contains("more than 1073741824 bytes in memory"));
}

fn codec_file(folder: &Path, name: &str, codec: Compression, rows: usize) -> PathBuf {
    let path = folder.join(format!("{name}.parquet"));
    let views: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|i| (i % 97) as f64)));
    let brand: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("brand {}", i % 5))));
    let batch = RecordBatch::try_from_iter([("brand", brand), ("views", views)]).unwrap();
    parquet(&path, &[batch], WriterProperties::builder().set_compression(codec));
    path
}

#[test]
fn every_codec_that_others_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("none", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(GzipLevel::default())),
        ("zstd", Compression::ZSTD(ZstdLevel::default())),
        ("lz4_raw", Compression::LZ4_RAW),
        ("lz4", Compression::LZ4),
        ("brotli", Compression::BROTLI(BrotliLevel::default())),
    ] {
        let path = codec_file(folder.path(), name, codec, 500);
        let table = Table::read(&path).unwrap();
        assert_eq!(table.f64_column("views").unwrap()[96], 96.0, "{name}");
        assert_eq!(table.string_column("brand").unwrap()[7].as_deref(), Some("brand 2"), "{name}");
    }
    // What nobody writes any more is said to be missing here, not called damage.
    let path = codec_file(folder.path(), "lzo", Compression::SNAPPY, 10);
    let bytes = fs::read(&path).unwrap();
    // The codec is a field of the metadata of each chunk: SNAPPY is 1 (in Thrift 2), LZO is 3 (6).
    let footer = bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let mut seen = Vec::new();
    for at in footer..bytes.len() - 8 {
        if bytes[at..].starts_with(&[0x15, 0x02]) {
            let mut changed = bytes.clone();
            changed[at + 1] = 0x06;
            fs::write(&path, changed).unwrap();
            if let Err(error) = Table::read(&path) {
                seen.push(error.to_string());
            }
        }
    }
    assert!(seen.iter().any(|e| e.ends_with("The codec type LZO is not supported yet")), "{seen:?}");
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn files_of_other_writers_are_read() {
    for name in ["checksums", "gzip", "lz4", "brotli"] {
        let table = Table::read(&data(&format!("{name}.parquet"))).unwrap();
        assert_eq!(table.f64_column("views").unwrap()[199], 298.5, "{name}");
        assert_eq!(table.string_column("brand").unwrap()[199].as_deref(), Some("brand 4"), "{name}");
    }
}

/// Changes each byte behind the first page header of a file with checksums: it is refused, or reads as
/// before where the byte does not matter.
#[test]
fn pages_that_changed_are_never_read_as_other_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages.parquet");
    let bytes = fs::read(data("checksums.parquet")).unwrap();
    let footer = bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let read = |path: &Path| {
        let table = Table::read(path)?;
        Ok::<_, IoError>((table.f64_column("views")?, table.string_column("brand")?))
    };
    let good = read(&data("checksums.parquet")).unwrap();
    let (mut refused, mut same) = (0, 0);
    for at in 4..footer {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, changed).unwrap();
        match read(&path) {
            Err(_) => refused += 1,
            Ok(found) if found == good => same += 1,
            Ok(_) => panic!("byte {at} of {footer} is changed and the file reads as another table"),
        }
    }
    assert!(refused > 10 * same, "{refused} refused, {same} the same");
}
