//! Series on a common grid of hours.

use funnelpulse_core::{FrameView, Timestamp};

use crate::{IncidentConfig, IncidentError};

/// The steps of a funnel, as positions in arrays of four.
pub(crate) const TRAFFIC: usize = 0;
pub(crate) const CARTS: usize = 1;
pub(crate) const PURCHASES: usize = 2;
/// Observed as revenue, expected as price.
pub(crate) const REVENUE: usize = 3;
/// The steps that are counts.
pub(crate) const COUNTS: usize = 3;
/// A century: more is a damaged timestamp.
const MAX_HOURS: i64 = 100 * 8766;

/// One value per step, NaN where there is none.
pub(crate) type Steps = [f64; 4];

/// A stretch of whole hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first hour, counted from 1970.
    pub(crate) start: i64,
    pub(crate) hours: usize,
}

impl Grid {
    /// From the first to the last of `times`; `None` without any.
    pub(crate) fn spanning(times: impl Iterator<Item = Timestamp>) -> Result<Option<Self>, IncidentError> {
        let ends = times.map(hour_of).fold(None, |ends: Option<(i64, i64)>, h| {
            Some(ends.map_or((h, h), |(first, last)| (first.min(h), last.max(h))))
        });
        let Some((first, last)) = ends else { return Ok(None) };
        let hours = last.saturating_sub(first).saturating_add(1);
        if hours > MAX_HOURS {
            return Err(IncidentError::TooLong { hours, allowed: MAX_HOURS });
        }
        Ok(Some(Self { start: first, hours: hours as usize }))
    }

    pub(crate) fn contains(self, time: Timestamp) -> bool {
        (self.start..self.start + self.hours as i64).contains(&hour_of(time))
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

/// Above zero, and not NaN.
pub(crate) fn is_positive(value: f64) -> bool {
    value > 0.0
}

/// Hours since 1970.
pub(crate) fn hour_of(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(Timestamp::HOUR)
}

/// Hour of the week from Monday 0 h UTC.
pub(crate) fn hour_of_week(hour: i64) -> usize {
    // 1970-01-01 was a Thursday.
    (hour + 3 * 24).rem_euclid(168) as usize
}

/// More in an hour is a damaged value.
const MOST: f64 = 1e15;

/// One series on a grid. Rows of one hour are added up; what is negative or beyond all bounds is
/// unknown.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) observed: Vec<Steps>,
    /// The hour of each row.
    pub(crate) rows: Vec<usize>,
}

impl Series {
    pub(crate) fn new(config: &IncidentConfig, frame: FrameView<'_>, grid: Grid) -> Result<Self, IncidentError> {
        let rows: Vec<usize> = frame.time().iter().map(|t| grid.position(*t)).collect();
        let mut observed = vec![[f64::NAN; 4]; grid.hours];
        for (step, column) in config.columns().into_iter().enumerate() {
            let Some(column) = column else { continue };
            for (row, &value) in frame.column(column)?.iter().enumerate() {
                let sum = &mut observed[rows[row]][step];
                if (0.0..=MOST).contains(&value) {
                    *sum = if sum.is_nan() { value } else { *sum + value };
                }
            }
        }
        Ok(Self { observed, rows })
    }

    /// Hours with visits counted, be it zero.
    pub(crate) fn known_hours(&self) -> usize {
        self.observed.iter().filter(|o| !o[TRAFFIC].is_nan()).count()
    }
}
