//! One series on a grid of hours.

use funnelpulse_core::{Frame, FrameView};

use crate::{
    IncidentConfig, IncidentError,
    clock::{DAY_TYPES, day_type},
    grid::{Grid, STEPS, TRAFFIC},
};

/// More in an hour is a damaged value.
const MOST: f64 = 1e15;
/// A missing row stands for zeros where fewer views than this are expected; Poisson counts of mean
/// 5 are zero in 0.7 % of the hours.
const QUIET_VIEWS: f64 = 5.0;
/// Hours over which recent views are averaged to say what is expected of a missing row.
const RECENT: usize = 168;
/// Hours without a row after which a series is taken as paused: nothing is observed any more.
const PAUSE: usize = 72;

/// One series on a grid. Rows of one hour are added up; what is negative or beyond all bounds is
/// unknown.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Values per step and hour, 0 where there is none.
    pub(crate) value: [Vec<f64>; STEPS],
    /// 1 where a step was observed in an hour, else 0: a weight in sums.
    pub(crate) seen: [Vec<f64>; STEPS],
    /// The hour of each row.
    pub(crate) rows: Vec<usize>,
}

impl Series {
    /// Reads a frame; hours without a row are unobserved until [`fill_quiet_hours`](Self::fill_quiet_hours).
    pub(crate) fn new(config: &IncidentConfig, frame: FrameView<'_>, grid: Grid) -> Result<Self, IncidentError> {
        let rows: Vec<usize> = frame.time().iter().map(|t| grid.position(*t)).collect();
        let mut series = Self {
            value: std::array::from_fn(|_| vec![0.0; grid.hours]),
            seen: std::array::from_fn(|_| vec![0.0; grid.hours]),
            rows,
        };
        for (step, column) in config.columns().into_iter().enumerate() {
            let Some(column) = column else { continue };
            for (row, &value) in frame.column(column)?.iter().enumerate() {
                if (0.0..=MOST).contains(&value) {
                    let hour = series.rows[row];
                    series.value[step][hour] += value;
                    series.seen[step][hour] = 1.0;
                }
            }
        }
        Ok(series)
    }

    /// The values from an hour on, without rows.
    pub(crate) fn values_from(&self, hour: usize) -> Self {
        let from = |all: &[Vec<f64>; STEPS]| all.each_ref().map(|all| all[hour..].to_vec());
        Self { value: from(&self.value), seen: from(&self.seen), rows: Vec::new() }
    }

    /// Hours with visits counted, be it zero.
    pub(crate) fn known_hours(&self) -> usize {
        self.seen[TRAFFIC].iter().filter(|seen| **seen > 0.0).count()
    }

    /// Values of every hour, NaN where there is none.
    pub(crate) fn observed(&self) -> Vec<[f64; STEPS]> {
        let value = |step: usize, hour: usize| {
            if self.seen[step][hour] > 0.0 { self.value[step][hour] } else { f64::NAN }
        };
        (0..self.value[0].len()).map(|hour| std::array::from_fn(|step| value(step, hour))).collect()
    }

    /// Takes missing rows as zeros where hardly any views are expected. `feed` says in which hours
    /// any series has a row: no row at all is a gap of the feed, not a zero. Only earlier hours
    /// decide, so later rows never change it.
    pub(crate) fn fill_quiet_hours(&mut self, config: &IncidentConfig, feed: &[bool], cells: &[u8], day: &DayShape) {
        let known = config.columns().map(|column| column.is_some());
        let mut has_row = vec![false; feed.len()];
        self.rows.iter().for_each(|&hour| has_row[hour] = true);
        let (mut views, mut shape) = (0.0, 0.0);
        let mut last_row = None;
        let mut counted = vec![false; feed.len()];
        for hour in 0..feed.len() {
            if hour >= RECENT && counted[hour - RECENT] {
                views -= self.value[TRAFFIC][hour - RECENT];
                shape -= day.at(cells[hour - RECENT]);
            }
            if has_row[hour] {
                last_row = Some(hour);
            }
            let alive = last_row.is_some_and(|last| hour - last <= PAUSE);
            let expected = if shape > 0.0 { views / shape * day.at(cells[hour]) } else { f64::INFINITY };
            let is_quiet = alive && !has_row[hour] && feed[hour] && expected < QUIET_VIEWS;
            if is_quiet {
                for step in (0..STEPS).filter(|&step| known[step]) {
                    self.seen[step][hour] = 1.0;
                }
            }
            counted[hour] = alive && feed[hour];
            if counted[hour] {
                views += self.value[TRAFFIC][hour];
                shape += day.at(cells[hour]);
            }
        }
    }
}

/// In which hours any series has a row.
pub(crate) fn feed(series: &[Series], hours: usize) -> Vec<bool> {
    let mut feed = vec![false; hours];
    series.iter().flat_map(|s| &s.rows).for_each(|&hour| feed[hour] = true);
    feed
}

/// The day of all series together: a first guess that only decides which missing rows are zeros.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct DayShape(Vec<f64>);

impl DayShape {
    /// Mean views per hour of the day, relative to the mean of all hours.
    pub(crate) fn new(series: &[Series], feed: &[bool], cells: &[u8]) -> Self {
        let mut sums = vec![(1e-9, 1e-9); DAY_TYPES];
        for (hour, _) in feed.iter().enumerate().filter(|(_, has_row)| **has_row) {
            let sum = &mut sums[day_type(cells[hour])];
            sum.0 += series.iter().map(|s| s.value[TRAFFIC][hour]).sum::<f64>();
            sum.1 += 1.0;
        }
        let total = sums.iter().fold((0.0, 0.0), |t, s| (t.0 + s.0, t.1 + s.1));
        let mean = total.0 / total.1;
        Self(sums.iter().map(|s| (s.0 / s.1 / mean).clamp(0.01, 100.0)).collect())
    }

    fn at(&self, cell: u8) -> f64 {
        self.0[day_type(cell)]
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.len() == DAY_TYPES && self.0.iter().all(|v| (0.009..=101.0).contains(v))
    }
}

/// The frames of a panel on a grid.
pub(crate) fn read(config: &IncidentConfig, frames: &[&Frame], grid: Grid) -> Result<Vec<Series>, IncidentError> {
    frames.iter().map(|frame| Series::new(config, frame.view(), grid)).collect()
}
