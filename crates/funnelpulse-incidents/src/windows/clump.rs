//! Clumps: one visit that views fifty pages, one cart that holds fifty items, one order of fifty lines.
//!
//! A single visitor can bring as many counts to a series as it sees in a day, and does so now and then. The
//! sums of small series are therefore far from normal, however much their variance allows for. How often an
//! hour has an excess of at least so much, per count that is expected, is learnt from the hours of all series
//! that expect far less than that. An excess that one clump or two explain is as rare as they are.

use serde::{Deserialize, Serialize};

use super::{Track, WindowSums, calibrate::normal_quantile};
use crate::grid::{DAY, PURCHASES};

/// Excesses at which hours are counted.
const SIZES: [f64; 20] = [
    2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0, 768.0,
    1024.0, 1536.0,
];
/// Hours that expect at most this share of an excess tell how often it comes by itself.
const QUIET: f64 = 0.1;
/// Expected counts that have to be seen before anything is said about a size.
const LEAST_SEEN: f64 = 100.0;
/// Days on which a size has to be seen, and series: an incident of one series is no clump.
const LEAST_DAYS: f64 = 4.0;
const LEAST_SERIES: usize = 2;
/// Beyond the largest size seen the frequency falls by this many e-folds for each further size as large.
const BEYOND: f64 = 4.0;
/// Excesses that are this many standard deviations off at most are left as they are: counts vary anyway.
const ORDINARY: f64 = 2.0;
/// Fewer expected counts are taken for so many.
const LEAST_EXPECTED: f64 = 0.3;
/// Steps that come in clumps: views, carts and purchases.
const CLUMPED: usize = PURCHASES + 1;

/// How often clumps come, per step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Clumps(Vec<Vec<f64>>);

impl Clumps {
    /// From the hours of all series.
    pub(crate) fn fit<'a>(tracks: impl Iterator<Item = &'a Track> + Clone) -> Self {
        Self((0..CLUMPED).map(|step| log_rates(tracks.clone(), step)).collect())
    }

    /// A deviate of a step, at most what clumps leave of it.
    pub(crate) fn limit(&self, step: usize, observed: f64, expected: f64, deviate: f64) -> f64 {
        let Some(rates) = self.0.get(step).filter(|rates| deviate > ORDINARY && !rates.is_empty()) else {
            return deviate;
        };
        let expected = expected.max(LEAST_EXPECTED);
        let excess = observed - expected;
        // One clump, or two that are half as large.
        let (one, two) = (expected * rate(rates, excess), expected * rate(rates, excess / 2.0));
        let probability = -(-one - two * two / 2.0).exp_m1();
        deviate.min(normal_quantile(1.0 - probability.clamp(1e-15, 0.5)).max(ORDINARY))
    }

    /// [Limits](Self::limit) the deviates of many sums.
    pub(crate) fn limit_all(&self, step: usize, sums: &WindowSums, deviates: &mut [f64]) {
        if self.0.get(step).is_none_or(Vec::is_empty) {
            return;
        }
        for ((deviate, observed), expected) in deviates.iter_mut().zip(&sums.observed).zip(&sums.expected) {
            if *deviate > ORDINARY {
                *deviate = self.limit(step, *observed, *expected, *deviate);
            }
        }
    }

    /// Whether they may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let falls = |rates: &Vec<f64>| rates.windows(2).all(|pair| pair[1] <= pair[0]);
        self.0.len() <= CLUMPED
            && self
                .0
                .iter()
                .all(|rates| rates.len() <= SIZES.len() && rates.iter().all(|r| r.abs() < 100.0) && falls(rates))
    }
}

/// Clumps of at least a size per expected count: by powers between the sizes, exponential beyond them.
fn rate(log_rates: &[f64], size: f64) -> f64 {
    let last = log_rates.len() - 1;
    let largest = SIZES[last];
    if size >= largest {
        return (log_rates[last] - BEYOND * (size / largest - 1.0)).exp();
    }
    let at = SIZES[..last].partition_point(|s| *s <= size);
    if at == 0 {
        return log_rates[0].exp();
    }
    let (from, to) = (SIZES[at - 1], SIZES[at]);
    let part = (size / from).ln() / (to / from).ln();
    (log_rates[at - 1] + part * (log_rates[at] - log_rates[at - 1])).exp()
}

