//! The fit of the structure: levels, week, own deviations and calendar in turn.

use rayon::prelude::*;

use super::{Common, Known, Place, Shape, effects, exposure, jump, lag, level, robust};
use crate::{
    calendar::Calendar,
    grid::{CARTS, Grid, PURCHASES, REVENUE, STEPS, TRAFFIC},
    series::Series,
};

/// Standard deviations of the level's kernel in each sweep over all parts, hours. The first levels
/// hardly move, so that what lasts for days stands out and loses its weight before they do.
const SWEEPS: [f64; 4] = [480.0, 240.0, 120.0, level::KERNEL_SD];
/// Revenue per purchase counts up to this many times the unit: a few very large orders are no level.
const WINSOR: f64 = 4.0;

/// The sweep before which lasting changes are looked for: the week is known by then.
const JUMP_SWEEP: usize = 1;

/// A panel to fit.
pub(crate) struct Input<'a> {
    pub(crate) known: Known,
    pub(crate) grid: Grid,
    pub(crate) cells: &'a [u8],
    pub(crate) calendar: &'a Calendar,
    pub(crate) names: &'a [&'a str],
    pub(crate) series: &'a [Series],
    /// Per series, 0 for hours that are left out and 1 for others.
    pub(crate) mask: &'a [Vec<f64>],
    /// Hours for which a lasting change is news.
    pub(crate) news_hours: usize,
}

/// The fitted structure and what it expects per series, step and hour.
pub(crate) struct Fitted {
    pub(crate) common: Common,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) expected: Vec<[Vec<f64>; STEPS]>,
}

/// A series within a sweep.
struct State {
    shape: Shape,
    expected: [Vec<f64>; STEPS],
    /// Weights per step and hour: observed, not masked, not far off.
    weight: [Vec<f64>; STEPS],
}

pub(crate) fn fit(input: &Input<'_>) -> Fitted {
    let mut common = Common::flat(input.calendar);
    if input.known[PURCHASES] {
        common.lag = fit_lag(input);
    }
    let mut states: Vec<State> = input.series.par_iter().zip(input.mask).map(|(s, m)| start(input, s, m)).collect();
    for (sweep, sd) in SWEEPS.into_iter().enumerate() {
        let levels = |(index, state): (usize, &mut State)| {
            if sweep == JUMP_SWEEP {
                find_jumps(input, &common, index, state);
            }
            set_levels(input, &common, index, state, sd);
            if sweep > 0 {
                reweigh(input, index, state);
            }
        };
        states.par_iter_mut().enumerate().for_each(levels);
        for step in (0..STEPS).filter(|&step| input.known[step]) {
            let sums = |(index, state): (usize, &State)| {
                let place = input.place(index);
                let value = winsorized(input.known, &input.series[index], state.shape.unit, step);
                effects::Sums::of(&place, &value, &state.expected[step], &state.weight[step])
            };
            let mut sums: Vec<effects::Sums> = states.par_iter().enumerate().map(sums).collect();
            effects::update_week(&mut common, &mut sums, step);
            let mut shapes: Vec<&mut Shape> = states.iter_mut().map(|state| &mut state.shape).collect();
            effects::update_own(&mut shapes, &sums, step);
            effects::update_calendar(&mut common, &mut shapes, input, &sums, step);
        }
    }
    states
        .par_iter_mut()
        .enumerate()
        .for_each(|(index, state)| set_levels(input, &common, index, state, level::KERNEL_SD));
    let (mut shapes, mut expected) = (Vec::new(), Vec::new());
    for (index, mut state) in states.into_iter().enumerate() {
        state.shape.tail_factor = tail_factor(&input.series[index], &state);
        let follows = !input.known[PURCHASES];
        jump::expect_news(&mut state.expected, &state.shape.jumps, input.grid.start, input.news_hours, follows);
        shapes.push(state.shape);
        expected.push(state.expected);
    }
    Fitted { common, shapes, expected }
}

impl Input<'_> {
    pub(crate) fn place(&self, index: usize) -> Place<'_> {
        Place { grid: self.grid, cells: self.cells, calendar: self.calendar, name: self.names[index] }
    }
}

fn start(input: &Input<'_>, series: &Series, mask: &[f64]) -> State {
    let unit = if input.known[PURCHASES] { median_price(series) } else { 1.0 };
    let weight = std::array::from_fn(|step| series.seen[step].iter().zip(mask).map(|(s, m)| s * m).collect());
    let hours = input.grid.hours;
    State { shape: Shape::flat(unit, input.grid), expected: std::array::from_fn(|_| vec![0.0; hours]), weight }
}

