//! Times as text, the common layout fast.

use funnelpulse_core::Timestamp;
use funnelpulse_io::TimeReader;

/// Reads times as [`TimeReader`] does; `2019-10-01 00:00:05 UTC` and its like without parsing the date again while it
/// stays the same.
#[derive(Clone, Debug)]
pub(super) struct FastTimes {
    reader: TimeReader,
    /// The date read last, and its midnight.
    date: [u8; 10],
    midnight: Timestamp,
}

impl FastTimes {
    pub(super) fn new(reader: TimeReader) -> Self {
        Self { reader, date: [0; 10], midnight: Timestamp::default() }
    }

    #[inline]
    pub(super) fn read(&mut self, text: &str) -> Option<Timestamp> {
        match self.common(text.as_bytes()) {
            Some(time) => Some(time),
            None => self.reader.read(text),
        }
    }

    /// `YYYY-MM-DD hh:mm:ss`, with a space or a T, then nothing, `Z` or ` UTC`; `None` for all else.
    #[inline]
    fn common(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (date, rest) = text.split_first_chunk::<10>()?;
        let (clock, zone) = rest.split_first_chunk::<9>()?;
        let utc = match zone {
            b"" => self.reader.is_utc(),
            b"Z" | b" UTC" => true,
            _ => false,
        };
        let &[b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
        let two = |a: u8, b: u8| {
            let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
            if a < 10 && b < 10 { i64::from(a) * 10 + i64::from(b) } else { i64::MAX }
        };
        let (hour, minute, second) = (two(h1, h2), two(m1, m2), two(s1, s2));
        if !utc || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if *date != self.date {
            self.change_date(date)?;
        }
        Some(self.midnight.offset((hour * 3_600 + minute * 60 + second) * Timestamp::SECOND))
    }

    #[cold]
    fn change_date(&mut self, date: &[u8; 10]) -> Option<()> {
        let shape = |(i, b): (usize, &u8)| if matches!(i, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() };
        if !date.iter().enumerate().all(shape) {
            return None;
        }
        let text = std::str::from_utf8(date).ok()?;
        self.midnight = funnelpulse_core::parse_timestamp(text).ok()?;
        self.date = *date;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use funnelpulse_io::ReadOptions;

    use super::*;

    #[test]
    fn fast_and_slow_agree() {
        for zone in [None, Some("Europe/Berlin".to_owned())] {
            let reader = TimeReader::new(&ReadOptions { timezone: zone, ..ReadOptions::default() }).unwrap();
            let mut fast = FastTimes::new(reader.clone());
            for text in [
                "2019-10-01 00:00:05 UTC",
                "2019-10-01T23:59:59Z",
                "2019-10-02 12:34:56",
                "2019-10-02 12:34:56.25",
                "2019-10-02 12:34:56+02:00",
                "2019-10-02 24:00:00 UTC",
                "2019-13-02 12:00:00 UTC",
                "2019-1a-02 12:00:00 UTC",
                "2019-10-02 12:0/:00 UTC",
                "1569888000",
                "",
                "never",
            ] {
                assert_eq!(fast.read(text), reader.read(text), "{text}");
            }
        }
    }
}
