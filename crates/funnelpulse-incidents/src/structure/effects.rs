//! Profiles and calendar effects: log ratios of observed to expected, shrunk by their precision.

use super::{Common, Place, Shape, sweep::Input};
use crate::{
    clock::{DAY_TYPES, WEEK, day_type},
    grid::{STEPS, TRAFFIC},
};

/// Counts per hour from which on a series weighs no more in what all share: series are not copies
/// of each other, so that one with a million views is not a million witnesses.
const FULL_WEIGHT: f64 = 20.0;
/// Variance per count, and of the wandering of an hour's rate, before any noise is estimated.
pub(super) const COUNT_NOISE: f64 = 1.5;
pub(super) const HOUR_NOISE: f64 = 0.1;
/// Variance of a week's common factor in one hour: weeks are the sample of a common profile.
pub(super) const WEEK_NOISE: f64 = 0.02;
/// Prior variances of log effects. An hour of the week around its type of day:
const WEEK_PRIOR: f64 = 0.1 * 0.1;
/// A series around the common week, for traffic and for rates:
const OWN_PRIOR: [f64; STEPS] = [0.25 * 0.25, 0.1 * 0.1, 0.1 * 0.1, 0.1 * 0.1];
/// A calendar entry around the mean of its kind:
pub(super) const ENTRY_PRIOR: f64 = 0.3 * 0.3;
/// A series around the effect of an entry, for traffic and for rates:
pub(super) const ENTRY_OWN_PRIOR: [f64; STEPS] = [0.12 * 0.12, 0.08 * 0.08, 0.08 * 0.08, 0.08 * 0.08];
/// Largest log effect of a calendar entry: an abnormal day in a promotion is not learnt as its effect.
pub(super) const ENTRY_LIMIT: [f64; STEPS] = [0.4, 0.25, 0.3, 0.15];
/// Hours that wander together: a run of so many hours counts as one observation of the wandering.
pub(super) const TOGETHER: f64 = 6.0;

/// Weight in what all series share, of a series with so many counts per hour.
pub(super) fn share(mean: f64) -> f64 {
    1.0 / (1.0 + mean / FULL_WEIGHT)
}

/// Sums of one series and step.
pub(crate) struct Sums {
    observed: Vec<f64>,
    expected: Vec<f64>,
    hours: Vec<f64>,
    /// Weight in what all series share.
    share: f64,
    /// Observed, expected and hours within each calendar entry that concerns the series.
    entries: Vec<(usize, [f64; 3])>,
}

impl Sums {
    pub(crate) fn of(place: &Place<'_>, value: &[f64], expected: &[f64], weight: &[f64]) -> Self {
        let mut sums = Self {
            observed: vec![0.0; WEEK],
            expected: vec![0.0; WEEK],
            hours: vec![0.0; WEEK],
            share: 0.0,
            entries: Vec::new(),
        };
        for (hour, &cell) in place.cells.iter().enumerate() {
            let cell = usize::from(cell);
            sums.observed[cell] += weight[hour] * value[hour];
            sums.expected[cell] += weight[hour] * expected[hour];
            sums.hours[cell] += weight[hour];
        }
        let mean = sums.expected.iter().sum::<f64>() / sums.hours.iter().sum::<f64>().max(1.0);
        sums.share = share(mean);
        for (index, entry) in place.calendar.entries.iter().enumerate() {
            let hours = entry.within(place.grid);
            if hours.is_empty() || !entry.concerns(place.name) {
                continue;
            }
            let add = |sum: [f64; 3], h: usize| {
                [sum[0] + weight[h] * value[h], sum[1] + weight[h] * expected[h], sum[2] + weight[h]]
            };
            sums.entries.push((index, hours.fold([0.0; 3], add)));
        }
        sums
    }
}

/// The common week; the sums are updated with it.
pub(crate) fn update_week(common: &mut Common, sums: &mut [Sums], step: usize) {
    let (mut observed, mut expected, mut weeks) = (vec![0.0; WEEK], vec![0.0; WEEK], 0.0_f64);
    for sum in sums.iter() {
        for cell in 0..WEEK {
            observed[cell] += sum.share * sum.observed[cell];
            expected[cell] += sum.share * sum.expected[cell];
        }
        weeks = weeks.max(sum.hours.iter().sum::<f64>() / WEEK as f64);
    }
    let mut types = [(1.0, 1.0); DAY_TYPES];
    for cell in 0..WEEK {
        let of_type = &mut types[day_type(cell as u8)];
        *of_type = (of_type.0 + observed[cell], of_type.1 + expected[cell]);
    }
    let steps = types.map(|(o, e)| (o / e).ln());
    // The part of each cell that is not of its type of day, to be shrunk.
    let week = &mut common.week[step];
    let mut type_means = [(0.0, 0.0); DAY_TYPES];
    for cell in 0..WEEK {
        let mean = &mut type_means[day_type(cell as u8)];
        *mean = (mean.0 + week[cell], mean.1 + 1.0);
    }
    for cell in 0..WEEK {
        let of_type = day_type(cell as u8);
        let mean = type_means[of_type].0 / type_means[of_type].1;
        let change = ((observed[cell] + 1.0) / (expected[cell] * steps[of_type].exp() + 1.0)).ln();
        let noise = COUNT_NOISE / (expected[cell] + 1.0) + WEEK_NOISE / weeks.max(1.0);
        let raw = week[cell] - mean + change;
        let updated = (mean + steps[of_type] + raw * WEEK_PRIOR / (WEEK_PRIOR + noise)).clamp(-9.0, 9.0);
        let factor = (updated - week[cell]).exp();
        week[cell] = updated;
        for sum in sums.iter_mut() {
            sum.expected[cell] *= factor;
        }
    }
}

