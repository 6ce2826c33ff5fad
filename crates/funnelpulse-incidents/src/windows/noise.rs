//! Noise of sums: variance `dispersion * m + relative * m^2` around a mean of `m`.
//!
//! The dispersion (baskets, visits of several views) holds for windows of any length. The relative
//! variance (wandering rates, what the level leaves) is estimated for each length.

use serde::{Deserialize, Serialize};

use super::{LENGTHS, Track};
use crate::grid::{DAY, LANES, REVENUE};

/// Least dispersion of counts; Poisson counts have 1.
const LEAST_DISPERSION: f64 = 0.8;
/// Least dispersion of revenue in units of a purchase: prices may hardly differ.
const LEAST_REVENUE: f64 = 0.02;
const MOST_DISPERSION: f64 = 1e4;
/// Bounds of the relative variance.
const RELATIVE: (f64, f64) = (1e-5, 4.0);
/// Residuals beyond this many standard deviations are drawn in.
const CLIP: f64 = 3.0;
/// Independent windows at which a series' own estimate counts as much as the median of all.
const SHRINKAGE: f64 = 10.0;
const ROUNDS: usize = 4;

/// The noise of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noise {
    pub(crate) dispersion: [f64; LANES],
    /// Relative variance per step and window length.
    pub(crate) relative: [Vec<f64>; LANES],
}

impl Noise {
    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let relative_is_valid = |v: &f64| (RELATIVE.0..=RELATIVE.1).contains(v);
        self.dispersion.iter().all(|v| (LEAST_REVENUE..=MOST_DISPERSION).contains(v))
            && self.relative.iter().all(|r| r.len() == LENGTHS.len() && r.iter().all(relative_is_valid))
    }

    /// The relative variance of a day's sum.
    pub(crate) fn relative_of_day(&self, step: usize) -> f64 {
        let day = LENGTHS.iter().position(|&length| length == DAY).unwrap_or(LENGTHS.len() - 1);
        self.relative[step][day]
    }

    /// Estimates one series from windows without masked hours.
    pub(crate) fn fit(track: &Track) -> Self {
        let mut noise = Self { dispersion: [1.0; LANES], relative: std::array::from_fn(|_| vec![0.05; LENGTHS.len()]) };
        for step in 0..LANES {
            let (dispersion, relative) = hourly(track, step);
            noise.dispersion[step] = dispersion;
            noise.relative[step][0] = relative;
            for (index, &length) in LENGTHS.iter().enumerate().skip(1) {
                let start = noise.relative[step][index - 1];
                noise.relative[step][index] = of_length(track, step, length, dispersion, start);
            }
        }
        noise
    }

    /// Draws the relative variances of all series towards their median: short series know little.
    pub(crate) fn shrink(all: &mut [Self], hours: &[usize]) {
        for step in 0..LANES {
            for (index, length) in LENGTHS.into_iter().enumerate() {
                let mut values: Vec<f64> = all.iter().map(|noise| noise.relative[step][index]).collect();
                let middle = values.len() / 2;
                let median = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
                for (noise, hours) in all.iter_mut().zip(hours) {
                    let windows = *hours as f64 / length as f64;
                    let own = &mut noise.relative[step][index];
                    let shrunk = (windows * *own + SHRINKAGE * median) / (windows + SHRINKAGE);
                    *own = shrunk.clamp(RELATIVE.0, RELATIVE.1);
                }
            }
        }
    }
}

/// Observed and expected sums of unmasked windows; windows of a length overlap by two thirds.
fn windows(track: &Track, step: usize, length: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
    let starts = (0..(track.hours + 1).saturating_sub(length)).step_by((length / 3).max(1));
    starts.filter_map(move |from| {
        let usable = track.is_observed(step, from, from + length) && track.is_calm(from, from + length);
        usable.then(|| track.sums(step, from, from + length)).filter(|(_, m)| *m > 0.0)
    })
}

/// Squared residual, clipped, and the weight of its square in a regression on the mean.
fn clipped((x, m): (f64, f64), dispersion: f64, relative: f64) -> (f64, f64) {
    let variance = dispersion * m + relative * m * m;
    // Few counts are skew: one count is never far above a small mean.
    let reach = (CLIP * CLIP * variance).max((CLIP * dispersion).powi(2));
    ((x - m).powi(2).min(reach), 1.0 / (variance * variance).max(1e-12))
}

/// Dispersion and relative variance of single hours, by weighted least squares of squared residuals.
fn hourly(track: &Track, step: usize) -> (f64, f64) {
    let least = if step >= REVENUE { LEAST_REVENUE } else { LEAST_DISPERSION };
    let sums: Vec<(f64, f64)> = windows(track, step, 1).collect();
    let (mut dispersion, mut relative) = (1.2, 0.1);
    for _ in 0..ROUNDS {
        let (mut aa, mut ab, mut bb, mut ay, mut by) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(x, m) in &sums {
            let (squared, weight) = clipped((x, m), dispersion, relative);
            aa += weight * m * m;
            ab += weight * m * m * m;
            bb += weight * m * m * m * m;
            ay += weight * m * squared;
            by += weight * m * m * squared;
        }
        let determinant = aa * bb - ab * ab;
        let free = (ay * bb - ab * by) / determinant;
        if determinant > 1e-9 * aa * bb && free.is_finite() {
            dispersion = free.clamp(least, MOST_DISPERSION);
        }
        relative = bounded((by - ab * dispersion) / bb, relative);
        // Where the two cannot both be had, the dispersion takes what is left.
        if relative <= RELATIVE.0 && aa > 0.0 {
            dispersion = (ay / aa).clamp(least, MOST_DISPERSION);
        }
    }
    (dispersion, relative)
}

fn of_length(track: &Track, step: usize, length: usize, dispersion: f64, start: f64) -> f64 {
    let sums: Vec<(f64, f64)> = windows(track, step, length).collect();
    let mut relative = start;
    for _ in 0..ROUNDS {
        let (mut top, mut bottom) = (0.0, 0.0);
        for &(x, m) in &sums {
            let (squared, weight) = clipped((x, m), dispersion, relative);
            top += weight * m * m * (squared - dispersion * m);
            bottom += weight * m * m * m * m;
        }
        relative = bounded(top / bottom, start);
    }
    relative
}

fn bounded(relative: f64, otherwise: f64) -> f64 {
    if relative.is_finite() { relative.clamp(RELATIVE.0, RELATIVE.1) } else { otherwise }
}
