//! Effects of calendar entries after training: what the series show of an entry so far.
//!
//! The training knows the mean effect of the entries of a kind, not that of an entry still to come. Its
//! effect is estimated as in training, from the same priors: what all series share, then what is
//! particular to each. The effect on a day is estimated with rows up to its end: windows reach one day
//! further, so that scores are final after three days.

use std::ops::Range;

use super::{
    Common, Known, Place,
    effects::{self, COUNT_NOISE, ENTRY_LIMIT, ENTRY_OWN_PRIOR, ENTRY_PRIOR, HOUR_NOISE, TOGETHER, WEEK_NOISE},
};
use crate::calendar::Entry;
use crate::grid::{DAY, PURCHASES, REVENUE, STEPS, TRAFFIC};

/// Days before a day that its estimate looks at: of an entry that lasts longer the latest week counts.
pub(crate) const REACH: usize = 7;

/// The variance of the effects of a kind of which nothing is known, the mean included, and the number of entries as
/// which it counts.
const KIND_PRIOR: (f64, f64) = (2.0 * ENTRY_PRIOR, 1.0);

/// One series as the estimates see it.
pub(crate) struct Witness<'a> {
    pub(crate) place: Place<'a>,
    /// Values in the unit in which they are fitted, expected values and weights, per step and hour.
    pub(crate) value: &'a [Vec<f64>; STEPS],
    pub(crate) expected: &'a [Vec<f64>; STEPS],
    pub(crate) weight: &'a [Vec<f64>; STEPS],
}

/// Log corrections of one series within one entry, per day of the grid from `first_day` on.
#[derive(Clone, Debug)]
pub(crate) struct Correction {
    entry: usize,
    first_day: usize,
    days: Vec<[f64; STEPS]>,
}

impl Correction {
    /// Corrects the factors of the hours after training, in a grid that begins so many days after the one that the
    /// correction was made for.
    pub(crate) fn apply(&self, base: &mut [f64], place: &Place<'_>, step: usize, is_trained: &[bool], later: usize) {
        for hour in place.calendar.entries[self.entry].within(place.grid).filter(|&hour| !is_trained[hour]) {
            base[hour] *= self.days[hour / DAY + later - self.first_day][step].exp();
        }
    }
}

/// Relative standard deviations of what is expected of a series in each hour, for visits, carts and purchases: what
/// entries do that the days of the training have not seen is known as well as entries of their kind are alike.
/// Empty where there is no such entry.
pub(crate) fn uncertainty(place: &Place<'_>, common: &Common, trained: &Range<i64>) -> Vec<Vec<f64>> {
    let entries = &place.calendar.entries;
    let unseen = |entry: &&Entry| !entry.is_within(trained) && entry.concerns(place.name);
    let mut variance = vec![vec![0.0; place.grid.hours]; PURCHASES + 1];
    for entry in entries.iter().filter(unseen).filter(|entry| !entry.within(place.grid).is_empty()) {
        let seen = entries.iter().zip(&common.entries);
        let seen: Vec<&[f64; STEPS]> =
            seen.filter(|(other, _)| other.kind == entry.kind && other.is_within(trained)).map(|(_, e)| e).collect();
        let hours = entry.within(place.grid);
        let mut of_steps = vec![0.0; hours.len()];
        for (step, variance) in variance.iter_mut().enumerate() {
            let prior = spread(seen.iter().map(|effects| effects[step] - common.kinds[entry.kind][step]));
            for (at, hour) in hours.clone().enumerate() {
                // What the rows up to the end of the day show is corrected.
                let shown = (((hour / DAY + 1) * DAY).min(hours.end) - hours.start).min(REACH * DAY);
                let noise = WEEK_NOISE + HOUR_NOISE / (shown as f64 / TOGETHER).max(1.0);
                // Each step has an effect of its own on top of those of the steps before it.
                of_steps[at] += prior * noise / (prior + noise);
                variance[hour] += of_steps[at];
            }
        }
    }
    if variance[0].iter().all(|v| *v == 0.0) {
        return Vec::new();
    }
    variance.iter_mut().flatten().for_each(|v| *v = v.sqrt());
    variance
}

