//! What a shop knows beforehand: holidays, promotions, mailings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    IncidentError,
    clock::Clock,
    grid::{DAY, Grid},
};

/// One entry of a shop's calendar. Its effect is learnt and counts as ordinary.
///
/// ```
/// use funnelpulse_incidents::CalendarEntry;
///
/// let day = CalendarEntry::new("unity_day", "holiday", "2024-10-03", "2024-10-04");
/// assert!(day.series.is_empty());
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
    /// Its start: an instant with an offset, or a date or date and time in the shop's time zone.
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

    /// Its hours since 1970, first and last (exclusive).
    fn hours(&self, clock: &Clock) -> Result<(i64, i64), IncidentError> {
        let hour = |text: &str| {
            let time = clock.parse(text);
            time.map(crate::grid::hour_of).ok_or_else(|| IncidentError::Calendar {
                name: self.name.clone(),
                reason: format!("`{text}` is no date or time"),
            })
        };
        let (start, end) = (hour(&self.start)?, hour(&self.end)?);
        if start < end {
            return Ok((start, end));
        }
        Err(IncidentError::Calendar { name: self.name.clone(), reason: "it ends before it starts".to_owned() })
    }
}

/// The entries with their hours, and their kinds as numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calendar {
    pub(crate) entries: Vec<Entry>,
    pub(crate) kinds: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Hours since 1970, end exclusive.
    start: i64,
    end: i64,
    pub(crate) kind: usize,
    series: Vec<String>,
}

impl Calendar {
    /// Reads the entries; those of the same kind share a number.
    pub(crate) fn new(entries: &[CalendarEntry], clock: &Clock) -> Result<Self, IncidentError> {
        let mut kinds: Vec<&str> = Vec::new();
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            let (start, end) = entry.hours(clock)?;
            let kind = kinds.iter().position(|kind| *kind == entry.kind).unwrap_or(kinds.len());
            if kind == kinds.len() {
                kinds.push(&entry.kind);
            }
            read.push(Entry { start, end, kind, series: entry.series.clone() });
        }
        Ok(Self { entries: read, kinds: kinds.len() })
    }
}

impl Entry {
    /// Whether it concerns a series.
    pub(crate) fn concerns(&self, series: &str) -> bool {
        self.series.is_empty() || self.series.iter().any(|name| name == series)
    }

    /// Whether it has hours in some days since 1970.
    pub(crate) fn is_within(&self, days: &std::ops::Range<i64>) -> bool {
        self.start < days.end * DAY as i64 && self.end > days.start * DAY as i64
    }

    /// Its hours within the grid; empty where it lies outside.
    pub(crate) fn within(&self, grid: Grid) -> std::ops::Range<usize> {
        let at = |hour: i64| (hour - grid.start).clamp(0, grid.hours as i64) as usize;
        at(self.start)..at(self.end)
    }
}
