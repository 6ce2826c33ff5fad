//! All windows of all series, judged by what was learnt.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    HORIZON, LENGTHS, Statistic, Track,
    again::{Known, Windows},
    calibrate::{self, Scale, TailMap},
    clump::Clumps,
    greedy::{self, Found},
    group::{Group, Groups},
    noise::Noise,
    regress::{self, DayFlanks, Deviates, Flanks, Others, Regression, Surroundings},
};
use crate::grid::{DAY, LANES};

/// What the statistics of all series share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statistics {
    /// Scales per length and statistic.
    pub(crate) scales: Vec<Vec<Scale>>,
    /// One map per length.
    pub(crate) maps: Vec<TailMap>,
    /// What groups of series are compared with, per length.
    pub(crate) groups: Vec<Groups>,
    /// How often counts come in clumps.
    pub(crate) clumps: Clumps,
}

/// The regressions of one series per length and statistic.
pub(crate) type Coefficients = Vec<Vec<Regression>>;

/// Whether regressions may come from a fit; anything may stand in a file.
pub(crate) fn are_valid(regressions: &Coefficients, statistics: usize) -> bool {
    let of_length = |of: &Vec<Regression>| of.len() == statistics && of.iter().all(Regression::is_valid);
    regressions.len() == LENGTHS.len() && regressions.iter().all(of_length)
}

impl Statistics {
    /// Whether they may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self, statistics: usize) -> bool {
        let n = LENGTHS.len();
        self.scales.len() == n
            && self.maps.len() == n
            && self.groups.len() == n
            && self.clumps.is_valid()
            && self.scales.iter().all(|s| s.len() == statistics && s.iter().all(calibrate::is_valid))
            && self.maps.iter().all(TailMap::is_valid)
            && self.groups.iter().all(|groups| groups.is_valid(statistics))
    }
}

/// The largest height of each window of one length: with the sign of its residual, and its statistic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Best {
    pub(crate) signed: Vec<f32>,
    pub(crate) statistic: Vec<u8>,
}

impl Best {
    pub(super) fn new(starts: usize) -> Self {
        Self { signed: vec![f32::NAN; starts], statistic: vec![0; starts] }
    }

    /// Copies windows that start in some hours from those of a table that begins `later` hours earlier.
    pub(crate) fn copy(&mut self, from: &Self, starting: Range<usize>, later: usize) {
        let there = starting.start + later..starting.end + later;
        self.signed[starting.clone()].copy_from_slice(&from.signed[there.clone()]);
        self.statistic[starting].copy_from_slice(&from.statistic[there]);
    }

    /// Takes over the windows in which a statistic, of the series or of a group that it belongs to, is higher.
    pub(super) fn update(
        &mut self,
        starting: &Range<usize>,
        scaled: &[f64],
        groups: &[[Group; 2]],
        map: &TailMap,
        statistic: u8,
    ) {
        let starting = regress::clipped(starting, scaled.len());
        let heights = map.heights(&scaled[starting.clone()]);
        for (from, mut height) in starting.zip(heights).filter(|(_, height)| !height.is_nan()) {
            let scaled = scaled[from];
            if let Some(groups) = groups.get(from) {
                let group = &groups[usize::from(scaled > 0.0)];
                if group.height > height && group.holds(scaled) {
                    height = group.height;
                }
            }
            let best = &mut self.signed[from];
            if best.is_nan() || height as f32 > best.abs() {
                *best = height.copysign(scaled) as f32;
                self.statistic[from] = statistic;
            }
        }
    }
}

/// One series as the statistics see it.
pub(crate) struct Watched<'a> {
    pub(crate) track: &'a Track,
    pub(crate) noise: &'a Noise,
}

/// A length of all series: deviates, flanks, and what the others show.
pub(super) struct Length {
    pub(super) index: usize,
    pub(super) deviates: Vec<Deviates>,
    pub(super) flanks: Vec<[Flanks; LANES]>,
    others: Others,
    starting: Range<usize>,
}

