//! Huber ridge regression of a window's deviate on what surrounds it.
//!
//! The level left a little, traffic that wanders and what all series share show in the hours
//! before and after, in the other steps and in the other series. What they explain is no anomaly
//! of this window.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{LENGTHS, Statistic, Track, clump::Clumps, noise::Noise, score};
use crate::grid::{DAY, LANES};

/// Predictors: intercept, hours before, hours after, the step given, other series in this step and
/// in the step given.
pub(crate) const PREDICTORS: usize = 6;
/// Deviates beyond this count as this in predictors.
const CLIP: f64 = 3.0;
/// Deviates of other series beyond this count as this in their mean.
const OTHERS_CLIP: f64 = 2.0;
/// Flanks have at least a day.
const LEAST_FLANK: usize = 24;
/// Residuals beyond this many standard deviations lose weight (Huber 1964).
const HUBER: f64 = 1.5;
/// Strength of the ridge of all series together, in windows: coefficients need evidence.
const RIDGE: f64 = 50.0;
/// Windows at which a series' own coefficients count as much as the common ones.
const OWN: f64 = 150.0;

/// Bounds of the spread of residuals.
const LEAST_SPREAD: f64 = 0.2;
const MOST_SPREAD: f64 = 20.0;
/// Independent windows at which a series' own spread counts as much as the median of all.
const OWN_SPREAD: f64 = 800.0;

/// A row of predictors.
pub(crate) type Row = [f64; PREDICTORS];

/// What all series show in windows of one length: sums and numbers of clipped deviates per step and start.
pub(crate) struct Others {
    sum: [Vec<f64>; LANES],
    number: [Vec<f64>; LANES],
}

impl Others {
    pub(crate) fn new(starts: usize) -> Self {
        let zeros = || std::array::from_fn(|_| vec![0.0; starts]);
        Self { sum: zeros(), number: zeros() }
    }

    pub(crate) fn add(&mut self, deviates: &Deviates, starting: &Range<usize>) {
        for step in 0..LANES {
            let deviates = &deviates.0[step];
            for at in clipped(starting, deviates.len()).filter(|&at| !deviates[at].is_nan()) {
                let z = deviates[at];
                self.sum[step][at] += z.clamp(-OTHERS_CLIP, OTHERS_CLIP);
                self.number[step][at] += 1.0;
            }
        }
    }

    /// The mean of the others; zero where there is none.
    fn mean(&self, step: usize, at: usize, own: f64) -> f64 {
        let (mut sum, mut number) = (self.sum[step][at], self.number[step][at]);
        if !own.is_nan() {
            sum -= own.clamp(-OTHERS_CLIP, OTHERS_CLIP);
            number -= 1.0;
        }
        // One or two others are no mean: it is drawn to zero by one further series.
        sum / (number + 1.0)
    }

    /// Adds what the [mean](Self::mean) of the others explains of windows that start in some hours and have these
    /// deviates: NaN where there is none.
    #[inline(always)]
    fn explain(&self, step: usize, starting: &Range<usize>, own: &[f64], coefficient: f64, into: &mut [f64]) {
        let all = self.sum[step][starting.clone()].iter().zip(&self.number[step][starting.clone()]);
        for ((explained, own), (sum, number)) in into.iter_mut().zip(own).zip(all) {
            // The series itself is one of this number, and one further series draws the mean to zero.
            *explained += coefficient * ((sum - own.clamp(-OTHERS_CLIP, OTHERS_CLIP)) / number);
        }
    }
}

/// A range without what is beyond the end.
pub(crate) fn clipped(range: &Range<usize>, end: usize) -> Range<usize> {
    range.start.min(end)..range.end.min(end)
}

/// Deviates of all windows of one length, per step and start; NaN where too little was observed.
pub(crate) struct Deviates(pub(crate) [Vec<f64>; LANES]);

impl Deviates {
    /// Those of windows that start in some hours.
    pub(crate) fn new(track: &Track, noise: &Noise, clumps: &Clumps, length: usize, starting: &Range<usize>) -> Self {
        let hours = LENGTHS[length];
        let starts = (track.hours + 1).saturating_sub(hours);
        let starting = clipped(starting, starts);
        let of = |step: usize| {
            let (dispersion, relative) = (noise.dispersion[step], noise.relative[step][length]);
            let sums = track.windows(step, &starting, hours);
            let mut deviates = vec![f64::NAN; starts];
            let some = &mut deviates[starting.clone()];
            score::step_deviates(step, &sums, dispersion, relative, some);
            clumps.limit_all(step, &sums, some);
            deviates
        };
        Self(std::array::from_fn(of))
    }
}

/// Hours before and after a window that it is compared with.
fn flank_of(hours: usize) -> usize {
    hours.max(LEAST_FLANK)
}

/// The hour after the last one that says something of a window of this many hours, wherever the table ends.
pub(crate) fn last_after(from: usize, hours: usize) -> usize {
    let to = from + hours;
    (to + flank_of(hours)).min((from / DAY + 2) * DAY).max(to)
}

