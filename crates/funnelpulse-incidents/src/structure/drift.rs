//! Levels of hours after training: a level that drifts, filtered from the days before.
//!
//! The log level of a step takes a random walk from day to day, and a day shows it with the noise of
//! its counts (Kalman 1960). How far levels walk is learnt from how well days of the history are
//! predicted. Abnormal hours are masked; days that stay far off in the same direction all the same are a
//! new level, which is adopted whole.

use serde::{Deserialize, Serialize};

use crate::grid::{DAY, STEPS};

/// Days before a day that its level is filtered from.
pub(crate) const REACH: usize = 14;
/// Variances of a log level from day to day that are tried: 0.3 % to 18 % of standard deviation.
const WALKS: [f64; 7] = [1e-5, 1e-4, 4e-4, 1e-3, 4e-3, 1e-2, 3e-2];
/// Times the noise of a day in hindsight that are tried: a level from both sides leaves less.
const NOISES: [f64; 4] = [1.0, 1.5, 2.5, 4.0];
/// Variance of the level where the filter starts, of which only the mean of the history is known.
const START: f64 = 0.25;
/// Variance of the last level of the training.
const END: f64 = 0.01;
/// Standard deviations beyond which a day is off, and days off in a row that make a new level: what lasted three days
/// may last.
const OFF: f64 = 4.0;
const LASTING: u32 = 3;
/// Squared innovations beyond this count as this in the likelihood: incidents are no drift.
const CLIP: f64 = 9.0;
/// Least share of the expected count that a level falls to in a day.
const LEAST: f64 = 0.02;

/// How levels of one step move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drift {
    /// Variance of the log level from day to day.
    walk: f64,
    /// Times the noise of a day in hindsight.
    noise: f64,
}

/// Observed and expected sums of each day of the grid, without the level, of unmasked hours.
pub(crate) struct Days {
    observed: Vec<f64>,
    expected: Vec<f64>,
}

/// The noise of a day: `dispersion * m + relative * m^2` around a mean of `m`.
#[derive(Clone, Copy)]
pub(crate) struct DayNoise {
    pub(crate) dispersion: f64,
    pub(crate) relative: f64,
}

/// A log level and its variance.
#[derive(Clone, Copy)]
struct State {
    level: f64,
    variance: f64,
    /// Days off in a row: positive above, negative below.
    off: i32,
}

impl Days {
    pub(crate) fn new(value: &[f64], base: &[f64], weight: &[f64]) -> Self {
        let days = value.len().div_ceil(DAY);
        let (mut observed, mut expected) = (vec![0.0; days], vec![0.0; days]);
        for hour in 0..value.len() {
            observed[hour / DAY] += weight[hour] * value[hour];
            expected[hour / DAY] += weight[hour] * base[hour];
        }
        Self { observed, expected }
    }
}

impl State {
    /// Takes in a day; the squared standardised innovation and its variance, if the day says anything.
    fn follow(&mut self, day: (f64, f64), noise: DayNoise, drift: Drift) -> Option<(f64, f64)> {
        self.variance += drift.walk;
        let (observed, mean) = (day.0, day.1 * self.level.exp());
        if mean <= 1e-9 {
            return None;
        }
        let of_day = drift.noise * (noise.dispersion / mean + noise.relative);
        let variance = self.variance + of_day;
        let innovation = (observed - mean) / mean;
        let deviates = innovation / variance.sqrt();
        let direction = if deviates > 0.0 { 1 } else { -1 };
        self.off = match deviates.abs() > OFF {
            true if self.off * direction > 0 => self.off + direction,
            true => direction,
            false => 0,
        };
        if self.off.unsigned_abs() >= LASTING {
            self.variance += ((observed + 1.0) / (mean + 1.0)).ln().powi(2);
            self.off = 0;
        }
        let gain = self.variance / (self.variance + of_day);
        self.level += (1.0 + gain * innovation).max(LEAST).ln();
        self.variance *= 1.0 - gain;
        Some((deviates * deviates, variance))
    }
}

/// Where a level is filtered from: the day of the grid that training begins and ends on, and the log
/// levels there.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) days: (i64, i64),
    pub(crate) levels: (f64, f64),
}

