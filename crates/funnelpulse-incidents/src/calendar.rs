//! What a shop knows beforehand: holidays, promotions, mailings.

use funnelpulse_core::CalendarEntry;

use crate::{
    IncidentError,
    clock::Clock,
    grid::{DAY, Grid, hour_of},
};

/// The hours of an entry since 1970, first and last (exclusive).
fn hours(entry: &CalendarEntry, clock: &Clock) -> Result<(i64, i64), IncidentError> {
    let instants = entry.instants(clock.zone())?;
    let (start, end) = (hour_of(instants.start), hour_of(instants.end));
    if start < end { Ok((start, end)) } else { Err(entry.refuse("it lies within one hour").into()) }
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
            let (start, end) = hours(entry, clock)?;
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
