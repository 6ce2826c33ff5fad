//! What an hour of the week brings: a profile that all series share, and how each differs.
//!
//! Expected counts are `level * week[hour of the week] * day[hour of the day] * weekday[...]`, the
//! first factor of the series, the second of all series, the last two of the series again but
//! drawn towards one as far as its data leave them uncertain (empirical Bayes: the spread between
//! series is estimated along). Carts and purchases are expected per visit. The parts are found by
//! turns (backfitting), each as a ratio of observed to expected counts with outlying counts drawn
//! in, while slow levels of each series and days that all share are taken out.

use serde::{Deserialize, Serialize};

use crate::{
    grid::{COUNTS, Grid, PURCHASES, REVENUE, Series, Steps, TRAFFIC, hour_of_week, is_positive},
    noise::{self, Noise, reach_above, variance},
};

/// Rounds of backfitting; what changes after these is far below the noise.
const ROUNDS: usize = 8;
/// Days to either side over which the level of a series is taken.
const LEVEL_DAYS: usize = 10;
/// Standard deviations beyond which a count is drawn in.
const CLIP: f64 = 2.5;
const WEEK: usize = 168;

/// The habits of one step of one series, relative to all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Habits {
    /// By hour of the day.
    day: [f64; 24],
    /// By day of the week from Monday.
    weekday: [f64; 7],
}

/// The profile of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesProfile {
    /// Mean visits per hour, carts per visit, purchases per visit, revenue per purchase.
    pub(crate) level: Steps,
    habits: [Habits; COUNTS],
}

/// What all series share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Week {
    /// Per count, by hour of the week.
    #[serde(with = "rows")]
    factors: [[f64; WEEK]; COUNTS],
}

/// Arrays of this size have no serialization of their own.
mod rows {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{COUNTS, WEEK};

    pub(super) fn serialize<S: Serializer>(rows: &[[f64; WEEK]; COUNTS], serializer: S) -> Result<S::Ok, S::Error> {
        rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[[f64; WEEK]; COUNTS], D::Error> {
        let rows = Vec::<Vec<f64>>::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a factor per hour of the week and step is expected");
        let rows: Vec<[f64; WEEK]> =
            rows.into_iter().map(|row| row.try_into().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        rows.try_into().map_err(|_| wrong())
    }
}

impl SeriesProfile {
    /// Expected visits, carts and purchases of an hour at the mean level, and the price.
    pub(crate) fn expected(&self, week: &Week, hour: i64) -> Steps {
        let bin = hour_of_week(hour);
        let relative: [f64; COUNTS] = std::array::from_fn(|step| {
            week.factors[step][bin] * self.habits[step].day[bin % 24] * self.habits[step].weekday[bin / 24]
        });
        let visits = self.level[TRAFFIC] * relative[TRAFFIC];
        [
            visits,
            visits * self.level[1] * relative[1],
            visits * self.level[PURCHASES] * relative[PURCHASES],
            self.level[REVENUE],
        ]
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let positive = |v: &f64| *v > 0.0 && *v < 1e12;
        self.level.iter().all(|v| *v >= 0.0 && *v < 1e15)
            && self.habits.iter().all(|h| h.day.iter().chain(&h.weekday).all(positive))
    }
}

impl Week {
    pub(crate) fn is_valid(&self) -> bool {
        self.factors.iter().flatten().all(|v| *v > 0.0 && *v < 1e12)
    }
}

/// A panel on its way to profiles.
pub(crate) struct Fit<'a> {
    grid: Grid,
    series: &'a [Series],
    week: Week,
    profiles: Vec<SeriesProfile>,
    pub(crate) noise: Vec<Noise>,
    /// Per series, day and step: the slow level relative to the mean one.
    levels: Vec<Vec<Steps>>,
    /// Per day and count: what all series share.
    shared: Vec<[f64; COUNTS]>,
    min_series: usize,
}

/// Profiles, noise and slow levels by day of every series.
pub(crate) struct Fitted {
    pub(crate) week: Week,
    pub(crate) profiles: Vec<SeriesProfile>,
    pub(crate) noise: Vec<Noise>,
    /// Level of the first day relative to the mean, per series.
    pub(crate) first_level: Vec<Steps>,
}

impl<'a> Fit<'a> {
    pub(crate) fn run(grid: Grid, series: &'a [Series], min_series: usize) -> Fitted {
        let days = grid.hours.div_ceil(24);
        let flat = Habits { day: [1.0; 24], weekday: [1.0; 7] };
        let start = |series: &Series| SeriesProfile {
            level: mean_levels(&series.observed),
            habits: [flat.clone(), flat.clone(), flat.clone()],
        };
        let mut fit = Self {
            grid,
            series,
            week: Week { factors: [[1.0; WEEK]; COUNTS] },
            profiles: series.iter().map(start).collect(),
            noise: vec![Noise::default(); series.len()],
            levels: vec![vec![[1.0; 4]; days]; series.len()],
            shared: vec![[1.0; COUNTS]; days],
            min_series,
        };
        for round in 0..ROUNDS {
            for step in 0..COUNTS {
                fit.fit_step(step);
            }
            fit.fit_price();
            if round > 0 {
                fit.fit_noise();
            }
        }
        let first_level = fit.levels.iter().map(|days| days.first().copied().unwrap_or([1.0; 4])).collect();
        Fitted { week: fit.week, profiles: fit.profiles, noise: fit.noise, first_level }
    }

