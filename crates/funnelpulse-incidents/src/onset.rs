//! The beginning of an incident: the hour from which its counts agree better with the change than with normal
//! operation. It is where the cumulative sum of log likelihood ratios turns (Page, Continuous inspection schemes, 1954).

use std::ops::Range;

use crate::{
    grid::{CARTS, PURCHASES, REVENUE, STEPS, TRAFFIC},
    incident::Row,
    windows::noise::Noise,
};

/// Hours before the first row of an incident in which it may have begun: windows are up to a third longer or shorter
/// than the change that they hold.
pub(crate) const REACH: usize = 12;
/// Changes of a step nearer to none than this (log scale), or than this many standard errors, are left out.
const LEAST_CHANGE: f64 = 0.1;
const ERRORS: f64 = 2.0;

/// A change of one step, given the step before it.
struct Change {
    step: usize,
    given: Option<usize>,
    /// Observed over expected, on a log scale.
    log: f64,
}

/// The position of the row in which the change began that the rows of `core` show; the first of `rows` at the
/// earliest. `unit` is the mean revenue of a purchase.
pub(crate) fn of(rows: &[Row], core: Range<usize>, noise: &Noise, unit: f64) -> Option<usize> {
    let changes = changes(&rows[core.clone()], noise, unit);
    if changes.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    let (mut best, mut onset) = (f64::NEG_INFINITY, None);
    for at in (0..core.end).rev() {
        sum += changes.iter().map(|change| change.likelihood_ratio(&rows[at], noise, unit)).sum::<f64>();
        if sum > best {
            (best, onset) = (sum, Some(at));
        }
    }
    onset
}

/// What the rows show of each step, where it is more than noise.
fn changes(rows: &[Row], noise: &Noise, unit: f64) -> Vec<Change> {
    let seen = |step: usize| rows.iter().any(|row| !row.observed[step].is_nan());
    let before = |step: usize| match step {
        TRAFFIC => None,
        PURCHASES if seen(CARTS) => Some(CARTS),
        CARTS | PURCHASES => seen(TRAFFIC).then_some(TRAFFIC),
        _ => seen(PURCHASES).then_some(PURCHASES),
    };
    let change = |step: usize| {
        let given = before(step);
        let (mut observed, mut expected) = (0.0, 0.0);
        for (y, m) in rows.iter().filter_map(|row| values(row, step, given, unit)) {
            observed += y;
            expected += m;
        }
        let dispersion = noise.dispersion[step];
        let few = 0.5 * dispersion;
        let log = ((observed + few) / (expected + few)).ln();
        let error = (dispersion / (observed.min(expected) + few)).sqrt();
        (log.abs() >= LEAST_CHANGE.max(ERRORS * error)).then_some(Change { step, given, log })
    };
    (0..STEPS).filter_map(change).collect()
}

/// Observed and expected of a step in an hour, given the step before it.
fn values(row: &Row, step: usize, given: Option<usize>, unit: f64) -> Option<(f64, f64)> {
    let scale = if step == REVENUE { unit } else { 1.0 };
    let (observed, mut expected) = (row.observed[step] / scale, row.expected[step] / scale);
    if let Some(given) = given {
        expected *= row.observed[given] / row.expected[given];
    }
    (observed.is_finite() && expected.is_finite()).then_some((observed, expected))
}

impl Change {
    /// Log likelihood of an hour under the change minus that without: Poisson, tempered by the dispersion.
    fn likelihood_ratio(&self, row: &Row, noise: &Noise, unit: f64) -> f64 {
        let Some((observed, expected)) = values(row, self.step, self.given, unit) else { return 0.0 };
        let dispersion = noise.dispersion[self.step] + noise.relative[self.step][0] * expected;
        (observed * self.log - expected * self.log.exp_m1()) / dispersion
    }
}
