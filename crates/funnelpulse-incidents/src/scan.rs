//! Judging a panel by what was learnt: expected values, windows, and what every row shows.

use std::{ops::Range, sync::Arc};

use funnelpulse_core::{SeriesKey, Timestamp};
use rayon::prelude::*;

use crate::{
    RowEvidence,
    calendar::Calendar,
    grid::{DAY, Grid, PURCHASES, REVENUE, STEPS},
    incident::Row,
    judge::{Judge, track},
    kept::{Kept, Look},
    model::{IncidentModel, SeriesModel},
    normal::{Expectations, Normal, Settled},
    series::Series,
    structure::{Known, drift, entries, jump},
    windows::{
        Track,
        again::Windows,
        evaluate::{self, Coefficients, Scope, Watched},
        greedy::Found,
        statistics,
    },
};

/// What a panel shows.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The series that the model knows, in order of their names.
    pub series: Vec<RowEvidence>,
    /// What all series show together, one row per hour. `None` with fewer series than
    /// [`IncidentConfig::min_series`](crate::IncidentConfig::min_series).
    pub site: Option<RowEvidence>,
    /// Series that the model doesn't know.
    pub unknown: Vec<SeriesKey>,
}

/// Days before the first of a look that its windows are compared with: windows of two days, and two days before them.
pub(crate) const LOOK_BACK: usize = 4;
/// Days before the first day of the rows in which an incident of the site may have begun.
const SITE_DAYS: usize = 14;

/// Days before the end of the training in which a run of abnormal hours that goes on after it may have begun.
const RUN_DAYS: usize = 14;

/// A panel on a grid, with the model of each series.
pub(crate) struct Scanned<'a> {
    pub(crate) model: &'a IncidentModel,
    pub(crate) grid: Grid,
    pub(crate) cells: &'a [u8],
    pub(crate) calendar: &'a Calendar,
    pub(crate) names: &'a [&'a str],
    pub(crate) series: &'a [Series],
    pub(crate) models: &'a [&'a SeriesModel],
}