/// Flanks of a day of one series and step, which windows of several lengths share. Takes memory once it is used.
#[derive(Clone, Debug, Default)]
pub(crate) struct DayFlanks {
    /// Of the hours before each hour; NaN where it was not asked for.
    before: Arc<Vec<f32>>,
    /// Of the hours from each hour on,
    after: Vec<f32>,
    /// which are so many: at most a day.
    after_hours: Vec<u8>,
}

impl DayFlanks {
    /// The flanks before windows that start in some hours of so many.
    fn before(&mut self, hours: usize, starting: Range<usize>, of: impl Fn(usize) -> f32) -> Arc<Vec<f32>> {
        // Nothing else has it: the windows of the length before are gone.
        let before = Arc::make_mut(&mut self.before);
        before.resize(hours + 1, f32::NAN);
        for from in starting {
            if before[from].is_nan() {
                before[from] = of(from);
            }
        }
        self.before.clone()
    }

    /// The flank from an hour of so many to another.
    fn after(&mut self, hours: usize, to: usize, last: usize, of: impl FnOnce() -> f32) -> f32 {
        // No hours show nothing, which is zero.
        self.after.resize(hours + 1, 0.0);
        self.after_hours.resize(hours + 1, 0);
        if usize::from(self.after_hours[to]) != last - to {
            self.after_hours[to] = (last - to) as u8;
            self.after[to] = of();
        }
        self.after[to]
    }
}

/// Everything that predictors of one series and length need.
pub(crate) struct Surroundings<'a> {
    pub(crate) track: &'a Track,
    pub(crate) noise: &'a Noise,
    pub(crate) deviates: &'a Deviates,
    pub(crate) others: &'a Others,
    /// Position of the length.
    pub(crate) length: usize,
}

/// Deviates of the hours before and after every window of one step. Half the digits of a predictor take half the memory.
pub(crate) struct Flanks {
    before: Arc<Vec<f32>>,
    after: Vec<f32>,
}

impl Surroundings<'_> {
    /// The flanks of a step, of windows that start in some hours. What comes after a window is looked at up to two days
    /// after the start of the day in which the window starts, so that nothing later than three days after the start of
    /// the day before counts.
    pub(crate) fn flanks(&self, step: usize, starting: &Range<usize>, of_day: &mut DayFlanks) -> Flanks {
        let hours = LENGTHS[self.length];
        let flank = flank_of(hours);
        let length = LENGTHS.iter().position(|&l| l >= flank).unwrap_or(LENGTHS.len() - 1);
        let (dispersion, relative) = (self.noise.dispersion[step], self.noise.relative[step][length]);
        let deviate = |(x, m): (f64, f64)| {
            let deviate = if m <= 0.0 { 0.0 } else { score::step_deviate(step, x, m, dispersion, relative) };
            deviate.clamp(-CLIP, CLIP) as f32
        };
        let starts = self.deviates.0[step].len();
        let starting = clipped(starting, starts);
        let table = self.track.hours;
        let before = |from: usize| deviate(self.track.sums_before(step, from.saturating_sub(flank), from));
        let after = |to: usize, last: usize| deviate(self.track.sums_after(step, to, last));
        let ends = |from: usize| (from + hours, last_after(from, hours).min(table).max(from + hours));
        let mut flanks = Flanks { before: Arc::default(), after: vec![0.0; starts] };
        if flank == LEAST_FLANK {
            flanks.before = of_day.before(table, starting.clone(), before);
            for from in starting {
                let (to, last) = ends(from);
                flanks.after[from] = of_day.after(table, to, last, || after(to, last));
            }
        } else {
            let zeros = std::iter::repeat_n(0.0, starting.start);
            flanks.before = Arc::new(zeros.chain(starting.clone().map(before)).collect());
            for from in starting {
                let (to, last) = ends(from);
                flanks.after[from] = after(to, last);
            }
        }
        flanks
    }

    /// What a regression leaves of the deviates of windows that start in some hours, in standard deviations: the
    /// [`residual`] of each [`row`](Self::row), and NaN where there is none. Loops without branches, which compilers
    /// turn into vectors for the instructions that the caller is compiled for.
    #[inline(always)]
    pub(crate) fn residuals(
        &self,
        statistic: Statistic,
        flanks: &Flanks,
        regression: &Regression,
        starting: Range<usize>,
        into: &mut [f64],
    ) {
        let [intercept, before, after, other, mean, mean_given] = regression.coefficients;
        let into = &mut into[starting.clone()];
        let flanks = flanks.before[starting.clone()].iter().zip(&flanks.after[starting.clone()]);
        for (explained, (x, y)) in into.iter_mut().zip(flanks) {
            *explained = intercept + before * f64::from(*x) + after * f64::from(*y);
        }
        let deviates = |step: usize| &self.deviates.0[step][starting.clone()];
        if let Some(given) = statistic.given {
            into.iter_mut().zip(deviates(given)).for_each(|(explained, z)| *explained += other * z);
        }
        self.others.explain(statistic.step, &starting, deviates(statistic.step), mean, into);
        if let Some(given) = statistic.given {
            self.others.explain(given, &starting, deviates(given), mean_given, into);
        }
        for (residual, target) in into.iter_mut().zip(deviates(statistic.step)) {
            *residual = (target - *residual) / regression.spread;
        }
    }

    /// The predictors and the deviate of a window; `None` where it is not observed.
    pub(crate) fn row(&self, statistic: Statistic, flanks: &Flanks, from: usize) -> Option<(Row, f64)> {
        let target = self.deviates.0[statistic.step][from];
        if target.is_nan() {
            return None;
        }
        let (before, after) = (f64::from(flanks.before[from]), f64::from(flanks.after[from]));
        let mut row = [1.0, before, after, 0.0, self.others.mean(statistic.step, from, target), 0.0];
        if let Some(given) = statistic.given {
            let other = self.deviates.0[given][from];
            if other.is_nan() {
                return None;
            }
            row[3] = other;
            row[5] = self.others.mean(given, from, other);
        }
        Some((row, target))
    }
}

