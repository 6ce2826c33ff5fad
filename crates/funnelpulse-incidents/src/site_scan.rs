//! Judging the sum of all series.

use funnelpulse_core::SeriesKey;

use crate::{
    RowEvidence, SITE,
    grid::{DAY, PURCHASES, STEPS, TRAFFIC},
    judge::Judge,
    normal::Normal,
    scan::{LOOK_BACK, Scanned},
    site::{self, Part, SiteModel, Sum},
    structure::{Place, entries},
    windows::{again::Windows, greedy::Found, noise::Noise, statistics},
};

impl Scanned<'_> {
    /// What the hours of the site show from a day of the grid on, by the models of hindsight and of live levels.
    pub(crate) fn site_found(
        &self,
        (hindsight, live): (&SiteModel, &SiteModel),
        normal: &[Normal],
        first_day: usize,
        windows: &mut [Windows; 2],
    ) -> Vec<Found> {
        let days = self.grid.hours.div_ceil(DAY);
        let trained = self.trained_days();
        let mut shown = vec![Found::default(); self.grid.hours];
        let within = |from: usize, to: usize| from.max(first_day)..to.min(days);
        let spans = [
            (within(0, trained.start), live),
            (within(trained.start, trained.end), hindsight),
            (within(trained.end, days), live),
        ];
        for (days, model) in spans.into_iter().filter(|(days, _)| !days.is_empty()) {
            let first = days.start.saturating_sub(LOOK_BACK) * DAY;
            let hours = days.start * DAY..(days.end * DAY).min(self.grid.hours);
            let sum = self.sum(normal, first);
            let scope = days.start - first / DAY..days.end - first / DAY;
            let is_last = days.end == trained.end || hours.end == self.grid.hours;
            let windows = &mut windows[usize::from(std::ptr::eq(model, live))];
            let before = is_last.then_some((self.grid.start + first as i64, windows));
            let found = model.found(&sum, &statistics(self.known()), self.series.len(), scope, before);
            shown[hours.clone()].copy_from_slice(&found[hours.start - first..hours.end - first]);
        }
        shown
    }

    /// The mean revenue of a purchase in the history of all series.
    fn site_unit(&self) -> f64 {
        let sums = self.models.iter().fold((0.0, 0.0), |(revenue, purchases), model| {
            let shape = &model.shape;
            // The mean levels of a step and those before it.
            let of_series = shape.start[..=PURCHASES].iter().sum::<f64>().exp();
            (revenue + of_series * shape.unit * shape.tail_factor, purchases + of_series)
        });
        let unit = sums.0 / sums.1;
        if unit.is_finite() && unit > 0.0 { unit } else { 1.0 }
    }

    /// The sum of all series from an hour of the grid on.
    pub(crate) fn sum(&self, normal: &[Normal], first: usize) -> Sum {
        let part = |at: usize| Part {
            value: &self.series[at].value,
            expected: &normal[at].expected,
            seen: &self.series[at].seen,
            scale: site::scale(self.models[at].shape.unit),
            noise: &self.models[at].hindsight.noise,
        };
        let parts: Vec<Part<'_>> = (0..self.series.len()).map(part).collect();
        let place = Place { grid: self.grid, cells: self.cells, calendar: self.calendar, name: SITE };
        let trained = self.models.first().map_or(0..0, |model| model.shape.days());
        let uncertainty = entries::uncertainty(&place, &self.model.common, &trained);
        let uncertainty = uncertainty.into_iter().map(|of_step| of_step[first..].to_vec()).collect();
        Sum::new(self.known(), &self.model.values, &parts, first..self.grid.hours).with_uncertainty(uncertainty)
    }

    /// One row per hour in which any series has one: sums of what was observed and expected. Rows before `first` have no
    /// name.
    pub(crate) fn site_evidence(&self, noise: &Noise, normal: &[Normal], found: &[Found], first: usize) -> RowEvidence {
        let hours = self.grid.hours;
        let (mut observed, mut expected) = (vec![[f64::NAN; STEPS]; hours], vec![[f64::NAN; STEPS]; hours]);
        let add = |sum: f64, value: f64| if sum.is_nan() { value } else { sum + value };
        for (at, normal) in normal.iter().enumerate() {
            let (y, m) = self.observed_and_expected(at, normal);
            for hour in 0..hours {
                for step in (0..STEPS).filter(|&step| !y[hour][step].is_nan()) {
                    observed[hour][step] = add(observed[hour][step], y[hour][step]);
                    expected[hour][step] = add(expected[hour][step], m[hour][step]);
                }
            }
        }
        let known: Vec<usize> = (0..hours).filter(|&hour| !observed[hour][TRAFFIC].is_nan()).collect();
        let unit = self.site_unit();
        let prior = self.model.prior_log_odds;
        let row = |&hour: &usize| {
            let alarm = &self.model.calibration(!normal[0].is_trained[hour]).alarm;
            Judge { alarm, prior, noise, unit }.row_from(first, hour, &observed, &expected, found[hour])
        };
        RowEvidence {
            series: SeriesKey::new(SITE),
            time: known.iter().map(|&hour| self.grid.time(hour)).collect(),
            rows: known.iter().map(row).collect(),
            statistics: statistics(self.known()),
            noise: noise.clone(),
            unit,
            prior: self.model.prior_log_odds,
        }
    }
}
