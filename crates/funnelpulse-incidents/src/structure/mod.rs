//! Expected values: exposure x exp(level + weekly profile + calendar).
//!
//! Views have an exposure of one; carts are expected per expected view, purchases per expected cart
//! some hours before, and revenue per observed purchase. Each step has a level that wanders (a
//! kernel mean), a weekly profile in local time that all series share, its own deviation from it,
//! and the effects of calendar entries. All are fitted in turn, four times.

pub(crate) mod drift;
pub(crate) mod effects;
pub(crate) mod entries;
pub(crate) mod jump;
pub(crate) mod lag;
pub(crate) mod level;
pub(crate) mod robust;
pub(crate) mod sweep;

use serde::{Deserialize, Serialize};

use crate::{
    calendar::Calendar,
    clock::{DAY_TYPES, WEEK, day_type},
    grid::{CARTS, DAY, Grid, PURCHASES, REVENUE, STEPS, TRAFFIC},
    series::Series,
    structure::{jump::Jump, lag::Lag},
};

/// What all series share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Log factors per step and hour of the local week.
    pub(crate) week: [Vec<f64>; STEPS],
    pub(crate) lag: Lag,
    /// Log effect per kind of calendar entry and step.
    pub(crate) kinds: Vec<[f64; STEPS]>,
    /// Log effect per calendar entry and step.
    pub(crate) entries: Vec<[f64; STEPS]>,
}

/// What is particular to a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Log deviations from the common week per step and hour of a working day or the weekend.
    pub(crate) own: [Vec<f64>; STEPS],
    /// Mean log level per step.
    pub(crate) start: [f64; STEPS],
    /// The mean revenue of a purchase: revenue is counted in this unit.
    pub(crate) unit: f64,
    /// Mean revenue relative to its expectation of winsorized values: heavy tails are part of a mean.
    pub(crate) tail_factor: f64,
    /// The first day of the levels, counted from 1970.
    pub(crate) first_day: i64,
    /// Log levels at the start of each day and at the end of the last.
    pub(crate) knots: [Vec<f64>; STEPS],
    /// Lasting changes of each step, in order; they come on top of the knots.
    pub(crate) jumps: [Vec<Jump>; STEPS],
    /// Log deviations from the effects of calendar entries.
    pub(crate) calendar: Vec<(u32, [f64; STEPS])>,
}

/// Which steps a table has.
pub(crate) type Known = [bool; STEPS];

impl Common {
    /// Nothing but a flat week.
    pub(crate) fn flat(calendar: &Calendar) -> Self {
        Self {
            week: std::array::from_fn(|_| vec![0.0; WEEK]),
            lag: Lag::NONE,
            kinds: vec![[0.0; STEPS]; calendar.kinds],
            entries: vec![[0.0; STEPS]; calendar.entries.len()],
        }
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self, calendar: &Calendar) -> bool {
        self.week.iter().all(|week| week.len() == WEEK && week.iter().copied().all(bounded))
            && self.lag.is_valid()
            && self.kinds.len() == calendar.kinds
            && self.entries.len() == calendar.entries.len()
            && self.kinds.iter().chain(&self.entries).flatten().copied().all(bounded)
    }
}

fn bounded(log: f64) -> bool {
    log.abs() <= 2.0 * level::BOUND
}

impl Shape {
    /// A series of which nothing is known yet.
    pub(crate) fn flat(unit: f64, grid: Grid) -> Self {
        Self {
            own: std::array::from_fn(|_| vec![0.0; DAY_TYPES]),
            start: [0.0; STEPS],
            unit,
            tail_factor: 1.0,
            first_day: grid.start / DAY as i64,
            knots: std::array::from_fn(|_| vec![0.0; grid.hours.div_ceil(DAY) + 1]),
            jumps: Default::default(),
            calendar: Vec::new(),
        }
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self, entries: usize) -> bool {
        let days = self.knots[0].len();
        self.own.iter().all(|own| own.len() == DAY_TYPES && own.iter().copied().all(bounded))
            && self.start.iter().copied().all(bounded)
            && (1e-12..=1e15).contains(&self.unit)
            && (0.1..=10.0).contains(&self.tail_factor)
            && self.first_day.abs() < 1 << 36
            && days >= 2
            && self.knots.iter().all(|knots| knots.len() == days && knots.iter().copied().all(bounded))
            && self.jumps.iter().flatten().all(Jump::is_valid)
            && self.jumps.iter().map(Vec::len).sum::<usize>() < 10_000
            && self.calendar.iter().all(|(entry, own)| (*entry as usize) < entries && own.iter().copied().all(bounded))
    }

    /// Days that its levels cover, counted from 1970, end exclusive.
    pub(crate) fn days(&self) -> std::ops::Range<i64> {
        self.first_day..self.first_day + self.knots[0].len() as i64 - 1
    }

    /// Factors of profile and calendar per hour for one step.
    pub(crate) fn factors(&self, common: &Common, place: &Place<'_>, step: usize) -> Vec<f64> {
        let week: Vec<f64> =
            (0..WEEK).map(|cell| (common.week[step][cell] + self.own[step][day_type(cell as u8)]).exp()).collect();
        let mut factors: Vec<f64> = place.cells.iter().map(|&cell| week[usize::from(cell)]).collect();
        let mut own = self.calendar.iter().peekable();
        for (index, entry) in place.calendar.entries.iter().enumerate() {
            while own.next_if(|(at, _)| (*at as usize) < index).is_some() {}
            let hours = entry.within(place.grid);
            if hours.is_empty() || !entry.concerns(place.name) {
                continue;
            }
            let deviation = own.peek().filter(|(at, _)| *at as usize == index).map_or(0.0, |(_, own)| own[step]);
            let factor = (common.entries[index][step] + deviation).exp();
            factors[hours].iter_mut().for_each(|f| *f *= factor);
        }
        factors
    }
}

/// Where and when a series is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) grid: Grid,
    pub(crate) cells: &'a [u8],
    pub(crate) calendar: &'a Calendar,
    pub(crate) name: &'a str,
}

/// The exposure of a step, given the expected values of the steps before it.
pub(crate) fn exposure(
    known: Known,
    common: &Common,
    series: &Series,
    expected: &[Vec<f64>; STEPS],
    step: usize,
) -> Vec<f64> {
    match step {
        CARTS => expected[TRAFFIC].clone(),
        PURCHASES if known[CARTS] => common.lag.spread(&expected[CARTS]),
        PURCHASES => common.lag.spread(&expected[TRAFFIC]),
        REVENUE if known[PURCHASES] => series.value[PURCHASES].clone(),
        REVENUE => expected[if known[CARTS] { CARTS } else { TRAFFIC }].clone(),
        _ => vec![1.0; series.value[step].len()],
    }
}
