//! Times of other libraries.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Timestamp;

/// Nanoseconds in a microsecond.
#[cfg(feature = "time")]
const NANOS: i128 = 1_000;

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl From<&jiff::Zoned> for Timestamp {
    fn from(time: &jiff::Zoned) -> Self {
        time.timestamp().into()
    }
}

/// Saturating at the ends of the range, 292,000 years away.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl Timestamp {
    /// The same point in time as the standard library has it; `None` beyond its range.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use funnelpulse_core::Timestamp;
    ///
    /// let time = Timestamp::from(UNIX_EPOCH + Duration::from_secs(90));
    /// assert_eq!(time, Timestamp::from_seconds(90));
    /// assert_eq!(time.to_system_time(), Some(UNIX_EPOCH + Duration::from_secs(90)));
    /// ```
    pub fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_micros(self.0.unsigned_abs());
        if self.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    }
}

#[cfg(feature = "chrono")]
impl<Z: chrono::TimeZone> From<chrono::DateTime<Z>> for Timestamp {
    fn from(time: chrono::DateTime<Z>) -> Self {
        Self(time.timestamp_micros())
    }
}

#[cfg(feature = "time")]
impl From<time::OffsetDateTime> for Timestamp {
    fn from(time: time::OffsetDateTime) -> Self {
        // Within ten thousand years of the epoch.
        Self((time.unix_timestamp_nanos().div_euclid(NANOS)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_other_libraries_are_the_same_points() {
        let expected = crate::parse_timestamp("2019-10-01T02:00:00.25+02:00").unwrap();
        let zoned: jiff::Timestamp = "2019-10-01T00:00:00.25Z".parse().unwrap();
        assert_eq!(Timestamp::from(zoned), expected);
        assert_eq!(expected.to_system_time().map(Timestamp::from), Some(expected));
        let before = Timestamp::from_micros(-1_500_000);
        assert_eq!(before.to_system_time().map(Timestamp::from), Some(before));
        #[cfg(feature = "chrono")]
        assert_eq!(Timestamp::from(chrono::DateTime::from_timestamp_micros(expected.as_micros()).unwrap()), expected);
        #[cfg(feature = "time")]
        assert_eq!(
            Timestamp::from(
                time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(expected.as_micros()) * NANOS).unwrap()
            ),
            expected
        );
    }
}
