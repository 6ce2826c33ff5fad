//! The level of each step, hour by hour: a Kalman filter on its logarithm.
//!
//! Each step's level wanders around the profile's; the gain follows from how much an hour of this
//! series says, so that a big brand's level is followed within a day and a small one's over weeks.
//! Hours that are probably part of an incident hardly count.

use serde::{Deserialize, Serialize};

use crate::{
    grid::{COUNTS, PURCHASES, REVENUE, Steps, TRAFFIC, is_positive},
    noise::{Noise, reach_above, variance},
};

/// Half of a deviation of the level is gone after this many days, in time constants.
const MEMORY_DAYS: f64 = 30.0;
/// Residuals count at most this many standard deviations.
const CLIP: f64 = 2.5;
/// The price moves this much less than counts do.
const PRICE_SHARE: f64 = 0.2;

/// Logarithms of the levels relative to the profile, and their variances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) log: Steps,
    pub(crate) variance: Steps,
}

/// How levels move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// Variance that an hour adds.
    hourly: Steps,
    /// Share of a deviation that is left after an hour.
    decay: f64,
}

impl Drift {
    /// The level stays.
    pub(crate) const NONE: Self = Self { hourly: [0.0; 4], decay: 1.0 };

    pub(crate) fn new(sd_per_day: f64) -> Self {
        let mut hourly = [sd_per_day * sd_per_day / 24.0; 4];
        hourly[REVENUE] *= PRICE_SHARE * PRICE_SHARE;
        Self { hourly, decay: (-1.0 / (24.0 * MEMORY_DAYS)).exp() }
    }

    /// A level of which only `log` is known: as uncertain as levels are in the long run.
    pub(crate) fn around(&self, log: Steps) -> Level {
        let forgotten = 1.0 - self.decay * self.decay;
        Level { log, variance: self.hourly.map(|h| if forgotten > 0.0 { h / forgotten } else { 0.0 }) }
    }
}

impl Level {
    /// Whether it may come from a filter; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.log.iter().all(|v| v.abs() < 20.0) && self.variance.iter().all(|v| (0.0..100.0).contains(v))
    }

    /// An hour passes.
    pub(crate) fn predict(&mut self, drift: &Drift) {
        for step in 0..4 {
            self.log[step] *= drift.decay;
            self.variance[step] = self.variance[step] * drift.decay * drift.decay + drift.hourly[step];
        }
    }

    /// Learns from the counts `y` of an hour in which `expected` was expected at this level (carts
    /// and purchases at the traffic as observed), with `weight` 1 for a normal hour and 0 for one
    /// that says nothing.
    pub(crate) fn update(&mut self, noise: &Noise, y: &Steps, expected: &Steps, weight: f64) {
        for step in 0..4 {
            let Some((residual, precision, above)) = standardize(noise, step, y, expected) else { continue };
            let information = weight * precision * precision;
            let gain = self.variance[step] / (1.0 + self.variance[step] * information);
            self.log[step] += gain * weight * precision * residual.clamp(-CLIP, above);
            self.variance[step] = gain;
        }
    }

    /// Makes another level the normal one.
    pub(crate) fn rebase(&mut self, factors: &Steps) {
        for (log, factor) in self.log.iter_mut().zip(factors) {
            *log += factor.ln();
        }
    }
}

/// Standardized residual of a step, how many standard deviations a relative change of one is, and
/// the residual from which on a count is drawn in.
fn standardize(noise: &Noise, step: usize, y: &Steps, expected: &Steps) -> Option<(f64, f64, f64)> {
    if step < COUNTS {
        let mean = expected[step];
        if y[step].is_nan() || !is_positive(mean) {
            return None;
        }
        let open = if step == TRAFFIC { 0.0 } else { noise.traffic_uncertainty(y[TRAFFIC]) };
        let sd = variance(mean, noise.dispersion[step], noise.relative[step] + open).sqrt();
        let above = reach_above(mean, sd, noise.dispersion[step], CLIP) / sd;
        return Some(((y[step] - mean) / sd, mean / sd, above));
    }
    let revenue = y[PURCHASES] * expected[REVENUE];
    let precision = (y[PURCHASES] / noise.price).sqrt();
    (revenue > 0.0 && !y[REVENUE].is_nan()).then(|| ((y[REVENUE] / revenue - 1.0) * precision, precision, CLIP))
}
