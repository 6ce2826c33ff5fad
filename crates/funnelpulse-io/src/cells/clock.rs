//! What a text or a number in a column of times means.

use funnelpulse_core::{Timestamp, parse_timestamp};
use jiff::{
    civil::{DateTime, Time},
    fmt::temporal::Pieces,
    tz::TimeZone,
};

use crate::{Epoch, IoError, ReadOptions};

/// How times without an offset, and numbers, are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// `None` is UTC.
    zone: Option<TimeZone>,
    epoch: Epoch,
}

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is no time.
    None,
    One(Timestamp),
    /// The clock showed it twice.
    Two(Timestamp, Timestamp),
}

impl From<Option<Timestamp>> for Reading {
    fn from(time: Option<Timestamp>) -> Self {
        time.map_or(Self::None, Self::One)
    }
}

impl Clock {
    pub(crate) fn of(options: &ReadOptions) -> Result<Self, IoError> {
        options.validate()?;
        // What was validated is there.
        let zone = options.timezone.as_ref().and_then(|name| TimeZone::get(name).ok());
        Ok(Self { zone, epoch: options.epoch })
    }

    /// A time as text, or a number as text.
    pub(crate) fn text(&self, text: &str) -> Reading {
        if self.zone.is_some()
            && let Some(local) = local(text)
        {
            return self.in_zone(local);
        }
        match parse_timestamp(text) {
            Ok(time) => Reading::One(time),
            Err(_) => self.number_text(text.trim()),
        }
    }

    fn number_text(&self, text: &str) -> Reading {
        if let Ok(value) = text.parse() {
            return self.integer(value);
        }
        // Not what else floating point numbers are spelt like: nan, inf, 1e9.
        let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        text.parse().ok().filter(|_| digits).map_or(Reading::None, |value| self.number(value))
    }

    /// A whole number.
    pub(crate) fn integer(&self, value: i64) -> Reading {
        let micros = match self.unit(value as f64) {
            None => None,
            Some(_) if self.epoch == Epoch::Auto && is_calendar(value) => None,
            Some(Unit::Seconds) => value.checked_mul(Timestamp::SECOND),
            Some(Unit::Milliseconds) => value.checked_mul(Timestamp::SECOND / 1_000),
            Some(Unit::Microseconds) => Some(value),
            Some(Unit::Nanoseconds) => Some(value.div_euclid(1_000)),
        };
        micros.map(Timestamp::from_micros).into()
    }

    /// Any number; a fraction counts down to the microsecond.
    pub(crate) fn number(&self, value: f64) -> Reading {
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return self.integer(value as i64);
        }
        let per_second = match self.unit(value) {
            None => return Reading::None,
            Some(Unit::Seconds) => 1.0,
            Some(Unit::Milliseconds) => 1e3,
            Some(Unit::Microseconds) => 1e6,
            Some(Unit::Nanoseconds) => 1e9,
        };
        let micros = (value / per_second * 1e6).round();
        // Not a number is no time either.
        (micros.abs() < 9e18).then(|| Timestamp::from_micros(micros as i64)).into()
    }

    fn unit(&self, value: f64) -> Option<Unit> {
        match self.epoch {
            Epoch::Seconds => Some(Unit::Seconds),
            Epoch::Milliseconds => Some(Unit::Milliseconds),
            Epoch::Microseconds => Some(Unit::Microseconds),
            Epoch::Auto if value < 1e8 || !value.is_finite() => None,
            Epoch::Auto if value < 1e11 => Some(Unit::Seconds),
            Epoch::Auto if value < 1e14 => Some(Unit::Milliseconds),
            Epoch::Auto if value < 1e17 => Some(Unit::Microseconds),
            Epoch::Nanoseconds | Epoch::Auto => Some(Unit::Nanoseconds),
        }
    }

    /// A time that was read as UTC although it has no zone.
    pub(crate) fn local(&self, time: Timestamp) -> Reading {
        if self.zone.is_none() {
            return Reading::One(time);
        }
        match jiff::Timestamp::from_microsecond(time.as_micros()) {
            Ok(time) => self.in_zone(time.to_zoned(TimeZone::UTC).datetime()),
            Err(_) => Reading::None,
        }
    }

    fn in_zone(&self, local: DateTime) -> Reading {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let time = |t: jiff::Timestamp| Timestamp::from_micros(t.as_microsecond());
        let found = zone.to_ambiguous_timestamp(local);
        if let jiff::tz::AmbiguousOffset::Fold { .. } = found.offset()
            && let (Ok(first), Ok(second)) = (found.earlier(), found.later())
        {
            return Reading::Two(time(first), time(second));
        }
        found.compatible().ok().map(time).into()
    }
}

