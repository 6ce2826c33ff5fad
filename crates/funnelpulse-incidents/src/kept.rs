//! Findings of earlier scans in days that later rows don't change.
//!
//! Panels that follow each other overlap in all but their last rows. A day is taken over from the scan
//! before where all rows up to three days after it are the same, which fingerprints of the days tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher},
    ops::Range,
    sync::Arc,
};

use foldhash::fast::FixedState;
use funnelpulse_core::{Frame, SeriesKey};

use crate::{
    grid::{DAY, Grid, hour_of},
    normal::Expectations,
    windows::{again::Windows, greedy::Found},
};

/// Days after a day whose rows its findings depend on.
const LOOK_AHEAD: i64 = 3;

/// Position of the windows of hindsight; those of live levels come after them.
pub(crate) const HINDSIGHT: usize = 0;

/// What one look found, in days since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    days: Range<i64>,
    /// Hours of these days.
    found: BTreeMap<SeriesKey, Vec<Found>>,
    /// Windows of the last days of the training, and of the last days of all.
    pub(crate) windows: [Windows; 2],
}

/// The looks of one scan, and the rows that they saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    fingerprints: BTreeMap<i64, u64>,
    /// The first day of each series.
    series: BTreeMap<SeriesKey, i64>,
    pub(crate) first: Look,
    pub(crate) second: Look,
    /// Windows of the site, likewise.
    pub(crate) site: [Windows; 2],
    /// Expected values before calendar entries of the panel are known, at the first look and at the second.
    pub(crate) expected: [Arc<Expectations>; 3],
}

impl Kept {
    /// The rows of a scan, of which nothing is found yet.
    pub(crate) fn of_rows(panel: &[(&SeriesKey, &Frame)]) -> Self {
        let state = FixedState::default();
        let mut fingerprints: BTreeMap<i64, u64> = BTreeMap::new();
        let mut series = BTreeMap::new();
        for (key, frame) in panel {
            let day_of = |row: usize| hour_of(frame.time()[row]).div_euclid(DAY as i64);
            let mut row = 0;
            while row < frame.nrows() {
                let day = day_of(row);
                series.entry((*key).clone()).or_insert(day);
                let mut hasher = state.build_hasher();
                hasher.write(key.as_str().as_bytes());
                hasher.write_u64(fingerprints.get(&day).copied().unwrap_or_default());
                while row < frame.nrows() && day_of(row) == day {
                    hasher.write_i64(frame.time()[row].as_micros());
                    frame.values().row(row).iter().for_each(|value| hasher.write_u64(value.to_bits()));
                    row += 1;
                }
                fingerprints.insert(day, hasher.finish());
            }
        }
        Self { fingerprints, series, ..Self::default() }
    }

    /// The first day after those whose findings in an earlier scan are those of a scan of `rows`.
    pub(crate) fn settled_until(&self, rows: &Self) -> i64 {
        // Rows that are no more looked back to are left out, so that the first day of a series may have lost some.
        let known = rows.series.iter().filter(|(key, _)| self.series.contains_key(*key));
        let from = known.map(|(_, first)| first + 1).max().unwrap_or(i64::MAX);
        let days: BTreeSet<i64> = self.fingerprints.keys().chain(rows.fingerprints.keys()).copied().collect();
        let is_other = |day: &i64| self.fingerprints.get(day) != rows.fingerprints.get(day);
        let changed = days.range(from..).copied().find(is_other);
        let joined =
            rows.series.iter().filter(|(key, _)| !self.series.contains_key(*key)).map(|(_, first)| *first).min();
        let left = self.series.keys().any(|key| !rows.series.contains_key(key));
        if left {
            return i64::MIN;
        }
        changed.into_iter().chain(joined).min().map_or(i64::MAX, |day| day.saturating_sub(LOOK_AHEAD))
    }
}

impl Look {
    /// Keeps the days of the grid from `first` on.
    pub(crate) fn keep(&mut self, grid: Grid, first: usize, names: &[&str], found: &[Vec<Found>]) {
        let day = grid.start.div_euclid(DAY as i64);
        self.days = day + first as i64..day + (grid.hours / DAY) as i64;
        let hours = first * DAY..(grid.hours / DAY * DAY).max(first * DAY);
        let of = |(name, found): (&&str, &Vec<Found>)| (SeriesKey::new(*name), found[hours.clone()].to_vec());
        self.found = names.iter().zip(found).map(of).collect();
    }

    /// Days of the grid that are known, up to a day since 1970.
    pub(crate) fn days_within(&self, grid: Grid, until: i64) -> Range<usize> {
        let first = grid.start.div_euclid(DAY as i64);
        let at = |day: i64| day.saturating_sub(first).clamp(0, grid.hours.div_ceil(DAY) as i64) as usize;
        let days = at(self.days.start)..at(self.days.end.min(until));
        if days.is_empty() { 0..0 } else { days }
    }

    /// Copies what was found of a series in some days of the grid.
    pub(crate) fn copy(&self, grid: Grid, days: &Range<usize>, series: &str, into: &mut [Found]) {
        let Some(found) = self.found.get(series) else { return };
        let first = grid.start.div_euclid(DAY as i64);
        for day in days.clone() {
            let at = (first + day as i64 - self.days.start) as usize * DAY;
            into[day * DAY..(day + 1) * DAY].copy_from_slice(&found[at..at + DAY]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shop::{Shop, outage, part};

    #[test]
    fn days_are_settled_three_days_before_the_first_that_changed() {
        let panel = Shop::new(3, 60, outage).panel();
        let day = |hour: usize| hour_of(panel.iter().next().unwrap().1.time()[hour]) / DAY as i64;
        let rows = |from: usize, to: usize| {
            let part = part(&panel, from, to);
            Kept::of_rows(&part.iter().collect::<Vec<_>>())
        };
        let before = rows(0, 1000);
        assert_eq!(before.settled_until(&rows(0, 1000)), i64::MAX);
        assert_eq!(before.settled_until(&rows(0, 1001)), day(1000) - 3);
        // Context that is left out changes nothing.
        assert_eq!(before.settled_until(&rows(30, 1001)), day(1000) - 3);
        // A series that joins, or leaves, does.
        let mut joined = part(&panel, 0, 1000);
        joined.insert("new", panel.get("brand_00").unwrap().view().rows(500..1000).to_frame()).unwrap();
        let joined = Kept::of_rows(&joined.iter().collect::<Vec<_>>());
        assert_eq!(before.settled_until(&joined), day(500) - 3);
        assert_eq!(joined.settled_until(&before), i64::MIN);
    }
}
