//! The price of an incident: expected minus observed revenue, with a predictive interval.

use crate::{
    grid::{PURCHASES, REVENUE},
    name::Stretch,
    windows::{LENGTHS, noise::Noise},
};

/// Standard deviations of a normal distribution that hold 90 %.
const NORMAL_90: f64 = 1.645;

/// The loss and the range that holds it with a probability of 90 %.
pub(crate) fn of(stretch: &Stretch, noise: &Noise) -> (f64, (f64, f64)) {
    let Stretch { observed, expected, hours, .. } = stretch;
    let loss = expected[REVENUE] - observed[REVENUE];
    let length = LENGTHS.iter().rposition(|l| l <= hours).unwrap_or(0);
    let purchases = expected[PURCHASES].max(0.3);
    let relative: f64 =
        [PURCHASES, REVENUE].map(|step| noise.dispersion[step] / purchases + noise.relative[step][length]).iter().sum();
    let sd = expected[REVENUE] * relative.sqrt();
    (loss, (loss - NORMAL_90 * sd, loss + NORMAL_90 * sd))
}