/// Of numbers.
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// A date and time without an offset or zone.
fn local(text: &str) -> Option<DateTime> {
    let pieces = Pieces::parse(text.trim()).ok()?;
    let bare = pieces.offset().is_none() && pieces.time_zone_annotation().is_none();
    bare.then(|| DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight())))
}

/// Whether a number is also read as year, month, day and hour, 2019100113.
fn is_calendar(value: i64) -> bool {
    let (year, month, day, hour) = (value / 1_000_000, value / 10_000 % 100, value / 100 % 100, value % 100);
    (1900..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str, epoch: Epoch) -> Clock {
        Clock::of(&ReadOptions { timezone: Some(zone.into()), epoch, ..ReadOptions::default() }).unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        parse_timestamp(text).unwrap()
    }

    #[test]
    fn local_times_are_read_by_a_stated_rule() {
        let berlin = clock("Europe/Berlin", Epoch::Auto);
        assert_eq!(berlin.text("2024-01-01 00:00"), Reading::One(utc("2023-12-31T23:00Z")));
        assert_eq!(berlin.text("2024-01-01"), Reading::One(utc("2023-12-31T23:00Z")));
        // With an offset or a zone of its own, that counts.
        for text in ["2024-01-01T00:00Z", "2024-01-01 00:00 UTC", "2024-01-01T02:00+02:00"] {
            assert_eq!(berlin.text(text), Reading::One(utc("2024-01-01T00:00Z")), "{text}");
        }
        assert_eq!(berlin.text("2024-01-01T00:00[America/New_York]"), Reading::One(utc("2024-01-01T05:00Z")));
        // Clocks are set back at 3:00, and forward at 2:00.
        let twice = Reading::Two(utc("2024-10-27T00:30Z"), utc("2024-10-27T01:30Z"));
        assert_eq!(berlin.text("2024-10-27 02:30"), twice);
        assert_eq!(berlin.local(utc("2024-10-27 02:30")), twice);
        assert_eq!(berlin.text("2024-03-31 02:30"), Reading::One(utc("2024-03-31T01:30Z")));
        assert_eq!(Clock::default().text("2024-10-27 02:30"), Reading::One(utc("2024-10-27T02:30Z")));
    }

    #[test]
    fn brackets_name_a_zone() {
        let plain = Clock::default();
        assert_eq!(plain.text("2024-01-01T00:00[Europe/Berlin]"), Reading::One(utc("2023-12-31T23:00Z")));
        assert_eq!(plain.text("2024-01-01T00:00+01:00[Europe/Berlin]"), Reading::One(utc("2023-12-31T23:00Z")));
        assert_eq!(plain.text("2024-01-01T00:00+05:00[Europe/Berlin]"), Reading::None);
    }

    #[test]
    fn numbers_count_from_1970() {
        let auto = Clock::default();
        let time = Reading::One(utc("2019-10-01T00:00Z"));
        for text in ["1569888000", "1569888000000", "1569888000000000", "1569888000000000000", "1569888000.0"] {
            assert_eq!(auto.text(text), time, "{text}");
            assert_eq!(auto.number(text.parse().unwrap()), time, "{text}");
        }
        assert_eq!(auto.text("1569888000.5"), Reading::One(utc("2019-10-01T00:00:00.5Z")));
        for text in ["0", "17", "-5", "2019", "2019100113", "99999999", "nan", "inf", "1e9", "1.2.3"] {
            assert_eq!(auto.text(text), Reading::None, "{text}");
        }
        // A date, not a number.
        assert_eq!(auto.text("20191001"), time);
        let seconds = Clock { zone: None, epoch: Epoch::Seconds };
        assert_eq!(seconds.integer(0), Reading::One(utc("1970-01-01")));
        assert_eq!(seconds.integer(i64::MAX), Reading::None);
        assert_eq!((seconds.number(f64::NAN), seconds.number(f64::INFINITY)), (Reading::None, Reading::None));
    }
}
