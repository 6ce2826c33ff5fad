//! Hours since 1970, and the steps of a funnel.

use funnelpulse_core::Timestamp;

use crate::IncidentError;

/// The steps of a funnel, as positions in arrays of four.
pub(crate) const TRAFFIC: usize = 0;
pub(crate) const CARTS: usize = 1;
pub(crate) const PURCHASES: usize = 2;
pub(crate) const REVENUE: usize = 3;
/// Steps that a funnel has at most.
pub(crate) const STEPS: usize = 4;
/// What windows look at beside the steps: the value of orders, hour by hour on a log scale.
pub(crate) const VALUE: usize = 4;
/// Steps, and the value of orders.
pub(crate) const LANES: usize = 5;
/// Hours of a day.
pub(crate) const DAY: usize = 24;
/// A century: more is a damaged timestamp.
const MAX_HOURS: i64 = 100 * 8766;

/// A stretch of whole hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first hour, counted from 1970; the start of a day (UTC).
    pub(crate) start: i64,
    pub(crate) hours: usize,
}

impl Grid {
    /// From the day of the first of `times` to the last; `None` without any.
    pub(crate) fn spanning(times: impl Iterator<Item = Timestamp>) -> Result<Option<Self>, IncidentError> {
        let ends = times.map(hour_of).fold(None, |ends: Option<(i64, i64)>, h| {
            Some(ends.map_or((h, h), |(first, last)| (first.min(h), last.max(h))))
        });
        let Some((first, last)) = ends else { return Ok(None) };
        let start = first.div_euclid(DAY as i64) * DAY as i64;
        let hours = last.saturating_sub(start).saturating_add(1);
        if hours > MAX_HOURS {
            return Err(IncidentError::TooLong { hours, allowed: MAX_HOURS });
        }
        Ok(Some(Self { start, hours: hours as usize }))
    }

    /// The same without so many hours at the start, which are whole days.
    pub(crate) fn from(self, hours: usize) -> Self {
        Self { start: self.start + hours as i64, hours: self.hours - hours }
    }

    /// The position of a time that lies within.
    pub(crate) fn position(self, time: Timestamp) -> usize {
        (hour_of(time) - self.start) as usize
    }

    /// The start of an hour.
    pub(crate) fn time(self, hour: usize) -> Timestamp {
        Timestamp::from_micros((self.start + hour as i64) * Timestamp::HOUR)
    }
}

/// Hours since 1970.
pub(crate) fn hour_of(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(Timestamp::HOUR)
}
