//! Groups of series: many that are a little off in the same window and direction.
//!
//! The best subset for the statistic `sum / sqrt(size)` holds the series with the largest residuals
//! (linear-time subset scanning, Neill 2012), so that one sort per window looks at all groups.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    calibrate::{TailCounts, TailMap},
    regress::clipped,
};

/// Sizes of groups.
const SIZES: [usize; 8] = [2, 3, 4, 6, 8, 12, 16, 24];
/// So many residuals are sorted whole: of more only the lowest and the highest.
const SORTED: usize = 64;
/// Series from which on groups are looked for, and their largest share of the series.
const LEAST_SERIES: usize = 6;
const LARGEST_SHARE: f64 = 0.5;
/// Share of the series of the fit that have to be observed in a window.
const OBSERVED: f64 = 0.7;
/// A member is off by at least this many standard deviations itself.
const LEAST_MEMBER: f64 = 1.0;
/// A false group is a false incident of each member: its height counts less by the logarithm of
/// its size over this slope of log rates.
const SLOPE: f64 = 2.5;
/// Height that a group has in advance: its members need no evidence of their own.
const BONUS: f64 = 0.5;
/// The quantile that sets the scale, as for single series.
const QUANTILE: f64 = 0.99;
const NORMAL_QUANTILE: f64 = 2.326;

/// Median and scale of the statistic per size, of negative and of positive residuals.
pub(crate) type GroupScale = [Vec<(f64, f64)>; 2];

/// What groups of one length are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Groups {
    /// Series of the fit.
    series: usize,
    /// Per statistic.
    scales: Vec<GroupScale>,
    map: Option<TailMap>,
}

/// A group in one window: its height, and the least size of its members' residuals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Group {
    pub(crate) height: f64,
    least: f64,
    is_above: bool,
}

/// The best group of each size in one window and direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked {
    /// The statistic per size.
    sums: [f64; SIZES.len()],
    /// The least residual of the group.
    least: [f64; SIZES.len()],
}

impl Group {
    /// Whether a series with this residual is a member.
    pub(crate) fn holds(&self, residual: f64) -> bool {
        let residual = if self.is_above { residual } else { -residual };
        residual >= self.least.max(LEAST_MEMBER)
    }
}

impl Groups {
    pub(crate) fn new(series: usize) -> Self {
        Self { series, scales: Vec::new(), map: None }
    }

