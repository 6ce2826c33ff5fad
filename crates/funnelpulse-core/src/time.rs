//! Points in time.

mod convert;

use std::fmt;

use jiff::{
    SignedDuration, Zoned,
    civil::{DateTime, Time},
    fmt::temporal::{Pieces, PiecesOffset},
};
use serde::{Deserialize, Serialize};

use crate::FrameError;

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// Eight bytes, totally ordered, the resolution of Arrow's and Spark's timestamps.
///
/// ```
/// use funnelpulse_core::Timestamp;
///
/// let t = Timestamp::from_seconds(1_569_888_000);
/// assert_eq!(t.to_string(), "2019-10-01T00:00:00Z");
/// assert_eq!(t.floor_to(Timestamp::HOUR), t);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Microseconds in a second.
    pub const SECOND: i64 = 1_000_000;
    /// Microseconds in an hour.
    pub const HOUR: i64 = 3_600 * Self::SECOND;
    /// Microseconds in a day.
    pub const DAY: i64 = 24 * Self::HOUR;

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since the Unix epoch, saturating at the ends of the range.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(Self::SECOND))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The start of the window of `width` microseconds that holds this point; windows are aligned
    /// to the epoch, so hours and days (UTC) start where a clock says they do.
    ///
    /// `width` below one counts as one.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    ///
    /// // 90 minutes after the epoch.
    /// let time = Timestamp::from_seconds(5400);
    /// assert_eq!(time.floor_to(Timestamp::HOUR), Timestamp::from_seconds(3600));
    /// ```
    pub const fn floor_to(self, width: i64) -> Self {
        let width = if width < 1 { 1 } else { width };
        Self(self.0.saturating_sub(self.0.rem_euclid(width)))
    }

    /// This point moved by `micros` microseconds, saturating at the ends of the range.
    ///
    /// ```
    /// use funnelpulse_core::Timestamp;
    ///
    /// let start = Timestamp::from_seconds(0);
    /// assert_eq!(start.offset(2 * Timestamp::DAY).to_string(), "1970-01-03T00:00:00Z");
    /// ```
    pub const fn offset(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// RFC 3339 in UTC; outside the years -9999 to 9999 the bare number of microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(t) = jiff::Timestamp::from_microsecond(self.0) {
            return fmt::Display::fmt(&t, f);
        }
        // The library keeps a day at either end of its range free for offsets.
        match EPOCH.checked_add(SignedDuration::from_micros(self.0)) {
            Ok(t) => write!(f, "{t}Z"),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

/// 1970-01-01T00:00:00 on any clock.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Reads a date or a date and time in any of the forms found in tables and logs:
/// `2019-10-01`, `2019-10-01 00:00:05`, `2019-10-01T00:00:05.5+02:00`, `2019-10-01 00:00:00 UTC`.
/// Without an offset the time is UTC.
///
/// A zone in brackets (RFC 9557), `2019-10-01T00:00[Europe/Berlin]`, needs a time zone database,
/// which `funnelpulse-io` includes. Without one such a text is an error, and so is an offset that
/// the zone does not have at that time. Of a time that occurs twice, the first is meant.
///
/// ```
/// use funnelpulse_core::parse_timestamp;
///
/// let utc = parse_timestamp("2019-10-01 02:00:00 UTC")?;
/// assert_eq!(utc, parse_timestamp("2019-10-01T04:00:00+02:00")?);
/// # Ok::<(), funnelpulse_core::FrameError>(())
/// ```
pub fn parse_timestamp(text: &str) -> Result<Timestamp, FrameError> {
    let trimmed = text.trim();
    let bare = trimmed.strip_suffix("UTC").map_or(trimmed, str::trim_end);
    plain(bare).or_else(|| micros(bare)).map(Timestamp).ok_or_else(|| FrameError::Timestamp { text: text.to_owned() })
}

/// `2019-10-01 02:00:00`, and with a `T` in the middle or a `Z` at the end, as most tables write it; in
/// a tenth of the time that it takes to read any time.
fn plain(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text).as_bytes();
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ' | b'T', h0, h1, b':', n0, n1, b':', s0, s1] = text else {
        return None;
    };
    let digits = [y0, y1, y2, y3, m0, m1, d0, d1, h0, h1, n0, n1, s0, s1];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |a: u8, b: u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
    let (year, month, day) = (100 * two(y0, y1) + two(y2, y3), two(m0, m1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(n0, n1), two(s0, s1));
    // Days up to the 28th are in every month; the others are left to the calendar.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 by years that begin in March (Hinnant 2013, chrono-compatible date algorithms).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 * Timestamp::SECOND + second * Timestamp::SECOND)
}

