//! Text: records that end with a line.

use std::borrow::Cow;

use funnelpulse_features::{Event, EventSpec};
use funnelpulse_io::TimeReader;
use serde::{Deserialize, Serialize};

use super::{Broken, Cells};

/// The layout of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// One JSON object per line.
    JsonLines,
    /// Comma separated, the first line names the columns.
    Csv,
    /// Tab separated, the first line names the columns.
    Tsv,
}

impl TextFormat {
    /// The separator of the columns.
    pub(crate) fn delimiter(self) -> Option<u8> {
        match self {
            Self::JsonLines => None,
            Self::Csv => Some(b','),
            Self::Tsv => Some(b'\t'),
        }
    }
}

/// The number of bytes up to the end of the last complete record; in CSV a line that ends within quotes is none.
pub(crate) fn complete_lines(text: &[u8], format: TextFormat) -> usize {
    if format == TextFormat::JsonLines {
        return memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
    }
    let (mut quoted, mut complete) = (false, 0);
    for place in memchr::memchr2_iter(b'"', b'\n', text) {
        match text[place] {
            b'"' => quoted = !quoted,
            _ if !quoted => complete = place + 1,
            _ => {}
        }
    }
    complete
}

/// Reads the records of a CSV file, whose header was read before.
#[derive(Clone, Debug)]
pub(crate) struct CsvDecoder {
    cells: Cells,
    delimiter: u8,
    /// The column of each field of an event.
    places: Vec<usize>,
    columns: usize,
}

impl CsvDecoder {
    /// `header` is the first line.
    pub(crate) fn new(
        spec: &EventSpec,
        times: TimeReader,
        header: &[u8],
        delimiter: u8,
    ) -> Result<Self, Cow<'static, str>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(header);
        let mut names = csv::StringRecord::new();
        reader.read_record(&mut names).map_err(|e| e.to_string())?;
        let names: Vec<&str> = names.iter().map(|n| n.trim().trim_start_matches('\u{feff}')).collect();
        let place = |column: &str| names.iter().position(|n| *n == column);
        let lacking: Vec<&str> = spec.columns().filter(|c| place(c).is_none()).collect();
        if !lacking.is_empty() {
            return Err(format!("no column {}; there are: {}", lacking.join(", "), names.join(", ")).into());
        }
        let places = spec.columns().filter_map(place).collect();
        Ok(Self { cells: Cells::new(spec, times), delimiter, places, columns: names.len() })
    }

    /// Hands out the records of complete lines in order: an event, or why there is none and its text.
    pub(crate) fn decode(&mut self, text: &[u8], mut take: impl FnMut(Result<&Event<'_>, (Broken, &[u8])>)) {
        let builder = &mut csv::ReaderBuilder::new();
        let mut reader = builder.has_headers(false).flexible(true).delimiter(self.delimiter).from_reader(text);
        let mut record = csv::ByteRecord::new();
        let mut from = 0;
        while let Ok(true) = reader.read_byte_record(&mut record) {
            let to = reader.position().byte() as usize;
            if let Err(broken) = self.event(&record, |event| take(Ok(event))) {
                take(Err((broken, text.get(from..to).unwrap_or_default().trim_ascii_end())));
            }
            from = to;
        }
    }

    fn event(&mut self, record: &csv::ByteRecord, take: impl FnOnce(&Event<'_>)) -> Result<(), Broken> {
        if record.len() != self.columns {
            return Err(Broken::new(format!("{} fields, the header has {}", record.len(), self.columns)));
        }
        let mut fields: [Option<Cow<'_, str>>; 10] = Default::default();
        let mut many;
        let fields: &mut [_] = if self.cells.len() <= fields.len() {
            &mut fields
        } else {
            many = vec![None; self.cells.len()];
            &mut many
        };
        for (field, place) in fields.iter_mut().zip(&self.places) {
            let text = record.get(*place).unwrap_or_default();
            *field = Some(std::str::from_utf8(text).map_err(|_| Broken::new("not UTF-8"))?.into());
        }
        self.cells.event(fields, take)
    }
}
