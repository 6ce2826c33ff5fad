//! The site: the sum of all series as one more series.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    SITE,
    grid::{LANES, PURCHASES, REVENUE, STEPS, VALUE},
    structure::Known,
    windows::{
        Statistic, Track,
        again::Windows,
        clump::Clumps,
        evaluate::{self, Coefficients, Scope, Statistics, Watched},
        greedy::Found,
        learn::{self, Learnt},
        noise::Noise,
        value::{Hour, OrderValues},
    },
};

/// Hours of a series count in the sum up to this many standard deviations from what is expected: an incident of one
/// large series is none of the site.
const CLIP: f64 = 2.5;
/// A false incident of the site is one in every series: its height counts less by the logarithm of
/// their number over this slope of log rates.
const SLOPE: f64 = 2.5;

/// Hours of the longest window. What all series share for longer is how the shop is doing, and one series has too
/// few long windows to know how far they stray.
const LONGEST: usize = 12;

/// What is learnt of the sum of all series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SiteModel {
    pub(crate) noise: Noise,
    regressions: Coefficients,
    statistics: Statistics,
}

/// One series as a part of the sum.
pub(crate) struct Part<'a> {
    /// Values and expected values per step and hour, in the same unit, and weights of observation.
    pub(crate) value: &'a [Vec<f64>; STEPS],
    pub(crate) expected: &'a [Vec<f64>; STEPS],
    pub(crate) seen: &'a [Vec<f64>; STEPS],
    /// What a value is multiplied by: revenue is in units of a purchase.
    pub(crate) scale: [f64; STEPS],
    pub(crate) noise: &'a Noise,
}

/// Scales of the steps: revenue is counted in units of a purchase.
pub(crate) fn scale(unit: f64) -> [f64; STEPS] {
    [1.0, 1.0, 1.0, 1.0 / unit]
}

/// The sum of all series, hour by hour.
pub(crate) struct Sum {
    value: [Vec<f64>; LANES],
    expected: [Vec<f64>; LANES],
    seen: [Vec<f64>; LANES],
    /// Relative standard deviations of what is expected per step and hour; empty where it is known.
    uncertainty: Vec<Vec<f64>>,
}

impl Sum {
    /// Over some hours of the parts.
    pub(crate) fn new(known: Known, values: &OrderValues, parts: &[Part<'_>], hours: Range<usize>) -> Self {
        let zeros = || std::array::from_fn(|_| vec![0.0; hours.len()]);
        let mut sum = Self { value: zeros(), expected: zeros(), seen: zeros(), uncertainty: Vec::new() };
        for step in (0..STEPS).filter(|&step| known[step]) {
            let of_hour = |hour: usize| {
                let mut sums = [0.0; 3];
                for part in parts.iter().filter(|part| part.seen[step][hour] > 0.0) {
                    let (x, m) = (part.value[step][hour] * part.scale[step], part.expected[step][hour]);
                    let (dispersion, relative) = (part.noise.dispersion[step], part.noise.relative[step][0]);
                    let reach = CLIP * (dispersion * m + relative * m * m).sqrt() + 1.0;
                    sums[0] += x.clamp(m - reach, m + reach).max(0.0);
                    sums[1] += m;
                    sums[2] = 1.0;
                }
                sums
            };
            let sums: Vec<[f64; 3]> = hours.clone().into_par_iter().map(of_hour).collect();
            for (hour, [value, expected, seen]) in sums.into_iter().enumerate() {
                sum.value[step][hour] = value;
                sum.expected[step][hour] = expected;
                sum.seen[step][hour] = seen;
            }
        }
        if known[PURCHASES] && known[REVENUE] {
            // Each series has one vote: the prices of one large series are not those of the site.
            let of_hour = |hour: usize| {
                let hours = parts.iter().map(|part| Hour::of(part.value, part.scale[REVENUE], part.expected, hour));
                let scores = hours.filter_map(|hour| values.score(hour));
                scores.fold((0.0, 0.0), |sum, score| (sum.0 + 1.0 + score.clamp(-CLIP, CLIP), sum.1 + 1.0))
            };
            (sum.value[VALUE], sum.expected[VALUE]) = hours.into_par_iter().map(of_hour).unzip();
            let seen = sum.seen[REVENUE].clone();
            sum.seen[VALUE] = seen;
        }
        sum
    }

    /// Sets how uncertain expected values are.
    pub(crate) fn with_uncertainty(self, uncertainty: Vec<Vec<f64>>) -> Self {
        Self { uncertainty, ..self }
    }

    fn track(&self) -> Track {
        let no_mask = vec![1.0; self.value[0].len()];
        let [value, expected, seen] =
            [&self.value, &self.expected, &self.seen].map(|of| of.each_ref().map(Vec::as_slice));
        Track::new(value, expected, seen, &no_mask, &no_mask).with_uncertainty(self.uncertainty.len(), |step, hour| {
            self.expected[step][hour] * self.uncertainty[step][hour]
        })
    }
}

impl SiteModel {
    pub(crate) fn fit(sum: &Sum, statistics: &[Statistic]) -> Self {
        let track = sum.track();
        let noise = Noise::fit(&track);
        let watched = [Watched { track: &track, noise: &noise }];
        let Learnt { statistics, mut coefficients, .. } = learn::learn(&watched, statistics, Clumps::default());
        let regressions = coefficients.pop().unwrap_or_default();
        Self { noise, regressions, statistics }
    }

    /// What some days of the sum show; heights count less by the number of series. `before` are the first hour of the
    /// sum, since 1970, and the windows of the sum before this one.
    pub(crate) fn found(
        &self,
        sum: &Sum,
        statistics: &[Statistic],
        series: usize,
        days: Range<usize>,
        before: Option<(i64, &mut Windows)>,
    ) -> Vec<Found> {
        let track = sum.track();
        let watched = [Watched { track: &track, noise: &self.noise }];
        let scope = Scope { longest: LONGEST, days };
        let regressions = [&self.regressions];
        let found = match before {
            None => evaluate::apply(&scope, &watched, statistics, &self.statistics, &regressions),
            Some((start, windows)) => {
                let before = (start, &[SITE] as &[&str], windows);
                evaluate::apply_again(&scope, &watched, statistics, &self.statistics, &regressions, before)
            }
        };
        let less = (series as f64).ln() / SLOPE;
        let lowered = |found: Found| Found { height: (found.height - less).max(0.0), ..found };
        found.into_iter().next().unwrap_or_default().into_iter().map(lowered).collect()
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self, statistics: usize) -> bool {
        self.noise.is_valid()
            && evaluate::are_valid(&self.regressions, statistics)
            && self.statistics.is_valid(statistics)
    }
}
