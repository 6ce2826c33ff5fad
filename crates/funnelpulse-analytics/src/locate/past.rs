//! The windows that a period is compared with.

use std::collections::BTreeSet;

use crate::Period;
use funnelpulse_core::Timestamp;
use funnelpulse_features::Cube;

use super::LocateError;

/// Of an earlier period at least this share must have been delivered by the feed.
const MIN_ALIVE: f64 = 0.5;
/// Weeks that must be known, or days are compared instead.
const MIN_WEEKS: usize = 2;
/// Longest history, days.
const MAX_DAYS: u32 = 3660;
/// Stretches just before a period that are compared where not even a day is known.
const MAX_STRETCHES: i64 = 8;

/// The windows of a period and of those before it, as far as the feed delivered data.
pub(super) struct Past {
    pub(super) now: Vec<Timestamp>,
    pub(super) before: Vec<Lag>,
}

/// An earlier period.
pub(super) struct Lag {
    /// Distance to the period, microseconds.
    back: i64,
    pub(super) windows: Vec<Timestamp>,
    /// Factor that scales its sums to the number of windows of the period.
    pub(super) scale: f64,
}

impl Past {
    pub(super) fn find(cube: &Cube, period: &Period, history_days: u32) -> Result<Self, LocateError> {
        let alive = |period: &Period| -> Vec<Timestamp> { cube.alive(period.start(), period.end()).collect() };
        let now = alive(period);
        let range = cube.range();
        if now.is_empty() {
            return Err(LocateError::NoEvents { period: *period, range });
        }
        let lag = |back: i64| {
            let windows = alive(&period.back(back));
            let share = windows.len() as f64 / now.len() as f64;
            (share >= MIN_ALIVE).then(|| Lag { back, windows, scale: 1.0 / share })
        };
        let lags = |stride: i64| -> Vec<Lag> { backs(stride, history_days).filter_map(lag).collect() };
        let mut before = lags(period.weeks_back());
        if before.len() < MIN_WEEKS {
            before = lags(up_to_whole(period, Timestamp::DAY));
        }
        if before.is_empty() {
            before = stretches(period, cube.step()).filter_map(lag).collect();
        }
        if before.is_empty() {
            return Err(LocateError::NoHistory { period: *period, range });
        }
        Ok(Self { now, before })
    }

    /// All windows that count.
    pub(super) fn windows(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.now.iter().chain(self.before.iter().flat_map(|lag| &lag.windows)).copied()
    }

    /// The earlier periods, the latest first.
    pub(super) fn periods(&self, period: &Period) -> Vec<Period> {
        self.before.iter().map(|lag| period.back(lag.back)).collect()
    }
}

/// The length of a period, up to whole units.
fn up_to_whole(period: &Period, unit: i64) -> i64 {
    let units = period.length() / unit + i64::from(period.length() % unit != 0);
    units.saturating_mul(unit)
}

/// Distances of the periods of the same length just before, microseconds.
fn stretches(period: &Period, step: i64) -> impl Iterator<Item = i64> + use<> {
    let stride = up_to_whole(period, step);
    (1..=MAX_STRETCHES).map_while(move |k| k.checked_mul(stride))
}

/// Distances of the earlier periods, as far as the history goes, microseconds.
fn backs(stride: i64, history_days: u32) -> impl Iterator<Item = i64> + use<> {
    let stride = stride.max(Timestamp::DAY);
    let history = i64::from(history_days.clamp(1, MAX_DAYS)).saturating_mul(Timestamp::DAY);
    // A period that is longer than the history is compared with the one before.
    (1..).map_while(move |k: i64| k.checked_mul(stride)).take_while(move |back| *back <= history.max(stride))
}

/// The starts of all windows that [`locate`](super::locate) looks at for these periods: what has to
/// be counted of a table of events. `step_seconds` is the length of a window; of periods of absurd
/// length the first million windows are given.
///
/// ```
/// use funnelpulse_analytics::{Period, windows_to_locate};
/// use funnelpulse_core::Timestamp;
///
/// let hour: Period = "2019-11-08 10:00..2019-11-08 11:00".parse()?;
/// let windows = windows_to_locate([hour], 3600, 1);
/// // The hour itself, the same hour a day and a week before, and the eight hours before it.
/// assert_eq!(windows.len(), 11);
/// assert!(windows.contains(&hour.start().offset(-7 * Timestamp::DAY)));
/// # Ok::<(), funnelpulse_analytics::PeriodError>(())
/// ```
pub fn windows_to_locate(
    periods: impl IntoIterator<Item = Period>,
    step_seconds: u64,
    history_days: u32,
) -> BTreeSet<Timestamp> {
    const MOST: usize = 1_000_000;
    let step = (step_seconds as i64).clamp(1, 366 * 86_400) * Timestamp::SECOND;
    let mut windows = BTreeSet::new();
    let mut add = |period: Period| {
        // The first window that starts in the period.
        let first = period.start().offset(step - 1).floor_to(step);
        let starts = (0..).map(|i: i64| first.offset(i.saturating_mul(step)));
        let room = MOST.saturating_sub(windows.len());
        windows.extend(starts.take_while(|start| period.contains(*start)).take(room));
    };
    for period in periods {
        add(period);
        let (weeks, days) = (period.weeks_back(), up_to_whole(&period, Timestamp::DAY));
        let far = backs(weeks, history_days).chain(backs(days, history_days));
        far.chain(stretches(&period, step)).for_each(|back| add(period.back(back)));
    }
    windows
}