/// The median over hours of the revenue of a purchase: a few orders at a hundred times the price move a mean.
fn median_price(series: &Series) -> f64 {
    let hours = series.value[REVENUE].iter().zip(&series.value[PURCHASES]);
    let mut prices: Vec<f64> = hours.filter(|(r, p)| **p > 0.0 && **r > 0.0).map(|(r, p)| r / p).collect();
    if prices.is_empty() {
        return 1.0;
    }
    let middle = prices.len() / 2;
    prices.select_nth_unstable_by(middle, f64::total_cmp).1.clamp(1e-12, 1e15)
}

/// Revenue over what is expected of winsorized revenue, in hours without anything unusual.
fn tail_factor(series: &Series, state: &State) -> f64 {
    let unit = state.shape.unit;
    let hours = series.value[REVENUE].iter().zip(&state.expected[REVENUE]).zip(&state.weight[REVENUE]);
    let usual = hours.filter(|(_, weight)| **weight > 0.5);
    let (x, m) = usual.fold((1.0, 1.0), |sums, ((x, m), _)| (sums.0 + x / unit, sums.1 + m));
    (x / m).clamp(0.8, 1.5)
}

/// Values of a step in the unit in which they are fitted.
pub(crate) fn winsorized(known: Known, series: &Series, unit: f64, step: usize) -> Vec<f64> {
    if step != REVENUE {
        return series.value[step].clone();
    }
    let values = series.value[REVENUE].iter().zip(&series.value[PURCHASES]);
    if known[PURCHASES] {
        // An order in an hour without any counted purchase has no price.
        values.map(|(r, p)| (r / unit).min(WINSOR * p)).collect()
    } else {
        values.map(|(r, _)| r / unit).collect()
    }
}

fn set_levels(input: &Input<'_>, common: &Common, index: usize, state: &mut State, sd: f64) {
    let (series, place) = (&input.series[index], input.place(index));
    for step in (0..STEPS).filter(|&step| input.known[step]) {
        let mut base = state.shape.factors(common, &place, step);
        let exposure = exposure(input.known, common, series, &state.expected, step);
        base.iter_mut().zip(exposure).for_each(|(b, e)| *b *= e);
        let value = winsorized(input.known, series, state.shape.unit, step);
        let weight = &state.weight[step];
        let jumps = &state.shape.jumps[step];
        let jumped = |hour: usize| jump::level(jumps, input.grid.start + hour as i64);
        let mut with_jumps = base.clone();
        if !jumps.is_empty() {
            with_jumps.iter_mut().enumerate().for_each(|(hour, b)| *b *= jumped(hour).exp());
        }
        let start = level::mean(&value, &with_jumps, weight);
        let knots = level::smooth(&value, &with_jumps, weight, start, sd);
        // As a scan puts them together, so that both expect the same to the last bit.
        base.iter_mut().enumerate().for_each(|(hour, b)| *b *= (level::between(&knots, hour) + jumped(hour)).exp());
        state.expected[step] = base;
        state.shape.start[step] = start;
        state.shape.knots[step] = knots;
    }
}

/// Lasting changes of each step against expected values that have no level yet.
fn find_jumps(input: &Input<'_>, common: &Common, index: usize, state: &mut State) {
    let (series, place) = (&input.series[index], input.place(index));
    for step in (0..STEPS).filter(|&step| input.known[step]) {
        let mut base = state.shape.factors(common, &place, step);
        // Rates are taken against the step before as it was observed: its change is not theirs.
        let exposure = exposure(input.known, common, series, &series.value, step);
        base.iter_mut().zip(exposure).for_each(|(b, e)| *b *= e * state.shape.start[step].exp());
        let value = winsorized(input.known, series, state.shape.unit, step);
        state.shape.jumps[step] = jump::find(&value, &base, &series.seen[step], input.grid.start);
    }
}

/// Robust weights from the residuals of whole days.
fn reweigh(input: &Input<'_>, index: usize, state: &mut State) {
    let series = &input.series[index];
    for step in (0..STEPS).filter(|&step| input.known[step]) {
        let value = winsorized(input.known, series, state.shape.unit, step);
        let allowed: Vec<f64> = series.seen[step].iter().zip(&input.mask[index]).map(|(s, m)| s * m).collect();
        let residuals = robust::residuals(&value, &state.expected[step], &allowed);
        let spread = robust::spread(&residuals, &allowed);
        let weights = residuals.iter().zip(&allowed).map(|(r, a)| a * robust::weight(*r, spread));
        state.weight[step] = weights.collect();
    }
}

fn fit_lag(input: &Input<'_>) -> lag::Lag {
    let cause = if input.known[CARTS] { CARTS } else { TRAFFIC };
    let of = |s: &Series| lag::Equations::of(&s.value[cause], &s.value[PURCHASES], &s.seen[PURCHASES]);
    let all: Vec<lag::Equations> = input.series.par_iter().map(of).collect();
    let mut sum = lag::Equations::default();
    for equations in &all {
        sum.add(equations);
    }
    lag::Lag::solve(&sum)
}
