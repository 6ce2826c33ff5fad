//! Calendar entries from iCalendar files (RFC 5545), as calendar programs and sites with public holidays give them.

use std::{ops::RangeInclusive, str::FromStr};

use icalendar::{Calendar, CalendarComponent, Component, Event};
use jiff::{
    Span, ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::{CalendarEntry, CalendarError};

impl CalendarEntry {
    /// The events of an iCalendar file as entries of one kind, which concern all series, in order of their start.
    ///
    /// Whole days stay dates, so that they follow the time zone of the shop; times of a zone become instants. An event
    /// without `DTEND` or `DURATION` takes its day, or an hour. Events of every year (`RRULE:FREQ=YEARLY`) are repeated from their own year on
    /// where `years` has it; other repetitions are refused. Events without a rule are kept whatever their year.
    ///
    /// ```
    /// use funnelpulse_core::CalendarEntry;
    ///
    /// let file = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Unity Day\r\nDTSTART;VALUE=DATE:19901003\r\n\
    ///             DTEND;VALUE=DATE:19901004\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    /// let entries = CalendarEntry::from_ics(file, "holiday", 2024..=2025)?;
    /// assert_eq!(entries[0], CalendarEntry::new("Unity Day", "holiday", "2024-10-03", "2024-10-04"));
    /// assert_eq!(entries.len(), 2);
    /// # Ok::<(), funnelpulse_core::CalendarError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CalendarError::Entry`] with the name of the event and what is wrong with it.
    pub fn from_ics(text: &str, kind: &str, years: RangeInclusive<i16>) -> Result<Vec<Self>, CalendarError> {
        let calendar =
            Calendar::from_str(text).map_err(|reason| refuse("the file", format!("no calendar: {reason}")))?;
        let events = calendar.components.iter().filter_map(CalendarComponent::as_event);
        let read = events.map(|event| entries_of(event, kind, &years));
        let mut entries = read.collect::<Result<Vec<_>, _>>()?.concat();
        entries.sort_by(|a, b| (&a.start, &a.name).cmp(&(&b.start, &b.name)));
        Ok(entries)
    }
}

fn refuse(name: &str, reason: String) -> CalendarError {
    CalendarError::Entry { name: name.to_owned(), reason }
}

/// One event, or one for each of the years.
fn entries_of(event: &Event, kind: &str, years: &RangeInclusive<i16>) -> Result<Vec<CalendarEntry>, CalendarError> {
    let name = event.get_summary().unwrap_or("event");
    let moment = |key: &str| Moment::of(event, key).transpose().map_err(|reason| refuse(name, reason));
    let start = moment("DTSTART")?.ok_or_else(|| refuse(name, "it has no DTSTART".to_owned()))?;
    let end = match (moment("DTEND")?, event.property_value("DURATION")) {
        (Some(end), _) => end,
        (None, Some(text)) => {
            let span = text.parse().ok().filter(|span: &Span| span.is_positive());
            let end = span.and_then(|span| start.plus(span));
            end.ok_or_else(|| refuse(name, format!("DURATION `{text}` is no positive time span")))?
        }
        (None, None) => start.usual_end(),
    };
    let entry = |years: i64| -> Option<CalendarEntry> {
        let (start, end) = (start.later(years)?, end.later(years)?);
        Some(CalendarEntry::new(name, kind, &start, &end))
    };
    let Some(rule) = event.property_value("RRULE") else { return Ok(entry(0).into_iter().collect()) };
    // BYMONTH and BYMONTHDAY only repeat the date of the start where it is one of every year.
    let repeats = |part: &str| {
        part == "FREQ=YEARLY" || part == "INTERVAL=1" || part.starts_with("BYMONTH=") || part.starts_with("BYMONTHDAY=")
    };
    if !rule.split(';').all(|part| repeats(part.trim())) {
        return Err(refuse(name, format!("RRULE:{rule} is not understood (FREQ=YEARLY is)")));
    }
    let first = start.year().max(*years.start());
    Ok((first..=*years.end()).filter_map(|year| entry(i64::from(year) - i64::from(start.year()))).collect())
}

/// A day, a local time, or a time of a zone.
#[derive(Clone, Debug)]
enum Moment {
    Day(Date),
    Time(DateTime, Option<TimeZone>),
}

impl Moment {
    fn of(event: &Event, key: &str) -> Option<Result<Self, String>> {
        let property = event.properties().get(key)?;
        let text = property.value();
        let zone = property.params().get("TZID").map(icalendar::Parameter::value);
        Some(Self::parse(text, zone).ok_or_else(|| {
            let zone = zone.map(|zone| format!(" in {zone}")).unwrap_or_default();
            format!("{key} `{text}`{zone} is no date or time")
        }))
    }

    fn parse(text: &str, zone: Option<&str>) -> Option<Self> {
        if !text.contains('T') {
            return text.parse().ok().map(Self::Day);
        }
        let zone = match (text.strip_suffix('Z'), zone) {
            (Some(_), _) => Some(TimeZone::UTC),
            (None, Some(name)) => Some(TimeZone::get(name).ok()?),
            (None, None) => None,
        };
        text.trim_end_matches('Z').parse().ok().map(|time| Self::Time(time, zone))
    }

    fn year(&self) -> i16 {
        match self {
            Self::Day(day) => day.year(),
            Self::Time(time, _) => time.year(),
        }
    }

    /// A time span later.
    fn plus(&self, span: Span) -> Option<Self> {
        Some(match self {
            Self::Day(day) => Self::Day(day.checked_add(span).ok()?),
            Self::Time(time, zone) => Self::Time(time.checked_add(span).ok()?, zone.clone()),
        })
    }

    /// The end of an event that names none.
    fn usual_end(&self) -> Self {
        match self {
            Self::Day(day) => Self::Day(day.saturating_add(1.day())),
            Self::Time(time, zone) => Self::Time(time.saturating_add(1.hour()), zone.clone()),
        }
    }

    /// As a calendar entry writes it, years later; `None` for days that this year does not have.
    fn later(&self, years: i64) -> Option<String> {
        let span = Span::new().try_years(years).ok()?;
        match self {
            Self::Day(day) => {
                let later = day.checked_add(span).ok()?;
                (later.day() == day.day()).then(|| later.to_string())
            }
            Self::Time(time, zone) => {
                let later = time.checked_add(span).ok().filter(|later| later.day() == time.day())?;
                match zone {
                    Some(zone) => later.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp().to_string()),
                    None => Some(later.to_string()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Long\r\n  name\r\nDTSTART;TZID=Europe/Berlin:20240701T080000\r\n\
                        DTEND:20240703T080000Z\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    proptest! {
        #[test]
        fn damaged_files_are_errors_or_entries(
            at in 0..FILE.len(), cut in 0..40usize, put in "[A-Z0-9:;=,\\\\\\r\\n ]{0,12}",
        ) {
            let end = (at + cut).min(FILE.len());
            let text = format!("{}{put}{}", &FILE[..at], &FILE[end..]);
            if let Ok(entries) = CalendarEntry::from_ics(&text, "holiday", 2020..=2050) {
                prop_assert!(entries.iter().all(|entry| !entry.start.is_empty() && !entry.end.is_empty()));
            }
        }
    }

    fn events(lines: &[&str]) -> Result<Vec<CalendarEntry>, CalendarError> {
        let events =
            lines.iter().map(|lines| format!("BEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\n", lines.replace('|', "\r\n")));
        let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n", events.collect::<String>());
        CalendarEntry::from_ics(&text, "holiday", 2020..=2050)
    }

    #[test]
    fn days_and_times_keep_their_zone() {
        let found = events(&[
            "SUMMARY:Sale\\, summer|DTSTART;TZID=Europe/Berlin:20240701T080000|DTEND;TZID=Europe/Berlin:20240701T200000",
            "SUMMARY:Mailing|DTSTART:20240601T100000Z",
            "SUMMARY:Local|DTSTART:20240501T100000|DTEND:20240501T130000",
            "SUMMARY:May Day|DTSTART;VALUE=DATE:20240501",
            "SUMMARY:Fair|DTSTART;VALUE=DATE:20240801|DURATION:P1W",
            "SUMMARY:Night|DTSTART:20240901T220000Z|DURATION:P1DT2H30M",
        ])
        .unwrap();
        let entry = |name: &str, start: &str, end: &str| CalendarEntry::new(name, "holiday", start, end);
        assert_eq!(
            found,
            [
                entry("May Day", "2024-05-01", "2024-05-02"),
                entry("Local", "2024-05-01T10:00:00", "2024-05-01T13:00:00"),
                entry("Mailing", "2024-06-01T10:00:00Z", "2024-06-01T11:00:00Z"),
                entry("Sale, summer", "2024-07-01T06:00:00Z", "2024-07-01T18:00:00Z"),
                entry("Fair", "2024-08-01", "2024-08-08"),
                entry("Night", "2024-09-01T22:00:00Z", "2024-09-03T00:30:00Z"),
            ]
        );
    }

    #[test]
    fn events_of_every_year_are_repeated() {
        let christmas = events(&["SUMMARY:Christmas|DTSTART;VALUE=DATE:20201225|RRULE:FREQ=YEARLY"]).unwrap();
        assert_eq!(christmas.len(), 31);
        assert_eq!((&*christmas[5].start, &*christmas[5].end), ("2025-12-25", "2025-12-26"));
        let leap = events(&["SUMMARY:Leap|DTSTART;VALUE=DATE:20200229|RRULE:FREQ=YEARLY;BYMONTH=2"]).unwrap();
        assert_eq!(leap.len(), 8, "{leap:?}");
        let old = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Old\r\nDTSTART:19710501T100000Z\r\nRRULE:FREQ=YEARLY\r\n\
                   END:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:Once\r\nDTSTART;VALUE=DATE:19990101\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let found = CalendarEntry::from_ics(old, "holiday", 2024..=2025).unwrap();
        let starts: Vec<&str> = found.iter().map(|entry| &*entry.start).collect();
        assert_eq!(starts, ["1999-01-01", "2024-05-01T10:00:00Z", "2025-05-01T10:00:00Z"]);
        // No year twice, and none before the first.
        assert_eq!(CalendarEntry::from_ics(old, "holiday", 1960..=1972).unwrap().len(), 3);
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let error = |lines| events(&[lines]).unwrap_err().to_string();
        assert!(
            error("SUMMARY:Weekly|DTSTART:20240601T100000Z|RRULE:FREQ=WEEKLY").contains("`Weekly`: RRULE:FREQ=WEEKLY")
        );
        assert!(error("SUMMARY:Odd|DTSTART:20241341").contains("`Odd`: DTSTART `20241341` is no date"));
        assert!(error("SUMMARY:Odd|DTSTART;TZID=Moon/Base:20240101T100000").contains("in Moon/Base"));
        assert!(error("SUMMARY:Odd|DTSTART:20240101|DURATION:-P1D").contains("DURATION `-P1D` is no positive"));
        assert!(error("SUMMARY:Odd|DTSTART:20240101|DURATION:soon").contains("DURATION `soon` is no positive"));
        assert!(error("SUMMARY:Never").contains("no DTSTART"));
        let error = CalendarEntry::from_ics("series,start\r\na,2024-01-01\r\n", "holiday", 2020..=2030)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the file"), "{error}");
    }
}
