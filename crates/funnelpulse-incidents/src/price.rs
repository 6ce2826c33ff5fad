//! The price of an incident: expected minus observed revenue, with a predictive interval.

use crate::{
    grid::{PURCHASES, REVENUE},
    name::Stretch,
    windows::{LENGTHS, noise::Noise},
};

/// Standard deviations on either side that hold 90 % of a t distribution with four degrees of freedom: revenue
/// has heavy tails, and the variance itself is estimated.
const REACH: f64 = 2.132;

/// Relative standard deviation of what is expected by one model of normal operation or another: another
/// level, profile or price.
const MODEL_CHOICE: f64 = 0.2;

/// Fewer purchases than this are taken for so many: none observed is not none possible.
const FEWEST: f64 = 0.5;

/// The loss and the range that holds it with a probability of 90 %.
pub(crate) fn of(stretch: &Stretch, noise: &Noise) -> (f64, (f64, f64)) {
    let Stretch { observed, expected, hours, .. } = stretch;
    let loss = expected[REVENUE] - observed[REVENUE];
    let length = LENGTHS.iter().rposition(|l| l <= hours).unwrap_or(0);
    // The expected value is off by what rates and levels wander; the observed one by its counts.
    let wandering: f64 = [PURCHASES, REVENUE].iter().map(|&step| noise.relative[step][length]).sum();
    let dispersion = noise.dispersion[PURCHASES] + noise.dispersion[REVENUE];
    let purchases = observed[PURCHASES].max(FEWEST);
    let brought = observed[REVENUE].max(expected[REVENUE] * FEWEST / (FEWEST + expected[PURCHASES]));
    let counted = brought * (dispersion / purchases).sqrt();
    let due = expected[REVENUE] * (wandering + MODEL_CHOICE * MODEL_CHOICE).sqrt();
    let sd = due.hypot(counted);
    (loss, (loss - REACH * sd, loss + REACH * sd))
}