    /// What is expected of an hour with its slow level and its day.
    fn expected(&self, s: usize, hour: usize) -> Steps {
        let mut expected = self.profiles[s].expected(&self.week, self.grid.start + hour as i64);
        let (level, shared) = (self.levels[s][hour / 24], self.shared[hour / 24]);
        let visits = level[TRAFFIC] * shared[TRAFFIC];
        expected[TRAFFIC] *= visits;
        for step in 1..COUNTS {
            expected[step] *= visits * level[step] * shared[step];
        }
        expected[REVENUE] *= level[REVENUE];
        expected
    }

    /// Mean, drawn-in count and weight of every hour of a step.
    fn rows(&self, s: usize, step: usize) -> Vec<(f64, f64, f64)> {
        let noise = &self.noise[s];
        let row = |hour: usize| {
            let y = self.series[s].observed[hour];
            let expected = self.expected(s, hour);
            let known = !y[TRAFFIC].is_nan() && expected[TRAFFIC] > 0.0;
            let mut mean = expected[step];
            let mut relative = noise.relative[step];
            if step != TRAFFIC {
                if !known {
                    return (0.0, 0.0, 0.0);
                }
                mean *= noise.traffic_factor(y[TRAFFIC], expected[TRAFFIC]);
                relative += noise.traffic_uncertainty(y[TRAFFIC]);
            }
            if y[step].is_nan() || !is_positive(mean) {
                return (0.0, 0.0, 0.0);
            }
            let variance = variance(mean, noise.dispersion[step], relative);
            let sd = variance.sqrt();
            let above = reach_above(mean, sd, noise.dispersion[step], CLIP);
            (mean, y[step].clamp(mean - CLIP * sd, mean + above), mean / variance)
        };
        (0..self.grid.hours).map(row).collect()
    }

    fn fit_step(&mut self, step: usize) {
        let rows: Vec<_> = (0..self.series.len()).map(|s| self.rows(s, step)).collect();
        self.fit_levels(step, &rows);
        let rows: Vec<_> = (0..self.series.len()).map(|s| self.rows(s, step)).collect();
        self.fit_days(step, &rows);
        let rows: Vec<_> = (0..self.series.len()).map(|s| self.rows(s, step)).collect();
        self.fit_week(step, &rows);
        if self.series.len() > 1 {
            let rows: Vec<_> = (0..self.series.len()).map(|s| self.rows(s, step)).collect();
            self.fit_habits(step, &rows);
        }
    }

    /// The level of each series: ratios over a window of days.
    fn fit_levels(&mut self, step: usize, rows: &[Vec<(f64, f64, f64)>]) {
        for (s, rows) in rows.iter().enumerate() {
            let days: Vec<Ratio> = rows.chunks(24).map(Ratio::of).collect();
            let all: Ratio = days.iter().copied().sum();
            let total = all.value(0.0);
            self.profiles[s].level[step] = (self.profiles[s].level[step] * total).clamp(1e-9, 1e14);
            for day in 0..days.len() {
                let window = day.saturating_sub(LEVEL_DAYS)..(day + LEVEL_DAYS + 1).min(days.len());
                let near: Ratio = days[window].iter().copied().sum();
                // Drawn towards the mean by the weight of a relative deviation of a third.
                let relative = near.relative_to(total).value(9.0);
                let level = &mut self.levels[s][day][step];
                *level = (*level * relative).clamp(0.02, 50.0);
            }
            self.center_levels(s, step);
        }
    }