/// Own deviations from the common week.
pub(crate) fn update_own(shapes: &mut [&mut Shape], sums: &[Sums], step: usize) {
    for (shape, sum) in shapes.iter_mut().zip(sums) {
        let mut types = [[0.0; 3]; DAY_TYPES];
        for cell in 0..WEEK {
            let of_type = &mut types[day_type(cell as u8)];
            of_type[0] += sum.observed[cell];
            of_type[1] += sum.expected[cell];
            of_type[2] += sum.hours[cell];
        }
        for (own, [observed, expected, hours]) in shape.own[step].iter_mut().zip(types) {
            let raw = *own + ((observed + 1.0) / (expected + 1.0)).ln();
            let noise = COUNT_NOISE / (expected + 1.0) + HOUR_NOISE / hours.max(1.0);
            *own = (raw * OWN_PRIOR[step] / (OWN_PRIOR[step] + noise)).clamp(-3.0, 3.0);
        }
    }
}

/// Effects of calendar entries, of their kinds, and own deviations.
pub(crate) fn update_calendar(
    common: &mut Common,
    shapes: &mut [&mut Shape],
    input: &Input<'_>,
    sums: &[Sums],
    step: usize,
) {
    let entries = &input.calendar.entries;
    if entries.is_empty() {
        return;
    }
    let mut pooled = vec![[0.0; 2]; entries.len()];
    for sum in sums {
        for (index, [observed, expected, _]) in &sum.entries {
            pooled[*index][0] += sum.share * observed;
            pooled[*index][1] += sum.share * expected;
        }
    }
    let raw: Vec<(f64, f64)> = pooled
        .iter()
        .zip(&common.entries)
        .map(|([observed, expected], effect)| {
            let noise = COUNT_NOISE / (expected + 1.0) + WEEK_NOISE;
            (effect[step] + ((observed + 1.0) / (expected + 1.0)).ln(), noise)
        })
        .collect();
    let limit = ENTRY_LIMIT[step];
    let mut kinds = vec![(0.0, 1.0 / ENTRY_PRIOR); common.kinds.len()];
    for ((entry, (effect, noise)), [_, expected]) in entries.iter().zip(&raw).zip(&pooled) {
        if *expected > 0.0 {
            let precision = 1.0 / (noise + ENTRY_PRIOR);
            let kind = &mut kinds[entry.kind];
            *kind = (kind.0 + precision * effect.clamp(-2.0 * limit, 2.0 * limit), kind.1 + precision);
        }
    }
    for (kind, (sum, precision)) in common.kinds.iter_mut().zip(kinds) {
        kind[step] = (sum / precision).clamp(-limit, limit);
    }
    let before: Vec<f64> = common.entries.iter().map(|effect| effect[step]).collect();
    for (index, (effect, noise)) in raw.into_iter().enumerate() {
        let kind = common.kinds[entries[index].kind][step];
        let shrunk = kind + (effect - kind) * ENTRY_PRIOR / (ENTRY_PRIOR + noise);
        let has_data = pooled[index][1] > 0.0;
        common.entries[index][step] = if has_data { shrunk.clamp(-limit, limit) } else { kind };
    }
    for (shape, sum) in shapes.iter_mut().zip(sums) {
        for (index, [observed, expected, hours]) in &sum.entries {
            let own = own_entry(&mut shape.calendar, *index as u32);
            let expected = expected * (common.entries[*index][step] - before[*index]).exp();
            let noise = COUNT_NOISE / (expected + 1.0) + HOUR_NOISE / (hours / TOGETHER).max(1.0);
            let raw = own[step] + ((observed + 1.0) / (expected + 1.0)).ln();
            let prior = ENTRY_OWN_PRIOR[step];
            let bound = if step == TRAFFIC { limit } else { 0.5 * limit };
            own[step] = (raw * prior / (prior + noise)).clamp(-bound, bound);
        }
    }
}

/// The own deviation from an entry's effect; entries come in order.
fn own_entry(calendar: &mut Vec<(u32, [f64; STEPS])>, index: u32) -> &mut [f64; STEPS] {
    let at = match calendar.binary_search_by_key(&index, |(at, _)| *at) {
        Ok(at) => at,
        Err(at) => {
            calendar.insert(at, (index, [0.0; STEPS]));
            at
        }
    };
    &mut calendar[at].1
}