/// The variance of effects of one kind around their mean, and that of a kind of which none was seen.
fn spread(deviations: impl Iterator<Item = f64>) -> f64 {
    let (squares, number) = deviations.fold((0.0, 0.0), |(squares, number), d| (squares + d * d, number + 1.0));
    (squares + KIND_PRIOR.0 * KIND_PRIOR.1) / (number + KIND_PRIOR.1)
}

/// Observed, expected and hours per step.
type Sums = [[f64; 3]; STEPS];

/// The corrections of every series; `centers` are the effects that the expected values hold, per entry.
pub(crate) fn corrections(
    known: Known,
    witnesses: &[Witness<'_>],
    centers: &[[f64; STEPS]],
    is_trained: &[bool],
) -> Vec<Vec<Correction>> {
    let mut all: Vec<Vec<Correction>> = vec![Vec::new(); witnesses.len()];
    let Some(place) = witnesses.first().map(|w| w.place) else { return all };
    for (index, entry) in place.calendar.entries.iter().enumerate() {
        let hours = entry.within(place.grid);
        if hours.is_empty() || hours.clone().all(|hour| is_trained[hour]) {
            continue;
        }
        let concerned: Vec<usize> =
            (0..witnesses.len()).filter(|&at| entry.concerns(witnesses[at].place.name)).collect();
        let first_day = hours.start / DAY;
        let mut of_entry: Vec<Correction> =
            concerned.iter().map(|_| Correction { entry: index, first_day, days: Vec::new() }).collect();
        for day in first_day..=(hours.end - 1) / DAY {
            let from = hours.start.max((day * DAY).saturating_sub(REACH * DAY));
            let seen = from..hours.end.min((day + 1) * DAY);
            let sums: Vec<Sums> = concerned.iter().map(|&at| witnesses[at].sums(seen.clone())).collect();
            for (correction, found) in of_entry.iter_mut().zip(of_day(known, &sums, &centers[index])) {
                correction.days.push(found);
            }
        }
        concerned.iter().zip(of_entry).for_each(|(&at, correction)| all[at].push(correction));
    }
    all
}

impl Witness<'_> {
    fn sums(&self, hours: Range<usize>) -> Sums {
        std::array::from_fn(|step| {
            let add = |sum: [f64; 3], h: usize| {
                let weight = self.weight[step][h];
                [sum[0] + weight * self.value[step][h], sum[1] + weight * self.expected[step][h], sum[2] + weight]
            };
            hours.clone().fold([0.0; 3], add)
        })
    }
}

/// The correction of every concerned series with the rows up to one day.
fn of_day(known: Known, sums: &[Sums], center: &[f64; STEPS]) -> Vec<[f64; STEPS]> {
    let mut found = vec![[0.0; STEPS]; sums.len()];
    for step in (0..STEPS).filter(|&step| known[step]) {
        // Steps are expected from the steps before them, revenue from the purchases that were observed.
        let follows = step != REVENUE || !known[PURCHASES];
        let before: Vec<f64> =
            found.iter().map(|found| if follows { found[..step].iter().sum::<f64>().exp() } else { 1.0 }).collect();
        let (mut observed, mut expected) = (0.0, 0.0);
        for (sum, before) in sums.iter().zip(&before) {
            let [x, m, hours] = sum[step];
            let share = effects::share(m / hours.max(1.0));
            observed += share * x;
            expected += share * m * before;
        }
        let limit = ENTRY_LIMIT[step];
        let noise = COUNT_NOISE / (expected + 1.0) + WEEK_NOISE;
        let raw = ((observed + 1.0) / (expected + 1.0)).ln();
        let total = (center[step] + raw * ENTRY_PRIOR / (ENTRY_PRIOR + noise)).clamp(-limit, limit);
        let common = if expected > 0.0 { total - center[step] } else { 0.0 };
        for ((found, sum), before) in found.iter_mut().zip(sums).zip(before) {
            let [observed, expected, hours] = sum[step];
            let expected = expected * before * common.exp();
            let noise = COUNT_NOISE / (expected + 1.0) + HOUR_NOISE / (hours / TOGETHER).max(1.0);
            let prior = ENTRY_OWN_PRIOR[step];
            let bound = if step == TRAFFIC { limit } else { 0.5 * limit };
            let own = ((observed + 1.0) / (expected + 1.0)).ln() * prior / (prior + noise);
            found[step] = common + own.clamp(-bound, bound);
        }
    }
    found
}
