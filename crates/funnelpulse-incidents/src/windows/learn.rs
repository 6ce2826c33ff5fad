//! What windows are judged by, learnt from those of all series: regressions, scales, groups and tails.

use rayon::prelude::*;

use super::{
    LENGTHS, Statistic, Track,
    calibrate::{self, Scale, TailCounts, TailMap},
    clump::Clumps,
    evaluate::{Best, Coefficients, Length, Scope, Statistics, Watched, day_flanks, settle},
    greedy::Found,
    group::Groups,
    regress::{self, Equations, Regression, Row},
};

/// Targets beyond this count as this in the first regression.
const CLIP: f64 = 3.0;
/// Hours of the longest window in which groups are looked for: what many series share for longer is a trend.
const LONGEST_GROUP: usize = 12;
/// Lengths of the windows of the first look, each about twice as long as the one before. More take longer and mask
/// about the same hours.
const FIRST_LENGTHS: [usize; 7] = [1, 2, 3, 6, 12, 24, 48];

/// What is learnt of some series, and what they show by it.
pub(crate) struct Learnt {
    pub(crate) statistics: Statistics,
    /// Per series.
    pub(crate) coefficients: Vec<Coefficients>,
    pub(crate) found: Vec<Vec<Found>>,
    /// Windows of each series and length.
    pub(crate) best: Vec<Vec<Best>>,
}

