//! The level of a series: a kernel mean of observed over expected, on a log scale.

use crate::grid::DAY;

/// Standard deviation of the kernel, hours: three days, so that weeks are followed and days are not.
pub(crate) const KERNEL_SD: f64 = 72.0;
/// Standard deviations beyond which the kernel is cut off.
const REACH: f64 = 3.0;
/// Hours of a bin: sums over bins make the kernel cheap.
const BIN: usize = 6;
/// Counts that pull a level without data to the level it starts from.
const PRIOR_COUNTS: f64 = 6.0;
/// Logarithms of levels are within.
pub(crate) const BOUND: f64 = 30.0;

/// Sums of observed and expected values over bins of six hours.
struct Bins {
    observed: Vec<f64>,
    expected: Vec<f64>,
}

impl Bins {
    fn new(value: &[f64], base: &[f64], weight: &[f64]) -> Self {
        let bins = value.len().div_ceil(BIN);
        let (mut observed, mut expected) = (vec![0.0; bins], vec![0.0; bins]);
        for hour in 0..value.len() {
            observed[hour / BIN] += weight[hour] * value[hour];
            expected[hour / BIN] += weight[hour] * base[hour];
        }
        Self { observed, expected }
    }

    /// Observed and expected around `hour`, from bins `range`, weighted by the [kernel].
    fn around(&self, hour: usize, range: std::ops::Range<usize>, kernel: &[f64]) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for bin in range {
            let weight = kernel[(bin * BIN + BIN / 2).abs_diff(hour) / BIN];
            sums.0 += weight * self.observed[bin];
            sums.1 += weight * self.expected[bin];
        }
        sums
    }
}

/// Weights of bins by their distance from the start of a day, in bins.
fn kernel(reach: usize, sd: f64) -> Vec<f64> {
    let weight = |bins: usize| {
        let distance = (bins * BIN + BIN / 2) as f64;
        (-0.5 * (distance / sd).powi(2)).exp()
    };
    (0..=reach / BIN).map(weight).collect()
}

/// Logarithm of the mean level: the ratio of the weighted sums.
pub(crate) fn mean(value: &[f64], base: &[f64], weight: &[f64]) -> f64 {
    let sums =
        (0..value.len()).fold((0.0, 0.0), |sums, h| (sums.0 + weight[h] * value[h], sums.1 + weight[h] * base[h]));
    ratio(sums.0 + 0.5, sums.1 + 0.5)
}

/// Log levels at the start of each day and at the end of the last, from both sides of each.
pub(crate) fn smooth(value: &[f64], base: &[f64], weight: &[f64], start: f64, sd: f64) -> Vec<f64> {
    let reach = (REACH * sd) as usize;
    let (bins, kernel) = (Bins::new(value, base, weight), kernel(reach, sd));
    let knots = value.len().div_ceil(DAY) + 1;
    let knot = |day: usize| {
        let hour = day * DAY;
        let first = hour.saturating_sub(reach) / BIN;
        let last = ((hour + reach) / BIN).min(bins.observed.len());
        let sums = bins.around(hour, first.min(last)..last, &kernel);
        shrunk(sums, start)
    };
    (0..knots).map(knot).collect()
}

fn shrunk((observed, expected): (f64, f64), start: f64) -> f64 {
    start + ratio(observed + PRIOR_COUNTS, expected * start.exp() + PRIOR_COUNTS)
}

fn ratio(observed: f64, expected: f64) -> f64 {
    (observed / expected).ln().clamp(-BOUND, BOUND)
}

/// The log level of an hour between the knots of its day.
pub(crate) fn between(knots: &[f64], hour: usize) -> f64 {
    let (day, part) = (hour / DAY, (hour % DAY) as f64 / DAY as f64);
    knots[day] * (1.0 - part) + knots[day + 1] * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_follows_weeks_and_not_days() {
        let base = vec![20.0; 2400];
        let value: Vec<f64> = (0..2400).map(|h| if h < 1200 { 20.0 } else { 40.0 }).collect();
        let knots = smooth(&value, &base, &vec![1.0; 2400], 0.0, KERNEL_SD);
        assert!(between(&knots, 100).abs() < 0.01);
        assert!((between(&knots, 2300) - 2.0_f64.ln()).abs() < 0.01);
        let spike: Vec<f64> = (0..2400).map(|h| if (1200..1212).contains(&h) { 60.0 } else { 20.0 }).collect();
        let knots = smooth(&spike, &base, &vec![1.0; 2400], 0.0, KERNEL_SD);
        assert!(between(&knots, 1206) < 0.15);
    }
}