impl Scanned<'_> {
    pub(crate) fn known(&self) -> Known {
        self.model.config.known()
    }

    /// Expected values, and what every hour shows from a day of the grid on. Days that a scan before has settled,
    /// up to a day since 1970, are taken over; `kept` takes what this one finds.
    pub(crate) fn run(
        &self,
        first_day: usize,
        before: Option<(&Kept, i64)>,
        kept: &mut Kept,
    ) -> (Vec<Normal>, Vec<Vec<Found>>) {
        let days = self.grid.hours.div_ceil(DAY);
        let trained = self.trained_days();
        if trained == (0..days) {
            let normal = self.normals(None, &[], None);
            let mut windows = before.map(|(kept, _)| kept.second.windows.clone()).unwrap_or_default();
            let found = self.look(&normal, std::slice::from_ref(&(first_day..days)), None, &mut windows);
            return (normal, found);
        }
        // The hours of the training have their mask; runs of abnormal hours may begin in the last of them.
        let runs = trained.start.max(trained.end.saturating_sub(RUN_DAYS));
        let first_look = if trained.start > 0 { 0 } else { runs };
        let settled = before.and_then(|before| self.settled(before, first_look, first_day));
        let settled = |stage: usize| settled.map(|settled| settled[stage]);
        // Hours after training: what calendar entries do is learnt as they come, and a second look leaves out
        // the hours that the first found abnormal.
        let normal = self.normals(None, &[], settled(0));
        kept.expected[0] = self.kept_of(&normal, first_day);
        let corrections = self.corrections(&normal);
        let mut first = normal;
        kept.expected[1] = kept.expected[0].clone();
        if corrections.iter().any(|corrections| !corrections.is_empty()) {
            first = self.normals(None, &corrections, settled(1));
            kept.expected[1] = self.kept_of(&first, first_day);
        }
        let known = before.map(|(kept, until)| (&kept.first, until));
        let mut windows = before.map(|(kept, _)| kept.first.windows.clone()).unwrap_or_default();
        let first = self.look(&first, &[0..trained.start, runs..days], known, &mut windows);
        kept.first.windows = windows;
        kept.first.keep(self.grid, first_look, self.names, &first);
        let normal = self.normals(Some(&first), &corrections, settled(2));
        kept.expected[2] = self.kept_of(&normal, first_day);
        let known = before.map(|(kept, until)| (&kept.second, until));
        let mut windows = before.map(|(kept, _)| kept.second.windows.clone()).unwrap_or_default();
        let found = self.look(&normal, std::slice::from_ref(&(first_day..days)), known, &mut windows);
        kept.second.windows = windows;
        kept.second.keep(self.grid, first_day, self.names, &found);
        (normal, found)
    }

    /// Expected values for the scan after this one: it looks at rows from a day on that is no earlier.
    fn kept_of(&self, normal: &[Normal], first_day: usize) -> Arc<Expectations> {
        let first = first_day.saturating_sub(SITE_DAYS + LOOK_BACK);
        Arc::new(Expectations::of(self, normal, first))
    }

    /// The days that an earlier scan has settled of each stage; `None` where it has not looked at all that come before
    /// those that are left.
    fn settled<'b>(
        &self,
        (kept, until): (&'b Kept, i64),
        first_look: usize,
        first_day: usize,
    ) -> Option<[Settled<'b>; 3]> {
        let looked = kept.first.days_within(self.grid, until);
        let (first, until) = (first_day.saturating_sub(SITE_DAYS + LOOK_BACK), looked.end);
        let settled = kept.expected.each_ref().map(|expectations| Settled { expectations, first, until });
        (looked.start <= first_look).then_some(settled)
    }

    /// The days of the grid that the model was trained on; empty at the start of the grid where there are none.
    pub(crate) fn trained_days(&self) -> Range<usize> {
        let first = self.grid.start.div_euclid(DAY as i64);
        let days = self.models.first().map_or(0..0, |model| model.shape.days());
        let at = |day: i64| (day - first).clamp(0, self.grid.hours.div_ceil(DAY) as i64) as usize;
        let trained = at(days.start)..at(days.end);
        if trained.is_empty() { 0..0 } else { trained }
    }

    /// What the hours of some days show: by the statistics of hindsight in the days of the training, by those of
    /// live levels in others. `windows` are those of the look before: of the last days of the training, and of the
    /// last days of all.
    fn look(
        &self,
        normal: &[Normal],
        parts: &[Range<usize>],
        before: Option<(&Look, i64)>,
        windows: &mut [Windows; 2],
    ) -> Vec<Vec<Found>> {
        let trained = self.trained_days();
        let known = before.map_or(0..0, |(look, until)| look.days_within(self.grid, until));
        let mut all = vec![vec![Found::default(); self.grid.hours]; self.series.len()];
        for part in parts {
            let within = |from: usize, to: usize| from.max(part.start)..to.min(part.end);
            let later = within(trained.end, usize::MAX);
            let spans = [(within(0, trained.start), true), (within(trained.start, trained.end), false), (later, true)];
            let unknown = spans.into_iter().flat_map(|(days, is_live)| {
                let first = days.start..days.end.min(known.start);
                let last = days.start.max(known.end)..days.end;
                let parts = if known.is_empty() { [days, 0..0] } else { [first, last] };
                parts.map(|days| (days, is_live))
            });
            for (days, is_live) in unknown.filter(|(days, _)| !days.is_empty()) {
                let hours = days.start * DAY..(days.end * DAY).min(self.grid.hours);
                let is_last = days.end == trained.end || hours.end == self.grid.hours;
                let windows = &mut windows[usize::from(is_live)];
                let found = self.found(normal, is_live, days, is_last.then_some(windows));
                all.iter_mut().zip(found).for_each(|(all, found)| all[hours.clone()].copy_from_slice(&found));
            }
            if let Some((look, _)) = before {
                let known = known.start.max(part.start)..known.end.min(part.end);
                for (all, name) in all.iter_mut().zip(self.names) {
                    look.copy(self.grid, &known, name, all);
                }
            }
        }
        all
    }

    /// What the hours of some days show by the statistics of hindsight or of live levels. With the windows of the
    /// scan before this one only those are computed that may be different.
    fn found(
        &self,
        normal: &[Normal],
        is_live: bool,
        days: Range<usize>,
        before: Option<&mut Windows>,
    ) -> Vec<Vec<Found>> {
        // Windows look back to the days before them, and no further.
        let first = days.start.saturating_sub(LOOK_BACK);
        let hours = (days.start - first) * DAY..((days.end - first) * DAY).min(self.grid.hours - first * DAY);
        let tracks = self.tracks(normal, first * DAY);
        let watched: Vec<Watched<'_>> = tracks
            .iter()
            .zip(self.models)
            .map(|(track, model)| Watched {
                track,
                noise: if is_live { &model.live.noise } else { &model.hindsight.noise },
            })
            .collect();
        let coefficients: Vec<&Coefficients> = self
            .models
            .iter()
            .map(|model| if is_live { &model.live.coefficients } else { &model.hindsight.coefficients })
            .collect();
        let fitted = &self.model.calibration(is_live).statistics;
        let (scope, statistics) = (Scope::of(days.start - first..days.end - first), statistics(self.known()));
        let start = self.grid.start + (first * DAY) as i64;
        let mut found = match before {
            None => evaluate::apply(&scope, &watched, &statistics, fitted, &coefficients),
            Some(before) => {
                let before = (start, self.names, before);
                evaluate::apply_again(&scope, &watched, &statistics, fitted, &coefficients, before)
            }
        };
        for found in &mut found {
            *found = found[hours.clone()].to_vec();
        }
        found
    }

    /// Running sums of every series from an hour of the grid on, the start of a day.
    pub(crate) fn tracks(&self, normal: &[Normal], first: usize) -> Vec<Track> {
        let news_hours = self.model.config.new_normal_hours as usize;
        let track = |at: usize| {
            let shape = &self.models[at].shape;
            let ends = jump::news_ends(&shape.jumps, self.grid.start + first as i64, news_hours);
            let Normal { expected, mask, is_trained, jump_variance, .. } = &normal[at];
            let (mask, is_trained) = (&mask[first..], &is_trained[first..]);
            let (series, values) = (&self.series[at], &self.model.values);
            let of_entries = entries::uncertainty(&self.place(at), &self.model.common, &shape.days());
            let uncertainty = drift::uncertainty(of_entries, jump_variance, self.grid.hours);
            track(first, self.known(), values, series, shape.unit, expected, mask, is_trained)
                .with_ends(&ends)
                .with_uncertainty(uncertainty.len(), |step, hour| {
                    expected[step][first + hour] * uncertainty[step][first + hour]
                })
        };
        (0..self.series.len()).into_par_iter().map(track).collect()
    }

    /// What every row of every series shows from a day of the grid on, and what the site shows.
    pub(crate) fn evidence(
        &self,
        first_day: usize,
        keys: &[&SeriesKey],
        times: &[&[Timestamp]],
        before: Option<(&Kept, i64)>,
        kept: &mut Kept,
    ) -> (Vec<RowEvidence>, Option<RowEvidence>) {
        let (normal, mut found) = self.run(first_day, before, kept);
        let model = self.model;
        let has_site = self.series.len() >= model.config.min_series;
        let site = model.hindsight.site.as_ref().zip(model.live.site.as_ref()).filter(|_| has_site);
        let site = site.map(|site| {
            let first_day = first_day.saturating_sub(SITE_DAYS);
            let mut windows = before.map(|(kept, _)| kept.site.clone()).unwrap_or_default();
            let shown = self.site_found(site, &normal, first_day, &mut windows);
            kept.site = windows;
            for own in &mut found {
                take_over(own, &shown);
            }
            self.site_evidence(&site.0.noise, &normal, &shown, first_day * DAY)
        });
        let one = |at: usize| {
            let model = self.models[at];
            RowEvidence {
                series: keys[at].clone(),
                time: times[at].to_vec(),
                rows: self.rows(at, &normal[at], &found[at], first_day * DAY),
                statistics: statistics(self.known()),
                noise: model.hindsight.noise.clone(),
                unit: model.shape.unit,
                prior: self.model.prior_log_odds,
            }
        };
        ((0..keys.len()).into_par_iter().map(one).collect(), site)
    }

    /// The rows of a series; those before `first` have no name.
    fn rows(&self, at: usize, normal: &Normal, found: &[Found], first: usize) -> Vec<Row> {
        let model = self.models[at];
        let (observed, expected) = self.observed_and_expected(at, normal);
        let (prior, noise, unit) = (self.model.prior_log_odds, &model.hindsight.noise, model.shape.unit);
        let row = |&hour: &usize| {
            let alarm = &self.model.calibration(!normal.is_trained[hour]).alarm;
            Judge { alarm, prior, noise, unit }.row_from(first, hour, &observed, &expected, found[hour])
        };
        self.series[at].rows.iter().map(row).collect()
    }

    /// Values of every hour as they were and as they were due; NaN where there is none.
    pub(crate) fn observed_and_expected(&self, at: usize, normal: &Normal) -> (Vec<[f64; STEPS]>, Vec<[f64; STEPS]>) {
        let (series, shape) = (&self.series[at], &self.models[at].shape);
        let known = self.known();
        let mean_price = shape.unit * shape.tail_factor;
        // Revenue is due from the purchases that are due, not from the observed ones; in hours without
        // any purchase the price of the hour before holds.
        let mut price = 1.0;
        let mut due = |hour: usize| -> [f64; STEPS] {
            let purchases = series.value[PURCHASES][hour];
            if known[PURCHASES] && purchases > 0.0 {
                price = normal.expected[REVENUE][hour] / purchases;
            }
            std::array::from_fn(|step| match step {
                _ if !known[step] => f64::NAN,
                REVENUE if known[PURCHASES] => normal.expected[PURCHASES][hour] * price * mean_price,
                REVENUE => normal.expected[REVENUE][hour] * mean_price,
                _ => normal.expected[step][hour],
            })
        };
        (series.observed(), (0..self.grid.hours).map(&mut due).collect())
    }
}

/// Hours in which the site shows more than the series takes over what the site shows.
pub(crate) fn take_over(own: &mut [Found], site: &[Found]) {
    for (own, site) in own.iter_mut().zip(site).filter(|(own, site)| site.height > own.height) {
        *own = Found { is_shared: true, ..*site };
    }
}