/// What every hour shows by windows of [some lengths](FIRST_LENGTHS): enough to say which hours the next pass leaves out.
pub(crate) fn first_look(watched: &[Watched<'_>], statistics: &[Statistic], clumps: &Clumps) -> Vec<Vec<Found>> {
    let mut best: Vec<Vec<Best>> = vec![Vec::with_capacity(LENGTHS.len()); watched.len()];
    let mut of_day = day_flanks(watched);
    for (index, hours) in LENGTHS.iter().enumerate() {
        let of_length = if FIRST_LENGTHS.contains(hours) {
            let length = Length::new(index, watched, clumps, &(0..usize::MAX), &mut of_day);
            learn_length(&length, watched, statistics).best
        } else {
            vec![Best::default(); watched.len()]
        };
        best.iter_mut().zip(of_length).for_each(|(all, one)| all.push(one));
    }
    settle(&Scope::all(), watched, &best)
}

/// Fits coefficients, scales and the map of the tail, and judges every hour by them.
pub(crate) fn learn(watched: &[Watched<'_>], statistics: &[Statistic], clumps: Clumps) -> Learnt {
    let mut coefficients: Vec<Coefficients> = vec![Vec::new(); watched.len()];
    let mut best: Vec<Vec<Best>> = vec![Vec::new(); watched.len()];
    let (mut scales, mut maps, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_day = day_flanks(watched);
    for index in 0..LENGTHS.len() {
        let length = Length::new(index, watched, &clumps, &(0..usize::MAX), &mut of_day);
        let of_length = learn_length(&length, watched, statistics);
        scales.push(of_length.scales);
        maps.push(of_length.map);
        groups.push(of_length.groups);
        coefficients.iter_mut().zip(of_length.coefficients).for_each(|(all, one)| all.push(one));
        best.iter_mut().zip(of_length.best).for_each(|(all, one)| all.push(one));
    }
    let found = settle(&Scope::all(), watched, &best);
    Learnt { statistics: Statistics { scales, maps, groups, clumps }, coefficients, found, best }
}

/// What is learnt of the windows of one length.
struct OfLength {
    scales: Vec<Scale>,
    map: TailMap,
    groups: Groups,
    /// Per series, of each statistic.
    coefficients: Vec<Vec<Regression>>,
    /// Per series.
    best: Vec<Best>,
}

fn learn_length(length: &Length, watched: &[Watched<'_>], statistics: &[Statistic]) -> OfLength {
    let hours = LENGTHS[length.index];
    let mut groups = Groups::new(if hours <= LONGEST_GROUP { watched.len() } else { 0 });
    let mut coefficients: Vec<Vec<Regression>> = vec![Vec::new(); watched.len()];
    let (mut counts, mut group_counts) = (TailCounts::default(), TailCounts::default());
    let (mut scales, mut ranked) = (Vec::new(), Vec::new());
    for &statistic in statistics {
        let fitted = length.regressions(watched, statistic);
        let (regressions, mut residuals): (Vec<Regression>, Vec<Vec<f64>>) = fitted.into_iter().unzip();
        let scale = scale_of(&residuals, watched, hours);
        residuals.par_iter_mut().for_each(|residuals| calibrate::scale_all(residuals, scale));
        for (residuals, w) in residuals.iter().zip(watched) {
            calm(residuals, w.track, hours).for_each(|residual| counts.add(residual));
        }
        ranked.push(groups.learn(&residuals, &mut group_counts));
        scales.push(scale);
        coefficients.iter_mut().zip(regressions).for_each(|(of_series, one)| of_series.push(one));
    }
    let map = TailMap::fit(&counts);
    groups.set_map(&group_counts);
    let mut best: Vec<Best> = length.deviates.iter().map(|d| Best::new(d.0[0].len())).collect();
    for (position, (&statistic, ranked)) in statistics.iter().zip(&ranked).enumerate() {
        // Once more: those of all statistics would take more memory than everything else.
        let residuals = length.scaled(watched, statistic, scales[position], |at| &coefficients[at][position]);
        let groups = groups.best_of(position, ranked);
        best.par_iter_mut().zip(&residuals).for_each(|(best, residuals)| {
            best.update(&(0..usize::MAX), residuals, &groups, &map, position as u8);
        });
    }
    OfLength { scales, map, groups, coefficients, best }
}

/// The scale of a statistic: the median over series of the quantiles of each.
fn scale_of(residuals: &[Vec<f64>], watched: &[Watched<'_>], hours: usize) -> Scale {
    let quantiles = |(residuals, w): (&Vec<f64>, &Watched<'_>)| {
        calibrate::quantiles(&mut calm(residuals, w.track, hours).collect::<Vec<f64>>())
    };
    calibrate::pooled(&residuals.par_iter().zip(watched).map(quantiles).collect::<Vec<_>>())
}

impl Length {
    /// Sums up the equations of a series over unmasked windows that overlap by at most two thirds.
    fn equations(
        &self,
        at: usize,
        watched: &Watched<'_>,
        statistic: Statistic,
        weight: impl Fn(&Row, f64) -> (f64, f64),
    ) -> Equations {
        let surroundings = self.surroundings(at, watched);
        let flanks = &self.flanks[at][statistic.step];
        let length = LENGTHS[self.index];
        let mut equations = Equations::default();
        let starts = self.deviates[at].0[statistic.step].len();
        for from in (0..starts).step_by((length / 3).max(1)) {
            if !watched.track.is_calm(from, from + length) {
                continue;
            }
            if let Some((row, target)) = surroundings.row(statistic, flanks, from) {
                let (target, weight) = weight(&row, target);
                equations.add(&row, target, weight);
            }
        }
        equations
    }

    /// The regression of every series, and its standardised residuals.
    fn regressions(&self, watched: &[Watched<'_>], statistic: Statistic) -> Vec<(Regression, Vec<f64>)> {
        let pooled = |weight: &(dyn Fn(&Row, f64) -> (f64, f64) + Sync)| {
            let of = |(at, w): (usize, &Watched<'_>)| self.equations(at, w, statistic, weight);
            let all: Vec<Equations> = watched.par_iter().enumerate().map(of).collect();
            let mut sum = Equations::default();
            for equations in &all {
                sum.merge(equations);
            }
            (sum.solve_common(), all)
        };
        let (first, _) = pooled(&|_, target| (target.clamp(-CLIP, CLIP), 1.0));
        let huber = |row: &Row, target: f64| (target, regress::huber_weight(regress::residual(row, target, &first)));
        let (common, all) = pooled(&huber);
        let own = |(at, equations): (usize, &Equations)| {
            let coefficients = equations.solve_own(&common);
            let raw = Regression { coefficients, spread: 1.0 };
            let residuals = self.residuals(at, &watched[at], statistic, &raw);
            let (spread, windows) = regress::spread(calm(&residuals, watched[at].track, LENGTHS[self.index]));
            (Regression { coefficients, spread }, windows, residuals)
        };
        let own: Vec<(Regression, usize, Vec<f64>)> = all.par_iter().enumerate().map(own).collect();
        let mut spreads: Vec<f64> = own.iter().map(|(regression, ..)| regression.spread).collect();
        let middle = spreads.len() / 2;
        let median = *spreads.select_nth_unstable_by(middle, f64::total_cmp).1;
        let shrunk = |(regression, windows, mut residuals): (Regression, usize, Vec<f64>)| {
            let independent = windows as f64 / LENGTHS[self.index] as f64;
            let spread = regress::shrunk_spread(regression.spread, independent, median);
            for residual in &mut residuals {
                *residual /= spread;
            }
            (Regression { spread, ..regression }, residuals)
        };
        own.into_iter().map(shrunk).collect()
    }
}

/// The residuals of observed windows without masked hours.
fn calm(residuals: &[f64], track: &Track, length: usize) -> impl Iterator<Item = f64> {
    let all = residuals.iter().enumerate();
    all.filter(move |(from, r)| !r.is_nan() && track.is_calm(*from, from + length)).map(|(_, r)| *r)
}
