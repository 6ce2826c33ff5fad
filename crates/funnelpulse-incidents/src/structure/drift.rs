//! Levels of hours after training: a level that drifts, filtered from the days before.
//!
//! The log level of a step takes a random walk from day to day, and a day shows it with the noise of
//! its counts (Kalman 1960). How far levels walk is learnt from how well days of the history are
//! predicted. Abnormal hours are masked; days that stay far off in the same direction all the same are a
//! new level, which is adopted whole. A level that has jumped is known less well for the two weeks that it is
//! filtered from: a brand that fades out is news once, not every few days.

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
/// Standard deviations of a level's moves beyond which it has jumped.
const JUMP: f64 = 3.0;
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

/// The log level of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Level {
    pub(crate) log: f64,
    /// How much more variance it has than the level of a series that has not jumped.
    pub(crate) jump_variance: f64,
}

/// A log level and its variance.
#[derive(Clone, Copy)]
struct State {
    level: f64,
    variance: f64,
    /// What the variance would be had the level not jumped, and what is added to it each day since it has: as much
    /// as a walk needs to go as far as it jumped within the days that levels are filtered from.
    steady: f64,
    jump_walk: f64,
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
    fn new(level: f64, variance: f64) -> Self {
        Self { level, variance, steady: variance, jump_walk: 0.0, off: 0 }
    }

    /// Takes in a day; the squared standardised innovation and its variance, if the day says anything.
    fn follow(&mut self, day: (f64, f64), noise: DayNoise, drift: Drift) -> Option<(f64, f64)> {
        self.variance += drift.walk + self.jump_walk;
        self.steady += drift.walk;
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
        let moves = self.variance * self.variance / variance;
        if self.off.unsigned_abs() >= LASTING {
            self.variance += ((observed + 1.0) / (mean + 1.0)).ln().powi(2);
            self.off = 0;
        }
        let gain = self.variance / (self.variance + of_day);
        let moved = (1.0 + gain * innovation).max(LEAST).ln();
        self.level += moved;
        if moved * moved > JUMP * JUMP * moves {
            self.jump_walk += moved * moved / REACH as f64;
        }
        self.variance *= 1.0 - gain;
        self.steady *= of_day / (self.steady + of_day);
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
    pub(crate) fn level(self, days: &Days, day: usize, known: Known, noise: DayNoise) -> Level {
        let first = day.saturating_sub(REACH);
        let since = first as i64 - known.days.1;
        let (level, variance) = match since {
            0.. => (known.levels.1, (END + since as f64 * self.walk).min(START)),
            _ => (known.levels.0, START),
        };
        let mut state = State::new(level, variance);
        for at in first..day {
            state.follow((days.observed[at], days.expected[at]), noise, self);
            if at < first + LASTING as usize {
                // The first days show where the level is by now, which is no jump.
                state = State { steady: state.variance, jump_walk: 0.0, ..state };
            }
        }
        let jumped = state.jump_walk > 0.0;
        let jump_variance = if jumped { (state.variance + state.jump_walk - state.steady).max(0.0) } else { 0.0 };
        Level { log: state.level, jump_variance }
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
        let mut state = State::new(start, START);
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

/// Relative standard deviations of what is expected in each hour: those of calendar entries, and of levels that have
/// jumped, whose relative variances are given per day.
pub(crate) fn uncertainty(of_entries: Vec<Vec<f64>>, jump_variance: &[Vec<f64>], hours: usize) -> Vec<Vec<f64>> {
    if jump_variance.iter().flatten().all(|variance| *variance == 0.0) {
        return of_entries;
    }
    let of_step = |(step, jump_variance): (usize, &Vec<f64>)| {
        let of_entries = |hour: usize| of_entries.get(step).map_or(0.0, |of_step| of_step[hour]);
        (0..hours).map(|hour| (of_entries(hour).powi(2) + jump_variance[hour / DAY]).sqrt()).collect()
    };
    jump_variance.iter().enumerate().map(of_step).collect()
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
        level_of(days, day).log
    }

    fn level_of(days: &Days, day: usize) -> Level {
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
    fn a_level_that_has_jumped_is_known_less_well_for_two_weeks() {
        let jump = days(|day| if day < 60 { 1000.0 } else { 100.0 });
        let jump_variance = |day: usize| level_of(&jump, day).jump_variance;
        assert!((50..60).all(|day| jump_variance(day) == 0.0));
        // It fell by 2.3 on a log scale: as a walk of two weeks, .6 a day.
        assert!((66..70).all(|day| (0.1..1.0).contains(&jump_variance(day))), "{}", jump_variance(66));
        assert!((80..99).all(|day| jump_variance(day) == 0.0));
        let drift = days(|day| 1000.0 * (0.02 * day as f64).exp());
        assert!((50..99).all(|day| level_of(&drift, day).jump_variance == 0.0));
    }

    #[test]
    fn uncertainties_add_up_as_variances() {
        let of_entries = vec![vec![0.3; 48]; 3];
        let jump_variance = [vec![0.0, 0.16], vec![0.0; 2], vec![0.0; 2]];
        let both = uncertainty(of_entries.clone(), &jump_variance, 48);
        assert!((both[0][0] - 0.3).abs() < 1e-12 && (both[0][24] - 0.5).abs() < 1e-12, "{both:?}");
        assert_eq!(uncertainty(of_entries.clone(), &vec![vec![0.0; 2]; 3], 48), of_entries);
        assert!((uncertainty(Vec::new(), &jump_variance, 48)[0][47] - 0.4).abs() < 1e-12);
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