    fn sizes(&self) -> &'static [usize] {
        let largest = if self.series < LEAST_SERIES { 0 } else { (self.series as f64 * LARGEST_SHARE) as usize };
        &SIZES[..SIZES.partition_point(|size| *size <= largest)]
    }

    /// Learns medians and scales of one statistic from the scaled residuals of all series, whose ranks are returned.
    pub(crate) fn learn(&mut self, residuals: &[Vec<f64>], counts: &mut TailCounts) -> Vec<[Option<Ranked>; 2]> {
        let sizes = self.sizes();
        if sizes.is_empty() {
            self.scales.push(GroupScale::default());
            return Vec::new();
        }
        let starts = residuals.iter().map(Vec::len).max().unwrap_or(0);
        let rank = |observed: &mut Vec<f64>, from: usize| self.rank(residuals, from, observed);
        let ranked: Vec<[Option<Ranked>; 2]> = (0..starts).into_par_iter().map_init(Vec::new, rank).collect();
        let scale: GroupScale = [0, 1].map(|side| {
            let of_side = || ranked.iter().filter_map(|sides| sides[side].as_ref());
            (0..sizes.len()).map(|size| spread(of_side().map(|ranked| ranked.sums[size]).collect())).collect()
        });
        self.scales.push(scale);
        for group in self.best_of(self.scales.len() - 1, &ranked).iter().flatten() {
            counts.add(group.height);
        }
        ranked
    }

    /// The best group of each window and side.
    pub(crate) fn best_of(&self, statistic: usize, ranked: &[[Option<Ranked>; 2]]) -> Vec<[Group; 2]> {
        let best = |sides: &[Option<Ranked>; 2]| {
            [false, true].map(|is_above| self.best(statistic, sides[usize::from(is_above)].as_ref(), is_above))
        };
        ranked.par_iter().map(best).collect()
    }

    /// Sets the map of heights to normal ones.
    pub(crate) fn set_map(&mut self, counts: &TailCounts) {
        self.map = Some(TailMap::fit(counts));
    }

    /// The best group of each window and side; of windows that start outside of some hours none.
    pub(crate) fn find(&self, statistic: usize, residuals: &[Vec<f64>], starting: &Range<usize>) -> Vec<[Group; 2]> {
        let starts = residuals.iter().map(Vec::len).max().unwrap_or(0);
        if self.sizes().is_empty() {
            return Vec::new();
        }
        let none = [false, true].map(|is_above| Group { is_above, ..Group::default() });
        let best = |observed: &mut Vec<f64>, from: usize| {
            let ranked = self.rank(residuals, from, observed);
            [false, true].map(|is_above| self.best(statistic, ranked[usize::from(is_above)].as_ref(), is_above))
        };
        let mut groups = vec![none; starts];
        let starting = clipped(starting, starts);
        let first = starting.start;
        let each = groups[starting].par_iter_mut().enumerate();
        each.for_each_init(Vec::new, |observed, (at, group)| *group = best(observed, first + at));
        groups
    }

    fn best(&self, statistic: usize, ranked: Option<&Ranked>, is_above: bool) -> Group {
        let mut best = Group { is_above, ..Group::default() };
        let Some(Ranked { sums, least }) = ranked else { return best };
        let scales = &self.scales[statistic][usize::from(is_above)];
        for (((sum, least), (median, scale)), size) in sums.iter().zip(least).zip(scales).zip(self.sizes()) {
            let height = (sum - median) / scale;
            let height =
                self.map.map_or(height, |map| map.height(height.max(0.0)) - (*size as f64).ln() / SLOPE + BONUS);
            if height > best.height {
                best.height = height;
                best.least = *least;
            }
        }
        best
    }

    /// The best group of each size, below and above; `None` where too few series are observed.
    fn rank(&self, residuals: &[Vec<f64>], from: usize, observed: &mut Vec<f64>) -> [Option<Ranked>; 2] {
        observed.clear();
        observed.extend(residuals.iter().filter_map(|r| r.get(from)).filter(|r| !r.is_nan()));
        let needed = self.sizes().last().copied().unwrap_or(usize::MAX);
        if (observed.len() as f64) < OBSERVED * self.series as f64 || observed.len() < needed {
            return [None; 2];
        }
        if observed.len() > SORTED {
            observed.select_nth_unstable_by(needed - 1, f64::total_cmp);
            let highest = observed.len() - needed;
            observed[needed..].select_nth_unstable_by(highest.saturating_sub(needed), f64::total_cmp);
            observed.copy_within(highest.., needed);
            observed.truncate(2 * needed);
        }
        observed.sort_unstable_by(f64::total_cmp);
        let above = self.ranked(observed.iter().rev().copied());
        [Some(self.ranked(observed.iter().map(|residual| -residual))), Some(above)]
    }

    /// The statistics of residuals from the largest down.
    fn ranked(&self, mut residuals: impl Iterator<Item = f64> + Clone) -> Ranked {
        let mut ranked = Ranked { sums: [0.0; SIZES.len()], least: [0.0; SIZES.len()] };
        // No single series makes a group.
        let limit = residuals.clone().nth(1).map_or(0.0, |second| second + 1.0);
        let (mut sum, mut added, mut last) = (0.0, 0, 0.0);
        for (at, &size) in self.sizes().iter().enumerate() {
            for residual in residuals.by_ref().take(size - added) {
                sum += residual.min(limit);
                last = residual;
            }
            added = size;
            ranked.sums[at] = sum / (size as f64).sqrt();
            ranked.least[at] = last;
        }
        ranked
    }

    /// Whether they may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self, statistics: usize) -> bool {
        let sizes = self.sizes().len();
        let side_is_valid = |side: &Vec<(f64, f64)>| {
            side.len() == sizes && side.iter().all(|(m, s)| m.abs() < 1e6 && (0.05..1e6).contains(s))
        };
        self.series < 1 << 32
            && self.scales.len() == statistics
            && self.scales.iter().flatten().all(side_is_valid)
            && self.map.is_none_or(|map| map.is_valid())
    }
}

/// Median and scale: the distance from the median to the 99 % quantile in standard deviations.
fn spread(mut values: Vec<f64>) -> (f64, f64) {
    if values.len() < 100 {
        return (0.0, 10.0);
    }
    let mut at = |share: f64| {
        let rank = (values.len() as f64 * share) as usize;
        *values.select_nth_unstable_by(rank, f64::total_cmp).1
    };
    let (median, high) = (at(0.5), at(QUANTILE));
    (median, ((high - median) / NORMAL_QUANTILE).clamp(0.1, 1e5))
}