impl Drift {
    /// The log level of a day from the days before it.
    pub(crate) fn level(self, days: &Days, day: usize, known: Known, noise: DayNoise) -> f64 {
        let first = day.saturating_sub(REACH);
        let since = first as i64 - known.days.1;
        let (level, variance) = match since {
            0.. => (known.levels.1, (END + since as f64 * self.walk).min(START)),
            _ => (known.levels.0, START),
        };
        let mut state = State { level, variance, off: 0 };
        for at in first..day {
            state.follow((days.observed[at], days.expected[at]), noise, self);
        }
        state.level
    }

    /// The drift under which the days of all series are most likely.
    pub(crate) fn fit(series: &[(Days, f64, DayNoise)]) -> Self {
        let all = WALKS.iter().flat_map(|&walk| NOISES.iter().map(move |&noise| Self { walk, noise }));
        let loss =
            |drift: Self| -> f64 { series.iter().map(|(days, start, noise)| drift.loss(days, *start, *noise)).sum() };
        let scored = all.map(|drift| (loss(drift), drift));
        let best = scored.reduce(|a, b| if b.0 < a.0 { b } else { a });
        best.map_or(Self { walk: WALKS[2], noise: NOISES[0] }, |(_, drift)| drift)
    }

    /// Minus twice the logarithm of the likelihood of the days after the first week.
    fn loss(self, days: &Days, start: f64, noise: DayNoise) -> f64 {
        let mut state = State { level: start, variance: START, off: 0 };
        let mut loss = 0.0;
        for (day, sums) in days.observed.iter().zip(&days.expected).enumerate() {
            if let Some((square, variance)) = state.follow((*sums.0, *sums.1), noise, self).filter(|_| day >= 7) {
                loss += square.min(CLIP) + variance.ln();
            }
        }
        loss
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        (WALKS[0]..=WALKS[WALKS.len() - 1]).contains(&self.walk)
            && (NOISES[0]..=NOISES[NOISES.len() - 1]).contains(&self.noise)
    }
}

/// How levels of each step move.
pub(crate) type Drifts = [Drift; STEPS];

/// Of levels that nothing is known of.
pub(crate) const UNKNOWN: Drift = Drift { walk: WALKS[2], noise: NOISES[0] };

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: DayNoise = DayNoise { dispersion: 1.0, relative: 0.001 };

    fn days(of: impl Fn(usize) -> f64) -> Days {
        let observed: Vec<f64> =
            (0..100).map(|day| of(day) * (1.0 + 0.02 * ((day * 7919 % 17) as f64 / 8.0 - 1.0))).collect();
        Days { expected: vec![1000.0; observed.len()], observed }
    }

    fn level(days: &Days, day: usize) -> f64 {
        let known = Known { days: (0, 50), levels: (0.0, 0.0) };
        Drift::fit(&[(
            Days { observed: days.observed[..50].to_vec(), expected: days.expected[..50].to_vec() },
            0.0,
            NOISE,
        )])
        .level(days, day, known, NOISE)
    }

    #[test]
    fn a_new_level_is_adopted_after_three_days_and_an_outlier_is_not() {
        let jump = days(|day| if day < 60 { 1000.0 } else { 4000.0 });
        assert!(level(&jump, 61) < 0.4, "{}", level(&jump, 61));
        assert!((level(&jump, 63) - 4.0_f64.ln()).abs() < 0.06, "{}", level(&jump, 63));
        let outlier = days(|day| if day == 60 { 4000.0 } else { 1000.0 });
        assert!((61..70).all(|day| level(&outlier, day).abs() < 0.4));
    }

    #[test]
    fn a_drift_is_followed() {
        let drift = days(|day| 1000.0 * (0.02 * day as f64).exp());
        assert!((level(&drift, 90) - 1.8).abs() < 0.1, "{}", level(&drift, 90));
    }

    #[test]
    fn steady_levels_have_long_memories() {
        let fit = |of: &dyn Fn(usize) -> f64| Drift::fit(&[(days(of), 0.0, NOISE)]).walk;
        let wandering = |day: usize| 1000.0 * (0.3 * (day as f64 * 0.4).sin()).exp();
        assert!(fit(&|_| 1000.0) < fit(&wandering));
    }
}
