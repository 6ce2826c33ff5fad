//! What is known beforehand: holidays, promotions, mailings; and the local time that they follow.

use std::ops::Range;

use jiff::{
    Span,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// An entry of a calendar. Detectors that take calendars learn its effect and count it as ordinary.
///
/// ```
/// use funnelpulse_core::{CalendarEntry, Zone};
///
/// let day = CalendarEntry::new("unity_day", "holiday", "2024-10-03", "2024-10-04");
/// assert!(day.series.is_empty());
/// let berlin = day.instants(&Zone::new("Europe/Berlin")?)?;
/// assert_eq!(berlin.start.to_string(), "2024-10-02T22:00:00Z");
/// # Ok::<(), funnelpulse_core::CalendarError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarEntry {
    /// The name.
    pub name: String,
    /// The kind, such as `holiday`, `promotion` or `mail`: entries of a kind have similar effects.
    pub kind: String,
    /// The series that it concerns; all where empty.
    #[serde(default)]
    pub series: Vec<String>,
    /// Its start: an instant with an offset, or a local date or date and time.
    pub start: String,
    /// Its end, exclusive, in the same forms.
    pub end: String,
}

impl CalendarEntry {
    /// An entry that concerns all series.
    pub fn new(name: &str, kind: &str, start: &str, end: &str) -> Self {
        let [name, kind, start, end] = [name, kind, start, end].map(str::to_owned);
        Self { name, kind, series: Vec::new(), start, end }
    }

    /// Its first instant, and the first one after it; local times are those of `zone`.
    ///
    /// # Errors
    ///
    /// [`CalendarError::Entry`] for texts that are no date or time, and entries that end before they start.
    pub fn instants(&self, zone: &Zone) -> Result<Range<Timestamp>, CalendarError> {
        let instant =
            |text: &str| zone.instant(text).ok_or_else(|| self.refuse(format!("`{text}` is no date or time")));
        let (start, end) = (instant(&self.start)?, instant(&self.end)?);
        if start < end { Ok(start..end) } else { Err(self.refuse("it ends before it starts")) }
    }

    /// True if it concerns a series.
    pub fn concerns(&self, series: &str) -> bool {
        self.series.is_empty() || self.series.iter().any(|name| name == series)
    }

    /// An error about this entry.
    pub fn refuse(&self, reason: impl Into<String>) -> CalendarError {
        CalendarError::Entry { name: self.name.clone(), reason: reason.into() }
    }
}

/// The reason why a calendar can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalendarError {
    /// An entry, or an event of a file.
    #[error("calendar entry `{name}`: {reason}")]
    Entry {
        /// Its name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A time zone that the database does not have.
    #[error("timezone: `{name}` is no IANA time zone, such as `Europe/Berlin`")]
    Zone {
        /// The name.
        name: String,
    },
}

/// A time zone. The database comes with the program.
///
/// ```
/// use funnelpulse_core::{Timestamp, Zone};
///
/// let berlin = Zone::new("Europe/Berlin")?;
/// let noon = berlin.instant("2024-07-01T12:00:00").expect("a time");
/// assert_eq!(noon.to_string(), "2024-07-01T10:00:00Z");
/// assert_eq!(berlin.offset(noon), 2 * Timestamp::HOUR);
/// assert!(Zone::new("Europe/Atlantis").is_err());
/// # Ok::<(), funnelpulse_core::CalendarError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Looks up an IANA name such as `Europe/Berlin`; an empty name is UTC.
    pub fn new(name: &str) -> Result<Self, CalendarError> {
        let unknown = |_| CalendarError::Zone { name: name.to_owned() };
        let zone = if name.is_empty() { TimeZone::UTC } else { TimeZone::get(name).map_err(unknown)? };
        Ok(Self(zone))
    }

    /// Reads an instant (RFC 3339 with an offset) or a local date or date and time. Of a local time that occurs twice the
    /// first is meant; one that does not occur is as much later as the clock was set forward.
    pub fn instant(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(instant.into());
        }
        self.of_local(text.parse().ok()?)
    }

    /// The first instant of a local day, which is given in days since 1970-01-01.
    pub fn day(&self, days: i64) -> Option<Timestamp> {
        const EPOCH: Date = Date::constant(1970, 1, 1);
        let date = EPOCH.checked_add(Span::new().try_days(days).ok()?).ok()?;
        self.of_local(date.into())
    }

    /// Local time less UTC at an instant, in microseconds; zero where calendars end.
    pub fn offset(&self, time: Timestamp) -> i64 {
        let seconds = time.as_micros().div_euclid(Timestamp::SECOND);
        let offset = jiff::Timestamp::from_second(seconds).map_or(0, |at| i64::from(self.0.to_offset(at).seconds()));
        offset * Timestamp::SECOND
    }

    fn of_local(&self, local: DateTime) -> Option<Timestamp> {
        Some(local.to_zoned(self.0.clone()).ok()?.timestamp().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_days_have_23_to_25_hours() {
        let berlin = Zone::new("Europe/Berlin").unwrap();
        // 2024-03-31 and 2024-10-27, when the clock is set.
        let hours = |days: i64| {
            let day = |days| berlin.day(days).unwrap().as_micros();
            (day(days + 1) - day(days)) / Timestamp::HOUR
        };
        assert_eq!((hours(19_812), hours(19_813), hours(20_023)), (24, 23, 25));
        assert_eq!(berlin.day(19_813).unwrap().to_string(), "2024-03-30T23:00:00Z");
        assert_eq!(berlin.day(i64::MAX), None);
        assert_eq!(Zone::new("").unwrap().offset(Timestamp::from_micros(i64::MAX)), 0);
    }

    #[test]
    fn entries_that_can_not_be_are_named() {
        let utc = Zone::new("UTC").unwrap();
        let error = |start, end| CalendarEntry::new("sale", "sale", start, end).instants(&utc).unwrap_err().to_string();
        assert_eq!(error("2024-03-01", "soon"), "calendar entry `sale`: `soon` is no date or time");
        assert_eq!(error("2024-03-01", "2024-03-01"), "calendar entry `sale`: it ends before it starts");
        let error = Zone::new("Europe/Atlantis").unwrap_err().to_string();
        assert_eq!(error, "timezone: `Europe/Atlantis` is no IANA time zone, such as `Europe/Berlin`");
    }
}
