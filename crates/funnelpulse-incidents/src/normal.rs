//! Expected values of a panel: within the days of the training from the levels of the model, else filtered from the
//! days before.
//!
//! Panels that follow each other overlap in all but their last rows. Days that an earlier scan has settled are taken
//! over, and only the days after them are computed, from the days that they look back to.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    grid::{DAY, Grid, PURCHASES, STEPS},
    model::SeriesModel,
    scan::Scanned,
    series::Series,
    structure::{drift, entries::Correction, jump, level},
    windows::greedy::Found,
};

/// Days before the first that is computed whose sums its level needs, and one more: purchases follow their carts by up
/// to a day.
const BEFORE: usize = drift::REACH + 1;

/// Expected values of one series, in the unit of its price, and the mask.
#[derive(Clone, Debug)]
pub(crate) struct Normal {
    pub(crate) expected: [Vec<f64>; STEPS],
    /// The same with changes that are still news, where they differ.
    with_news: Option<Box<[Vec<f64>; STEPS]>>,
    pub(crate) mask: Vec<f64>,
    /// Hours that the model was trained on: their mask is known for good.
    pub(crate) is_trained: Vec<bool>,
    /// How much more relative variance visits, carts and purchases have per day because a level has jumped.
    pub(crate) jump_variance: [Vec<f64>; PURCHASES + 1],
}

impl Normal {
    fn with_news(&self) -> &[Vec<f64>; STEPS] {
        self.with_news.as_deref().unwrap_or(&self.expected)
    }

    /// Some days of it.
    fn days(&self, days: &Range<usize>) -> Self {
        let hours = days.start * DAY..days.end * DAY;
        let of = |all: &[Vec<f64>; STEPS]| all.each_ref().map(|all| all[hours.clone()].to_vec());
        Self {
            expected: of(&self.expected),
            with_news: self.with_news.as_deref().map(|all| Box::new(of(all))),
            mask: self.mask[hours.clone()].to_vec(),
            is_trained: self.is_trained[hours.clone()].to_vec(),
            jump_variance: self.jump_variance.each_ref().map(|all| all[days.clone()].to_vec()),
        }
    }
}

/// What a scan has expected of its last whole days, for those after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectations {
    names: Vec<String>,
    /// Since 1970.
    days: Range<i64>,
    normal: Vec<Normal>,
}

impl Expectations {
    /// Keeps the whole days of the grid from `first` on.
    pub(crate) fn of(scanned: &Scanned<'_>, normal: &[Normal], first: usize) -> Self {
        let end = scanned.grid.hours / DAY;
        let days = first.min(end)..end;
        let since = first_day(scanned.grid);
        Self {
            names: scanned.names.iter().map(ToString::to_string).collect(),
            days: since + days.start as i64..since + days.end as i64,
            normal: normal.iter().map(|normal| normal.days(&days)).collect(),
        }
    }

    /// The same with other expected values.
    #[cfg(test)]
    pub(crate) fn times(mut self, factor: f64) -> Self {
        self.normal.iter_mut().flat_map(|normal| &mut normal.expected).flatten().for_each(|m| *m *= factor);
        self
    }

    /// Whether they hold the days of a grid from `first` up to `until`.
    fn hold(&self, scanned: &Scanned<'_>, first: usize, until: usize) -> bool {
        let since = first_day(scanned.grid);
        self.names == scanned.names && since + first as i64 >= self.days.start && since + until as i64 <= self.days.end
    }
}

/// Days of the grid that an earlier scan has settled.
#[derive(Clone, Copy)]
pub(crate) struct Settled<'a> {
    pub(crate) expectations: &'a Expectations,
    /// The first day of the grid that is needed, and the first that is not settled.
    pub(crate) first: usize,
    pub(crate) until: usize,
}

/// The days of one series before those that are computed.
struct Prefix<'a> {
    normal: &'a Normal,
    /// The first of them among the days of `normal`.
    from: usize,
}

/// The corrections of one series in a grid that begins so many days later than theirs.
#[derive(Clone, Copy)]
struct Corrected<'a> {
    corrections: &'a [Correction],
    later: usize,
}

fn first_day(grid: Grid) -> i64 {
    grid.start.div_euclid(DAY as i64)
}

