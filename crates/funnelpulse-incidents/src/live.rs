//! Hours after training: how levels drift, and what calendar entries do as they come.

use crate::{
    calendar::Entry,
    grid::STEPS,
    normal::Normal,
    scan::Scanned,
    series::Series,
    structure::{
        Place,
        drift::{self, DayNoise, Days, Drift, Drifts},
        entries::{self, Correction, Witness},
        exposure,
        sweep::winsorized,
    },
};

impl Scanned<'_> {
    pub(crate) fn place(&self, at: usize) -> Place<'_> {
        Place { grid: self.grid, cells: self.cells, calendar: self.calendar, name: self.names[at] }
    }

    /// Expected values of a step without its level, given those of the steps before it.
    pub(crate) fn base(&self, at: usize, expected: &[Vec<f64>; STEPS], step: usize) -> Vec<f64> {
        let common = &self.model.common;
        let mut base = self.models[at].shape.factors(common, &self.place(at), step);
        let exposure = exposure(self.known(), common, &self.series[at], expected, step);
        base.iter_mut().zip(exposure).for_each(|(b, e)| *b *= e);
        base
    }

    /// Sums of each day of one step, without masked hours.
    pub(crate) fn days(&self, at: usize, base: &[f64], mask: &[f64], step: usize) -> Days {
        let series = &self.series[at];
        let value = winsorized(self.known(), series, self.models[at].shape.unit, step);
        let weight: Vec<f64> = series.seen[step].iter().zip(mask).map(|(s, m)| s * m).collect();
        Days::new(&value, base, &weight)
    }

    pub(crate) fn day_noise(&self, at: usize, step: usize) -> DayNoise {
        let noise = &self.models[at].hindsight.noise;
        DayNoise { dispersion: noise.dispersion[step], relative: noise.relative_of_day(step) }
    }

    /// How the levels of the history drift.
    pub(crate) fn drifts(&self) -> Drifts {
        let normal = self.normals(None, &[], None);
        let fit = |step: usize| {
            let days = |(at, normal): (usize, &Normal)| {
                let base = self.base(at, &normal.expected, step);
                let start = self.models[at].shape.knots[step][0];
                (self.days(at, &base, &normal.mask, step), start, self.day_noise(at, step))
            };
            Drift::fit(&normal.iter().enumerate().map(days).collect::<Vec<_>>())
        };
        let known = self.known();
        std::array::from_fn(|step| if known[step] { fit(step) } else { drift::UNKNOWN })
    }

    /// What calendar entries after training do to each series, beyond what the model expects.
    pub(crate) fn corrections(&self, normal: &[Normal]) -> Vec<Vec<Correction>> {
        let known = self.known();
        let is_new = |entry: &Entry| entry.within(self.grid).any(|hour| !normal[0].is_trained[hour]);
        if !self.calendar.entries.iter().any(is_new) {
            return Vec::new();
        }
        let value = |(at, series): (usize, &Series)| -> [Vec<f64>; STEPS] {
            std::array::from_fn(|step| winsorized(known, series, self.models[at].shape.unit, step))
        };
        let values: Vec<[Vec<f64>; STEPS]> = self.series.iter().enumerate().map(value).collect();
        let mut witnesses: Vec<Witness<'_>> = Vec::with_capacity(normal.len());
        for ((at, normal), value) in normal.iter().enumerate().zip(&values) {
            let (expected, weight) = (&normal.expected, &self.series[at].seen);
            witnesses.push(Witness { place: self.place(at), value, expected, weight });
        }
        entries::corrections(known, &witnesses, &self.model.common.entries, &normal[0].is_trained)
    }
}
