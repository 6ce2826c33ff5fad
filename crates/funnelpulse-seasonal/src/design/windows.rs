//! Times at which a holiday or an event of the calendar takes place.

use std::collections::BTreeMap;

use funnelpulse_core::{CalendarEntry, Timestamp, Zone};
use serde::{Deserialize, Serialize};

use crate::SeasonalError;

/// Intervals of time, ascending and apart, without their ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Windows(Vec<(Timestamp, Timestamp)>);

impl Windows {
    /// Those of given intervals, which may overlap.
    fn new(mut intervals: Vec<(Timestamp, Timestamp)>) -> Self {
        intervals.sort_unstable();
        let mut apart: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(intervals.len());
        for (start, end) in intervals {
            match apart.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => apart.push((start, end)),
            }
        }
        Self(apart)
    }

    /// Local days, given in days since 1970-01-01.
    pub(super) fn of_days(days: impl IntoIterator<Item = i64>, zone: &Zone) -> Self {
        let day = |day: i64| Some((zone.day(day)?, zone.day(day.checked_add(1)?)?));
        Self::new(days.into_iter().filter_map(day).collect())
    }

    /// True at times within one of the intervals.
    pub(super) fn contain(&self, time: Timestamp) -> bool {
        let next = self.0.partition_point(|(start, _)| *start <= time);
        next > 0 && time < self.0[next - 1].1
    }

    pub(super) fn is_valid(&self) -> bool {
        self.0.iter().all(|(start, end)| start < end) && self.0.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }
}

/// The windows of each name of a calendar, in the order of names.
pub(super) fn of_calendar<'a>(
    calendar: &'a [CalendarEntry],
    zone: &Zone,
) -> Result<BTreeMap<&'a str, Windows>, SeasonalError> {
    let mut intervals: BTreeMap<&str, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    for entry in calendar {
        let instants = entry.instants(zone)?;
        intervals.entry(&entry.name).or_default().push((instants.start, instants.end));
    }
    Ok(intervals.into_iter().map(|(name, intervals)| (name, Windows::new(intervals))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_seconds(3_600 * hours)
    }

    #[test]
    fn windows_hold_their_start_and_not_their_end() {
        let windows = Windows::new(vec![(at(10), at(12)), (at(1), at(3)), (at(2), at(5)), (at(5), at(6))]);
        assert_eq!(windows.0, [(at(1), at(6)), (at(10), at(12))]);
        assert!(windows.is_valid());
        let within: Vec<i64> = (0..14).filter(|hour| windows.contain(at(*hour))).collect();
        assert_eq!(within, [1, 2, 3, 4, 5, 10, 11]);
        assert!(!Windows(vec![(at(3), at(3))]).is_valid() && !Windows(vec![(at(5), at(6)), (at(1), at(2))]).is_valid());
    }

    #[test]
    fn local_days_follow_the_clock() {
        // The day on which the clock is set forward, 2024-03-31 in Berlin, has 23 hours.
        let windows = Windows::of_days([19_813], &Zone::new("Europe/Berlin").unwrap());
        let hours: i64 =
            windows.0.iter().map(|(start, end)| (end.as_micros() - start.as_micros()) / Timestamp::HOUR).sum();
        assert_eq!((windows.0[0].0.to_string().as_str(), hours), ("2024-03-30T23:00:00Z", 23));
        assert!(Windows::of_days([i64::MAX, i64::MIN], &Zone::new("").unwrap()).0.is_empty());
    }
}