/// Logarithms of how many clumps of at least each size come per expected count, up to the largest seen.
fn log_rates<'a>(tracks: impl Iterator<Item = &'a Track>, step: usize) -> Vec<f64> {
    let (mut count, mut seen, mut series) = ([0.0; SIZES.len()], [0.0; SIZES.len()], [0; SIZES.len()]);
    for track in tracks {
        for (at, (clumps, expected)) in counts(track, step).into_iter().enumerate() {
            count[at] += clumps;
            seen[at] += expected;
            series[at] += usize::from(clumps > 0.0);
        }
    }
    let is_known = |at: &usize| seen[*at] >= LEAST_SEEN && count[*at] >= LEAST_DAYS && series[*at] >= LEAST_SERIES;
    let Some(last) = (0..SIZES.len()).rfind(is_known) else { return Vec::new() };
    // Larger clumps are rarer: where few small counts are expected, the larger sizes say more.
    let mut least = f64::NEG_INFINITY;
    let mut rates: Vec<f64> = Vec::with_capacity(last + 1);
    for at in (0..=last).rev() {
        if is_known(&at) {
            least = least.max((count[at] / seen[at]).ln());
        }
        rates.push(least);
    }
    rates.reverse();
    rates
}

/// Days on which an hour of a series has an excess of at least each size, and the counts that its quiet hours expect.
fn counts(track: &Track, step: usize) -> [(f64, f64); SIZES.len()] {
    let mut counts = [(0.0, 0.0); SIZES.len()];
    let mut last_day = [usize::MAX; SIZES.len()];
    for hour in (0..track.hours).filter(|&hour| track.is_observed(step, hour, hour + 1)) {
        let (observed, expected) = track.sums(step, hour, hour + 1);
        for (at, size) in SIZES.into_iter().enumerate().filter(|(_, size)| expected <= QUIET * size) {
            counts[at].1 += expected;
            // An incident of many hours is counted once.
            if observed - expected >= size && last_day[at] != hour / DAY {
                last_day[at] = hour / DAY;
                counts[at].0 += 1.0;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{grid::LANES, tests::shop::Random};

    /// Tracks of small series: single counts, and now and then 33 at once, once in a thousand counts.
    fn tracks(series: usize) -> Vec<Track> {
        let hours = 8000;
        let track = |at: usize| {
            let mut random = Random(at as u64 + 3);
            let clump = |random: &mut Random| if random.uniform() < 0.001 { 33.0 } else { 1.0 };
            let value: Vec<f64> =
                (0..hours).map(|_| (0..random.poisson(1.0) as usize).map(|_| clump(&mut random)).sum()).collect();
            let (expected, ones) = (vec![1.03; hours], vec![1.0; hours]);
            Track::new([&value; LANES], [&expected; LANES], [&ones; LANES], &ones, &ones)
        };
        (0..series).map(track).collect()
    }

    #[test]
    fn an_excess_is_as_rare_as_the_clumps_that_explain_it() {
        let tracks = tracks(4);
        let clumps = Clumps::fit(tracks.iter());
        assert!(clumps.is_valid());
        // Thirty-three where one is expected: once in a thousand hours.
        let alone = clumps.limit(0, 33.0, 1.0, 9.0);
        assert!((alone - normal_quantile(0.999)).abs() < 0.15, "{alone}");
        // Where a hundred are expected it is an everyday thing, and four thousand more are none.
        assert_eq!(clumps.limit(0, 132.0, 100.0, 3.0), ORDINARY);
        assert!(clumps.limit(0, 4000.0, 100.0, 99.0) > 7.0);
        // Losses and small excesses are no clumps.
        assert_eq!((clumps.limit(0, 0.0, 30.0, -6.0), clumps.limit(0, 2.0, 1.0, 0.9)), (-6.0, 0.9));
    }

    #[test]
    fn an_incident_of_one_series_is_no_clump() {
        let clumps = Clumps::fit(tracks(1).iter());
        assert_eq!(clumps.limit(0, 33.0, 1.0, 9.0), 9.0);
        assert_eq!(Clumps::default().limit(0, 33.0, 1.0, 9.0), 9.0);
    }
}