    /// Keeps the mean of the logarithms of the daily levels at zero.
    fn center_levels(&mut self, s: usize, step: usize) {
        let levels = &mut self.levels[s];
        let mean = (levels.iter().map(|l| l[step].ln()).sum::<f64>() / levels.len().max(1) as f64).exp();
        for level in levels.iter_mut() {
            level[step] /= mean;
        }
        self.profiles[s].level[step] = (self.profiles[s].level[step] * mean).clamp(1e-9, 1e14);
    }

    /// What all series share in a day.
    fn fit_days(&mut self, step: usize, rows: &[Vec<(f64, f64, f64)>]) {
        if self.series.len() < self.min_series {
            return;
        }
        for day in 0..self.shared.len() {
            let of_day = |rows: &Vec<(f64, f64, f64)>| Ratio::of(&rows[day * 24..(day * 24 + 24).min(rows.len())]);
            let ratio: Ratio = rows.iter().map(of_day).sum();
            let shared = &mut self.shared[day][step];
            *shared = (*shared * ratio.value(100.0)).clamp(0.02, 50.0);
        }
        let mean = (self.shared.iter().map(|d| d[step].ln()).sum::<f64>() / self.shared.len() as f64).exp();
        self.shared.iter_mut().for_each(|d| d[step] /= mean);
        self.profiles.iter_mut().for_each(|p| p.level[step] = (p.level[step] * mean).clamp(1e-9, 1e14));
    }

    fn fit_week(&mut self, step: usize, rows: &[Vec<(f64, f64, f64)>]) {
        let mut bins = [Ratio::default(); WEEK];
        for rows in rows {
            for (hour, row) in rows.iter().enumerate() {
                bins[hour_of_week(self.grid.start + hour as i64)].add(*row);
            }
        }
        // Hours of which little is known follow the same hour of other days.
        let mut by_hour = [Ratio::default(); 24];
        bins.iter().enumerate().for_each(|(bin, ratio)| by_hour[bin % 24] = by_hour[bin % 24].plus(*ratio));
        for (bin, ratio) in bins.iter().enumerate() {
            let hour = by_hour[bin % 24].value(1.0);
            let factor = &mut self.week.factors[step][bin];
            *factor = (*factor * hour * ratio.relative_to(hour).value(20.0)).clamp(1e-6, 1e6);
        }
    }

    /// How the hours and the weekdays of each series differ from those of all.
    fn fit_habits(&mut self, step: usize, rows: &[Vec<(f64, f64, f64)>]) {
        let start = self.grid.start;
        self.fit_habit(rows, |hour| hour_of_week(start + hour as i64) % 24, 24, step, |h| &mut h.day);
        self.fit_habit(rows, |hour| hour_of_week(start + hour as i64) / 24, 7, step, |h| &mut h.weekday);
    }

    fn fit_habit<const N: usize>(
        &mut self,
        rows: &[Vec<(f64, f64, f64)>],
        bin: impl Fn(usize) -> usize,
        bins: usize,
        step: usize,
        habit: impl Fn(&mut Habits) -> &mut [f64; N],
    ) {
        // Full ratios: the new deviation from the common profile, not the change since the last round.
        let mut ratios: Vec<Vec<Ratio>> = Vec::with_capacity(rows.len());
        for (s, rows) in rows.iter().enumerate() {
            let mut own = vec![Ratio::default(); bins];
            let before = habit(&mut self.profiles[s].habits[step]);
            for (hour, (mean, y, weight)) in rows.iter().enumerate() {
                let bin = bin(hour);
                own[bin].add((mean / before[bin], *y, *weight));
            }
            ratios.push(own);
        }
        // The spread between series: what their ratios scatter more than chance explains.
        let scatter = ratios.iter().flatten().filter(|r| r.information > 4.0);
        let (excess, n) = scatter.fold((0.0, 0.0), |(sum, n), r| {
            let deviation = r.value(0.0).clamp(0.05, 20.0).ln();
            // Noisy ratios say little of the spread.
            let weight = 1.0 / (1.0 / r.information + 0.01).powi(2);
            (sum + weight * (deviation * deviation - 1.0 / r.information), n + weight)
        });
        let spread = if n > 0.0 { (excess / n).max(0.0) } else { 0.0 };
        let prior = if spread > 1e-6 { 1.0 / spread } else { 1e6 };
        for (s, own) in ratios.iter().enumerate() {
            let habit = habit(&mut self.profiles[s].habits[step]);
            for (factor, ratio) in habit.iter_mut().zip(own) {
                *factor = ratio.value(prior).clamp(0.02, 50.0);
            }
        }
    }