/// Normal equations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Equations {
    matrix: [[f64; PREDICTORS]; PREDICTORS],
    right: Row,
}

impl Equations {
    pub(crate) fn add(&mut self, row: &Row, target: f64, weight: f64) {
        for i in 0..PREDICTORS {
            self.right[i] += weight * row[i] * target;
            for j in 0..=i {
                self.matrix[i][j] += weight * row[i] * row[j];
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for i in 0..PREDICTORS {
            self.right[i] += other.right[i];
            for j in 0..=i {
                self.matrix[i][j] += other.matrix[i][j];
            }
        }
    }

    /// Coefficients for all series.
    pub(crate) fn solve_common(&self) -> Row {
        self.solve(RIDGE, &[0.0; PREDICTORS])
    }

    /// Coefficients of a series, drawn to the common ones.
    pub(crate) fn solve_own(&self, common: &Row) -> Row {
        self.solve(OWN, common)
    }

    /// Cholesky decomposition; the ridge makes the matrix positive definite.
    fn solve(&self, ridge: f64, prior: &Row) -> Row {
        let mut lower = self.matrix;
        let mut right: Row = std::array::from_fn(|i| self.right[i] + ridge * prior[i]);
        for i in 0..PREDICTORS {
            lower[i][i] += ridge;
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
                let rest = lower[i][j] - dot;
                lower[i][j] = if i == j { rest.max(1e-9).sqrt() } else { rest / lower[j][j] };
            }
        }
        for i in 0..PREDICTORS {
            let dot: f64 = (0..i).map(|k| lower[i][k] * right[k]).sum();
            right[i] = (right[i] - dot) / lower[i][i];
        }
        for i in (0..PREDICTORS).rev() {
            let dot: f64 = (i + 1..PREDICTORS).map(|k| lower[k][i] * right[k]).sum();
            right[i] = (right[i] - dot) / lower[i][i];
        }
        if right.iter().all(|c| c.is_finite()) { right.map(|c| c.clamp(-9.0, 9.0)) } else { *prior }
    }
}

/// The regression of one series, length and statistic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Regression {
    pub(crate) coefficients: Row,
    /// Standard deviation of what is left, robust.
    pub(crate) spread: f64,
}

impl Regression {
    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.coefficients.iter().all(|c| c.abs() <= 9.0) && (LEAST_SPREAD..=MOST_SPREAD).contains(&self.spread)
    }
}

/// Root mean square of residuals, of which those beyond three count as three, and their number; one without any. Few counts have residuals
/// that repeat, so that a median would take most of them for all there is.
pub(crate) fn spread(residuals: impl Iterator<Item = f64>) -> (f64, usize) {
    let (square, number) =
        residuals.fold((0.0, 0), |(square, number), r| (square + (r * r).min(CLIP * CLIP), number + 1));
    (if number == 0 { 1.0 } else { (square / number as f64).sqrt() }, number)
}

/// The spread of a series of so many independent windows, drawn to the median of all.
pub(crate) fn shrunk_spread(own: f64, windows: f64, median: f64) -> f64 {
    let variance = (windows * own * own + OWN_SPREAD * median * median) / (windows + OWN_SPREAD);
    variance.sqrt().clamp(LEAST_SPREAD, MOST_SPREAD)
}

/// What is left of a deviate.
pub(crate) fn residual(row: &Row, target: f64, coefficients: &Row) -> f64 {
    target - row.iter().zip(coefficients).map(|(x, b)| x * b).sum::<f64>()
}

/// Weight of a residual in units of the spread.
pub(crate) fn huber_weight(residual: f64) -> f64 {
    (HUBER / residual.abs().max(1e-9)).min(1.0)
}