impl Length {
    /// Windows that start in some hours.
    pub(super) fn new(
        index: usize,
        watched: &[Watched<'_>],
        clumps: &Clumps,
        starting: &Range<usize>,
        of_day: &mut [[DayFlanks; LANES]],
    ) -> Self {
        let deviates = |w: &Watched<'_>| Deviates::new(w.track, w.noise, clumps, index, starting);
        let deviates: Vec<Deviates> = watched.par_iter().map(deviates).collect();
        let starts = deviates.iter().map(|d| d.0[0].len()).max().unwrap_or(0);
        let mut others = Others::new(starts);
        // One after the other: sums do not depend on the number of threads.
        for deviates in &deviates {
            others.add(deviates, starting);
        }
        let mut length = Self { index, deviates, flanks: Vec::new(), others, starting: starting.clone() };
        let flanks = |((at, w), of_day): ((usize, &Watched<'_>), &mut [DayFlanks; LANES])| {
            let surroundings = length.surroundings(at, w);
            std::array::from_fn(|step| surroundings.flanks(step, starting, &mut of_day[step]))
        };
        length.flanks = watched.par_iter().enumerate().zip(of_day).map(flanks).collect();
        length
    }

    pub(super) fn surroundings<'a>(&'a self, at: usize, watched: &Watched<'a>) -> Surroundings<'a> {
        let Watched { track, noise } = *watched;
        Surroundings { track, noise, deviates: &self.deviates[at], others: &self.others, length: self.index }
    }

    /// Residuals of one series and statistic per start; NaN where there is none.
    pub(super) fn residuals(
        &self,
        at: usize,
        watched: &Watched<'_>,
        statistic: Statistic,
        regression: &Regression,
    ) -> Vec<f64> {
        let surroundings = self.surroundings(at, watched);
        let flanks = &self.flanks[at][statistic.step];
        let mut residuals = vec![f64::NAN; self.deviates[at].0[statistic.step].len()];
        let starting = regress::clipped(&self.starting, residuals.len());
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || surroundings.residuals(statistic, flanks, regression, starting, &mut residuals),
        );
        residuals
    }

    /// The residuals of every series on a scale.
    pub(super) fn scaled<'a>(
        &self,
        watched: &[Watched<'_>],
        statistic: Statistic,
        scale: Scale,
        regression: impl Fn(usize) -> &'a Regression + Sync,
    ) -> Vec<Vec<f64>> {
        let scaled = |(at, w): (usize, &Watched<'_>)| {
            let mut residuals = self.residuals(at, w, statistic, regression(at));
            let starting = regress::clipped(&self.starting, residuals.len());
            calibrate::scale_all(&mut residuals[starting], scale);
            residuals
        };
        watched.par_iter().enumerate().map(scaled).collect()
    }
}

pub(super) fn day_flanks(watched: &[Watched<'_>]) -> Vec<[DayFlanks; LANES]> {
    watched.iter().map(|_| std::array::from_fn(|_| DayFlanks::default())).collect()
}

/// The windows and the hours that are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Hours of the longest window.
    pub(crate) longest: usize,
    /// Days of the grid that are settled; hours of others show nothing.
    pub(crate) days: Range<usize>,
}

impl Scope {
    /// All windows, in some days of the grid.
    pub(crate) fn of(days: Range<usize>) -> Self {
        Self { longest: HORIZON, days }
    }

    /// All windows in all days.
    pub(crate) fn all() -> Self {
        Self::of(0..usize::MAX)
    }

    /// The hours in which windows start that these days are settled among.
    fn starting(&self) -> Range<usize> {
        let end = self.days.end.saturating_mul(DAY).saturating_add(HORIZON - DAY);
        (self.days.start * DAY).saturating_sub(HORIZON)..end
    }
}

/// What every hour of every series shows.
pub(crate) fn apply(
    scope: &Scope,
    watched: &[Watched<'_>],
    statistics: &[Statistic],
    fitted: &Statistics,
    coefficients: &[&Coefficients],
) -> Vec<Vec<Found>> {
    let best = windows(scope, watched, statistics, fitted, coefficients, None);
    settle(scope, watched, &best)
}

/// The same of series from an hour since 1970 on, with the windows that the scan before this one has found;
/// `before` gets those of this one.
pub(crate) fn apply_again(
    scope: &Scope,
    watched: &[Watched<'_>],
    statistics: &[Statistic],
    fitted: &Statistics,
    coefficients: &[&Coefficients],
    (start, names, before): (i64, &[&str], &mut Windows),
) -> Vec<Vec<Found>> {
    let now = Windows::of(start, names, watched);
    let known = before.known_to(&now, scope.starting().start);
    let best = windows(scope, watched, statistics, fitted, coefficients, known.as_ref());
    let found = settle(scope, watched, &best);
    *before = now.with(scope.starting(), best);
    found
}

pub(super) fn settle(scope: &Scope, watched: &[Watched<'_>], best: &[Vec<Best>]) -> Vec<Vec<Found>> {
    best.par_iter().zip(watched).map(|(best, w)| greedy::settle(best, w.track.hours, &scope.days)).collect()
}

/// The windows of every series and length.
fn windows(
    scope: &Scope,
    watched: &[Watched<'_>],
    statistics: &[Statistic],
    fitted: &Statistics,
    coefficients: &[&Coefficients],
    known: Option<&Known<'_>>,
) -> Vec<Vec<Best>> {
    let mut best: Vec<Vec<Best>> = vec![Vec::new(); watched.len()];
    let mut of_day = day_flanks(watched);
    for (index, hours) in LENGTHS.into_iter().enumerate().take_while(|(_, hours)| *hours <= scope.longest) {
        let starts = |w: &Watched<'_>| (w.track.hours + 1).saturating_sub(hours);
        let mut of_length: Vec<Best> = watched.iter().map(|w| Best::new(starts(w))).collect();
        let mut starting = regress::clipped(&scope.starting(), watched.first().map_or(0, starts));
        if let Some(known) = known {
            starting.start = known.take(index, hours, &starting, &mut of_length);
        }
        if !starting.is_empty() {
            let length = Length::new(index, watched, &fitted.clumps, &starting, &mut of_day);
            length.judge(watched, statistics, fitted, coefficients, &mut of_length);
        }
        best.iter_mut().zip(of_length).for_each(|(all, one)| all.push(one));
    }
    best
}

impl Length {
    /// Enters the windows of every series.
    fn judge(
        &self,
        watched: &[Watched<'_>],
        statistics: &[Statistic],
        fitted: &Statistics,
        coefficients: &[&Coefficients],
        best: &mut [Best],
    ) {
        let (index, map) = (self.index, &fitted.maps[self.index]);
        for (position, &statistic) in statistics.iter().enumerate() {
            let scale = fitted.scales[index][position];
            let residuals = self.scaled(watched, statistic, scale, |at| &coefficients[at][index][position]);
            let groups = fitted.groups[index].find(position, &residuals, &self.starting);
            best.par_iter_mut().zip(&residuals).for_each(|(best, residuals)| {
                best.update(&self.starting, residuals, &groups, map, position as u8);
            });
        }
    }
}