impl Scanned<'_> {
    /// Expected values of the history as if every hour came after training, with the masks of the model.
    pub(crate) fn as_live(&self) -> Vec<Normal> {
        let none = Corrected { corrections: &[], later: 0 };
        (0..self.series.len()).into_par_iter().map(|at| self.normal(at, None, none, true, None)).collect()
    }

    /// Expected values of all series. `found` is what a first look found, and `corrections` what calendar entries do.
    pub(crate) fn normals(
        &self,
        found: Option<&[Vec<Found>]>,
        corrections: &[Vec<Correction>],
        settled: Option<Settled<'_>>,
    ) -> Vec<Normal> {
        let corrected = |at: usize, later: usize| {
            let corrections = corrections.get(at).map_or(&[] as &[Correction], Vec::as_slice);
            Corrected { corrections, later }
        };
        if let Some((settled, first)) = settled.and_then(|settled| Some((settled, self.first_computed(settled)?))) {
            let hours = first * DAY;
            let series: Vec<Series> = self.series.iter().map(|series| series.values_from(hours)).collect();
            let later = Scanned { grid: self.grid.from(hours), cells: &self.cells[hours..], series: &series, ..*self };
            let one = |at: usize| {
                let normal = &settled.expectations.normal[at];
                let from = (first_day(later.grid) - settled.expectations.days.start) as usize;
                let found = found.map(|found| &found[at][hours..]);
                let later = later.normal(at, found, corrected(at, first), false, Some(Prefix { normal, from }));
                self.joined(settled, at, &later)
            };
            return (0..self.series.len()).into_par_iter().map(one).collect();
        }
        let one = |at: usize| self.normal(at, found.map(|found| found[at].as_slice()), corrected(at, 0), false, None);
        (0..self.series.len()).into_par_iter().map(one).collect()
    }

    /// The first day that has to be looked at where an earlier scan has settled some; `None` where it is of no use.
    fn first_computed(&self, Settled { expectations, first, until }: Settled<'_>) -> Option<usize> {
        let before = until.checked_sub(BEFORE)?;
        // Of a run that began earlier no hour is masked any more after so long.
        let is_short = self.model.config.new_normal_hours as usize <= drift::REACH * DAY;
        (is_short && expectations.hold(self, first.min(before), until)).then_some(before)
    }

    /// Settled days, and after them those of `later`, which begins [`BEFORE`] days earlier. Hours before those that
    /// are settled have zeros.
    fn joined(&self, settled: Settled<'_>, at: usize, later: &Normal) -> Normal {
        let Settled { expectations, until, .. } = settled;
        let settled = &expectations.normal[at];
        let since = first_day(self.grid) - expectations.days.start;
        let (from, skipped) = (since.max(0) as usize, (-since).max(0) as usize);
        let join = |settled: &[f64], later: &[f64], of_day: usize, all: usize| {
            let mut joined = vec![0.0; all];
            let known = skipped.min(until) * of_day..until * of_day;
            joined[known.clone()].copy_from_slice(&settled[from * of_day..][..known.len()]);
            joined[until * of_day..].copy_from_slice(&later[BEFORE * of_day..]);
            joined
        };
        let hours = self.grid.hours;
        let of_steps = |settled: &[Vec<f64>; STEPS], later: &[Vec<f64>; STEPS]| -> [Vec<f64>; STEPS] {
            std::array::from_fn(|step| join(&settled[step], &later[step], DAY, hours))
        };
        let differ = settled.with_news.is_some() || later.with_news.is_some();
        let of_days =
            |step: usize| join(&settled.jump_variance[step], &later.jump_variance[step], 1, hours.div_ceil(DAY));
        Normal {
            expected: of_steps(&settled.expected, &later.expected),
            with_news: differ.then(|| Box::new(of_steps(settled.with_news(), later.with_news()))),
            mask: join(&settled.mask, &later.mask, DAY, hours),
            is_trained: self.is_trained(self.models[at]),
            jump_variance: std::array::from_fn(of_days),
        }
    }

    fn is_trained(&self, model: &SeriesModel) -> Vec<bool> {
        let (first, trained) = (first_day(self.grid), model.shape.days());
        (0..self.grid.hours).map(|hour| trained.contains(&(first + (hour / DAY) as i64))).collect()
    }

    /// Expected values of one series. Those of `prefix` are taken over, and the first of its days is of no use.
    fn normal(
        &self,
        at: usize,
        found: Option<&[Found]>,
        corrected: Corrected<'_>,
        is_live: bool,
        prefix: Option<Prefix<'_>>,
    ) -> Normal {
        let (model, hours, known) = (self.models[at], self.grid.hours, self.known());
        let shape = &model.shape;
        let is_trained = self.is_trained(model);
        let mut mask = self.mask(model, &is_trained, found);
        let is_trained = if is_live { vec![false; hours] } else { is_trained };
        let mut expected: [Vec<f64>; STEPS] = std::array::from_fn(|_| vec![0.0; hours]);
        let mut jump_variance: [Vec<f64>; PURCHASES + 1] = std::array::from_fn(|_| vec![0.0; hours.div_ceil(DAY)]);
        let taken = prefix.as_ref().map_or(0, |_| BEFORE * DAY);
        if let Some(Prefix { normal, from }) = &prefix {
            mask[..taken].copy_from_slice(&normal.mask[from * DAY..][..taken]);
        }
        for step in (0..STEPS).filter(|&step| known[step]) {
            let mut base = self.base(at, &expected, step);
            for correction in corrected.corrections {
                correction.apply(&mut base, &self.place(at), step, &is_trained, corrected.later);
            }
            let days: Vec<usize> = (taken / DAY..hours.div_ceil(DAY)).collect();
            let levels = self.levels(at, step, &base, &mask, &is_trained, &days);
            for (&day, level) in days.iter().zip(levels) {
                let hours = day * DAY..((day + 1) * DAY).min(hours);
                match level {
                    Some(level) => {
                        let factor = level.log.exp();
                        base[hours].iter_mut().for_each(|b| *b *= factor);
                        // Each step is expected from the steps before it.
                        jump_variance.iter_mut().skip(step).for_each(|v| v[day] += level.jump_variance);
                    }
                    None => base[hours.clone()].iter_mut().zip(hours).for_each(|(b, hour)| {
                        *b *= self.stored_level(model, step, hour).exp();
                    }),
                }
            }
            if let Some(Prefix { normal, from }) = &prefix {
                base[..taken].copy_from_slice(&normal.with_news()[step][from * DAY..][..taken]);
            }
            expected[step] = base;
        }
        let news_hours = self.model.config.new_normal_hours as usize;
        let is_news = |jump: &jump::Jump| jump.hour + news_hours as i64 > self.grid.start;
        let with_news = shape.jumps.iter().flatten().any(is_news).then(|| Box::new(expected.clone()));
        jump::expect_news(&mut expected, &shape.jumps, self.grid.start, news_hours, !known[PURCHASES]);
        Normal { expected, with_news, mask, is_trained, jump_variance }
    }

    /// Levels of some days that are filtered from the days before them; `None` where the model has the level.
    fn levels(
        &self,
        at: usize,
        step: usize,
        base: &[f64],
        mask: &[f64],
        is_trained: &[bool],
        days: &[usize],
    ) -> Vec<Option<drift::Level>> {
        let shape = &self.models[at].shape;
        if days.iter().all(|day| is_trained[day * DAY]) {
            return vec![None; days.len()];
        }
        let (knots, trained, first) = (&shape.knots[step], shape.days(), first_day(self.grid));
        let end = knots[knots.len() - 1] + jump::level(&shape.jumps[step], i64::MAX);
        let known = drift::Known { days: (trained.start - first, trained.end - first), levels: (knots[0], end) };
        let (sums, noise) = (self.days(at, base, mask, step), self.day_noise(at, step));
        let level =
            |&day: &usize| (!is_trained[day * DAY]).then(|| self.model.drifts[step].level(&sums, day, known, noise));
        days.iter().map(level).collect()
    }

    /// The log level of an hour of the training.
    fn stored_level(&self, model: &SeriesModel, step: usize, hour: usize) -> f64 {
        let shape = &model.shape;
        let day = first_day(self.grid) + (hour / DAY) as i64 - shape.days().start;
        let jumps = jump::level(&shape.jumps[step], self.grid.start + hour as i64);
        level::between(&shape.knots[step], day as usize * DAY + hour % DAY) + jumps
    }

    /// The mask of the model where it was trained, that of the first look elsewhere.
    fn mask(&self, model: &SeriesModel, is_trained: &[bool], found: Option<&[Found]>) -> Vec<f64> {
        let mut mask = vec![1.0; is_trained.len()];
        if let Some(found) = found {
            let heights: Vec<f64> = found.iter().map(|f| f.height).collect();
            mask = model.mask_height.mask_news(&heights, self.model.config.new_normal_hours as usize);
        }
        for (hour, mask) in mask.iter_mut().enumerate().filter(|(hour, _)| is_trained[*hour]) {
            *mask = if model.is_masked(self.grid.start + hour as i64) { 0.0 } else { 1.0 };
        }
        mask
    }
}
