//! Hours that a calendar has entries for.

use std::collections::BTreeSet;

use funnelpulse_core::{CalendarEntry, CalendarError, Timestamp, Zone};
use ndarray::{CowArray, Ix2};
use serde::{Deserialize, Serialize};

use crate::model::Part;

/// The entries of a calendar as intervals of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(crate) struct Calendar {
    names: Vec<Name>,
    /// In order of their starts.
    windows: Vec<Window>,
    /// The latest end of the windows up to each.
    #[serde(skip_serializing)]
    reach: Vec<Timestamp>,
}

/// Entries of the same name and kind have the same effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// One entry: rows from `start` on and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Window {
    start: Timestamp,
    end: Timestamp,
    /// Its place among the names.
    name: usize,
}

/// An entry that a row lies in: its place in the calendar, and that of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) entry: usize,
    pub(crate) name: usize,
}

#[derive(Deserialize)]
struct Unchecked {
    names: Vec<Name>,
    windows: Vec<Window>,
}

impl TryFrom<Unchecked> for Calendar {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        let is_valid = |window: &Window| window.start < window.end && window.name < u.names.len();
        if u.windows.is_empty() || !u.windows.iter().all(is_valid) || !u.windows.is_sorted() {
            return Err("entries of a calendar are in order, start before they end and have a name");
        }
        Ok(Self::of(u.names, u.windows))
    }
}

impl Calendar {
    /// Reads entries; their local times are those of a time zone.
    pub(crate) fn new(entries: &[CalendarEntry], timezone: &str) -> Result<Self, CalendarError> {
        let zone = Zone::new(timezone)?;
        let name_of = |entry: &CalendarEntry| Name { kind: entry.kind.clone(), name: entry.name.clone() };
        let names: BTreeSet<Name> = entries.iter().map(name_of).collect();
        let names: Vec<Name> = names.into_iter().collect();
        let mut windows = Vec::with_capacity(entries.len());
        for entry in entries {
            let instants = entry.instants(&zone)?;
            if !entry.series.is_empty() {
                return Err(entry.refuse("it is for some series only (allowed: entries without series)"));
            }
            let name = names.binary_search(&name_of(entry)).expect("every name is among the names");
            windows.push(Window { start: instants.start, end: instants.end, name });
        }
        windows.sort_unstable();
        Ok(Self::of(names, windows))
    }

    fn of(names: Vec<Name>, windows: Vec<Window>) -> Self {
        let latest = |latest: &mut Timestamp, window: &Window| {
            *latest = window.end.max(*latest);
            Some(*latest)
        };
        let reach = windows.iter().scan(Timestamp::from_micros(i64::MIN), latest).collect();
        Self { names, windows, reach }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The entries that a row lies in by its time, the latest first, one per name.
    pub(crate) fn marks(&self, time: Timestamp) -> Vec<Mark> {
        let started = self.windows.partition_point(|window| window.start <= time);
        let may_last = (0..started).rev().take_while(|&entry| self.reach[entry] > time);
        let mut marks: Vec<Mark> = Vec::new();
        for entry in may_last.filter(|&entry| self.windows[entry].end > time) {
            let name = self.windows[entry].name;
            if marks.iter().all(|mark| mark.name != name) {
                marks.push(Mark { entry, name });
            }
        }
        marks
    }

    /// The entries of each row; nothing at all of an empty calendar.
    pub(crate) fn marks_of(&self, time: &[Timestamp]) -> Vec<Vec<Mark>> {
        if self.is_empty() { Vec::new() } else { time.iter().map(|time| self.marks(*time)).collect() }
    }

    /// The values of a frame, those of rows of entries as missing.
    pub(crate) fn ordinary<'a>(&self, (time, values): &Part<'a>) -> CowArray<'a, f64, Ix2> {
        let marked = |(row, marks): (usize, Vec<Mark>)| (!marks.is_empty()).then_some(row);
        let mut values = CowArray::from(*values);
        for row in self.marks_of(time).into_iter().enumerate().filter_map(marked) {
            values.row_mut(row).fill(f64::NAN);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_at(calendar: &Calendar, zone: &Zone, text: &str) -> Vec<String> {
        let marks = calendar.marks(zone.instant(text).unwrap());
        marks.iter().map(|mark| calendar.names()[mark.name].name.clone()).collect()
    }

    #[test]
    fn rows_lie_in_the_entries_of_local_days_and_hours() {
        let zone = Zone::new("Europe/Berlin").unwrap();
        let entries = [
            CalendarEntry::new("sale", "promotion", "2024-03-01", "2024-04-02"),
            CalendarEntry::new("mail", "mail", "2024-03-31T10:00:00", "2024-03-31T12:00:00"),
            // The day on which clocks are set forward.
            CalendarEntry::new("easter", "holiday", "2024-03-31", "2024-04-01"),
            CalendarEntry::new("mail", "mail", "2024-03-31T11:00:00", "2024-03-31T13:00:00"),
        ];
        let calendar = Calendar::new(&entries, "Europe/Berlin").unwrap();
        let at = |text| names_at(&calendar, &zone, text);
        assert!(at("2024-02-29T23:59:00").is_empty() && at("2024-04-02T00:00:00").is_empty());
        assert_eq!(at("2024-03-30T23:00:00"), ["sale"]);
        assert_eq!(at("2024-03-30T23:00:00Z"), ["easter", "sale"]);
        assert_eq!(at("2024-03-31T11:30:00"), ["mail", "easter", "sale"], "a name counts once");
        assert_eq!(at("2024-03-31T22:00:00Z"), ["sale"]);
    }

    #[test]
    fn entries_that_can_not_be_used_are_named() {
        let refused = |entry| Calendar::new(&[entry], "").unwrap_err().to_string();
        let some = CalendarEntry {
            series: vec!["acme".to_owned()],
            ..CalendarEntry::new("sale", "sale", "2024-03-01", "2024-03-02")
        };
        let message = "calendar entry `sale`: it is for some series only (allowed: entries without series)";
        assert_eq!(refused(some), message);
        let backwards = CalendarEntry::new("sale", "sale", "2024-03-01", "2024-02-01");
        assert_eq!(refused(backwards), "calendar entry `sale`: it ends before it starts");
    }
}