    fn fit_price(&mut self) {
        for (s, series) in self.series.iter().enumerate() {
            let price = self.profiles[s].level[REVENUE];
            if price <= 0.0 {
                continue;
            }
            let noise = self.noise[s].price;
            let levels = &self.levels[s];
            let row = |(hour, y): (usize, &Steps)| {
                let (purchases, revenue) = (y[PURCHASES], y[REVENUE]);
                if !is_positive(purchases) || revenue.is_nan() {
                    return (0.0, 0.0, 0.0);
                }
                let expected = price * levels[hour / 24][REVENUE];
                let reach = CLIP * (noise / purchases).sqrt();
                let ratio = (revenue / (purchases * expected)).clamp(1.0 - reach, 1.0 + reach);
                (purchases, purchases * ratio, 1.0 / noise)
            };
            let rows: Vec<(f64, f64, f64)> = series.observed.iter().enumerate().map(row).collect();
            let days: Vec<Ratio> = rows.chunks(24).map(Ratio::of).collect();
            let total = days.iter().copied().sum::<Ratio>().value(0.0);
            self.profiles[s].level[REVENUE] = (price * total).clamp(1e-9, 1e14);
            for day in 0..days.len() {
                let window = day.saturating_sub(LEVEL_DAYS)..(day + LEVEL_DAYS + 1).min(days.len());
                let near: Ratio = days[window].iter().copied().sum();
                let level = &mut self.levels[s][day][REVENUE];
                *level = (*level * near.relative_to(total).value(100.0)).clamp(0.02, 50.0);
            }
            self.center_levels(s, REVENUE);
        }
    }

    fn fit_noise(&mut self) {
        let expected: Vec<Vec<Steps>> =
            (0..self.series.len()).map(|s| (0..self.grid.hours).map(|h| self.expected(s, h)).collect()).collect();
        let rows: Vec<(&[Steps], &[Steps])> =
            self.series.iter().zip(&expected).map(|(s, e)| (s.observed.as_slice(), e.as_slice())).collect();
        self.noise = noise::estimate(&rows, &self.noise);
    }
}

/// Mean visits per hour, carts and purchases per visit, revenue per purchase.
fn mean_levels(observed: &[Steps]) -> Steps {
    let sum = |step: usize| observed.iter().map(|o| o[step]).filter(|v| !v.is_nan()).sum::<f64>();
    let hours = observed.iter().filter(|o| !o[TRAFFIC].is_nan()).count().max(1) as f64;
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let visits = sum(TRAFFIC).max(0.5);
    [visits / hours, ratio(sum(1), visits), ratio(sum(PURCHASES), visits), ratio(sum(REVENUE), sum(PURCHASES))]
}

/// Weighted counts over weighted means, and how much is known of their ratio.
#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    observed: f64,
    expected: f64,
    /// Inverse of the squared relative standard error.
    information: f64,
}

impl Ratio {
    fn of(rows: &[(f64, f64, f64)]) -> Self {
        let mut ratio = Self::default();
        for row in rows {
            ratio.add(*row);
        }
        ratio
    }

    /// Adds a row: its mean, its count, and its mean over its variance. The best weight of a row
    /// in a ratio is one over its relative variance per unit of mean.
    fn add(&mut self, (mean, observed, weight): (f64, f64, f64)) {
        self.observed += weight * observed;
        self.expected += weight * mean;
        self.information += weight * mean;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            observed: self.observed + other.observed,
            expected: self.expected + other.expected,
            information: self.information + other.information,
        }
    }

    /// The ratio when `factor` times as much is expected.
    fn relative_to(self, factor: f64) -> Self {
        Self { expected: self.expected * factor, ..self }
    }

    /// The ratio, drawn towards one by `prior`: the information of one minus a prior's.
    fn value(self, prior: f64) -> f64 {
        let weight = if self.information > 0.0 { prior * self.expected / self.information } else { 0.0 };
        let expected = self.expected + weight;
        if expected > 0.0 { ((self.observed + weight) / expected).clamp(1e-6, 1e6) } else { 1.0 }
    }
}

impl std::iter::Sum for Ratio {
    fn sum<I: Iterator<Item = Self>>(ratios: I) -> Self {
        ratios.fold(Self::default(), Self::plus)
    }
}
