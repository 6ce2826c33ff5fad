//! Points in time.

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
    micros(bare).map(Timestamp).ok_or_else(|| FrameError::Timestamp { text: text.to_owned() })
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