fn micros(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    // UTC needs no database.
    if let Some(utc) = ["[UTC]", "[Etc/UTC]"].iter().find_map(|zone| text.strip_suffix(zone)) {
        return micros(utc);
    }
    if pieces.time_zone_annotation().is_some() {
        return text.parse::<Zoned>().ok().map(|zoned| zoned.timestamp().as_microsecond());
    }
    let offset = match pieces.offset() {
        None | Some(PiecesOffset::Zulu) => 0,
        Some(PiecesOffset::Numeric(numeric)) => i64::from(numeric.offset().seconds()),
        // A kind of offset that is not known yet.
        Some(_) => return None,
    };
    let local = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()));
    let since = local.duration_since(EPOCH).checked_sub(SignedDuration::from_secs(offset))?;
    i64::try_from(since.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let ends = [253_402_300_799_999_999, -377_705_116_800_000_000];
        for micros in [0, -1, 1_569_888_000_123_456, -62_135_596_800_000_000].into_iter().chain(ends) {
            let t = Timestamp::from_micros(micros);
            assert_eq!(parse_timestamp(&t.to_string()).unwrap(), t);
        }
    }

    #[test]
    fn plain_times_are_what_the_calendar_says() {
        for text in ["2019-10-01 02:03:04", "0000-01-01T00:00:00", "2000-02-28 23:59:59Z", "9999-12-28T12:00:00Z"] {
            assert_eq!(plain(text), micros(text), "{text}");
        }
        let mut text = String::new();
        for days in (0..4_000_000).step_by(977) {
            let time = Timestamp::from_seconds(days * 86_400 - 62_000_000_000 + days % 86_400);
            text.clear();
            text.push_str(&time.to_string());
            assert!(plain(&text).is_none_or(|micros| micros == time.as_micros()), "{text}");
        }
        for text in ["2019-13-01 00:00:00", "2019-10-01 24:00:00", "2019-1-01 00:00:000", "2019-10-01 00:00:00+1"] {
            assert_eq!(plain(text), None, "{text}");
        }
        // One field alone out of its range is enough.
        for text in ["2019-00-01 00:00:00", "2019-10-00 00:00:00", "2019-10-01 00:60:00"] {
            assert_eq!(plain(text), None, "{text}");
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
        // A leap second is the calendar's affair, as is a day after the 28th.
        for text in ["2019-10-01 00:00:60", "2019-10-29 00:00:00", "2019-02-29 00:00:00"] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert!(parse_timestamp("2019-02-29 00:00:00").is_err());
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in ["", "yesterday", "2019-13-01", "2019-10-01 25:00", "NaN"] {
            assert!(matches!(parse_timestamp(text), Err(FrameError::Timestamp { .. })), "{text}");
        }
    }

    #[test]
    fn the_last_day_of_the_last_year_is_a_time() {
        for text in ["9999-12-31T23:00Z", "9999-12-31 23:00", "9999-12-31 23:00:00 UTC", "9999-12-31T22:00-01:00"] {
            assert_eq!(parse_timestamp(text).unwrap().to_string(), "9999-12-31T23:00:00Z", "{text}");
        }
        assert_eq!(parse_timestamp("-009999-01-01").unwrap().to_string(), "-009999-01-01T00:00:00Z");
    }

    #[test]
    fn a_zone_in_brackets_is_never_read_as_utc() {
        let utc = parse_timestamp("2024-01-01T00:00Z").unwrap();
        // Where there is no time zone database the text is refused.
        for text in ["2024-01-01T00:00[Europe/Berlin]", "2024-01-01 00:00:00[Europe/Berlin]"] {
            assert!(
                parse_timestamp(text).is_ok_and(|t| t == utc.offset(-Timestamp::HOUR))
                    || parse_timestamp(text).is_err()
            );
        }
        for text in [
            "2024-01-01T00:00[Nowhere/Land]",
            "2024-01-01T00:00+05:00[Europe/Berlin]",
            "2024-01-01[",
            "2024-01-01T00:00[]",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
        assert_eq!(parse_timestamp("2024-01-01T00:00+00:00[UTC]").unwrap(), utc);
    }

    #[test]
    fn floors_before_the_epoch_too() {
        assert_eq!(Timestamp::from_micros(-1).floor_to(Timestamp::HOUR), Timestamp::from_micros(-Timestamp::HOUR));
        assert_eq!(Timestamp::from_micros(i64::MIN).floor_to(Timestamp::HOUR).as_micros(), i64::MIN);
    }
}
