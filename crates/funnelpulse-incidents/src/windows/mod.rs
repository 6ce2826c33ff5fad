//! Window statistics: how far the counts of 1 to 48 hours are from what is expected of them.
//!
//! Every window of eleven lengths has a standard normal deviate per step ([`score`]). Seven
//! statistics look at them: visits alone, and each step given another, after a robust regression
//! on the hours before and after, the other step and the other series ([`regress`]). They are
//! brought to one scale over all series ([`calibrate`]); each hour takes the largest of the windows
//! that hold it, best first and without overlap ([`greedy`]).

pub(crate) mod again;
pub(crate) mod calibrate;
pub(crate) mod clump;
pub(crate) mod evaluate;
pub(crate) mod greedy;
pub(crate) mod group;
pub(crate) mod learn;
pub(crate) mod noise;
pub(crate) mod regress;
pub(crate) mod score;
pub(crate) mod sums;
pub(crate) mod value;

use std::ops::Range;

use self::sums::{DailySums, MaskedDays, MaskedSums};
use crate::{
    grid::{CARTS, LANES, PURCHASES, REVENUE, TRAFFIC, VALUE},
    structure::Known,
};

/// Lengths of windows, hours: each about a third longer than the one before. Longer windows add
/// nothing: a long event is found in parts.
pub(crate) const LENGTHS: [usize; 11] = [1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48];
/// Hours of the longest window, and the fixed lag after which a score is final.
pub(crate) const HORIZON: usize = 48;

/// One way to look at a window: a step, given another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistic {
    pub(crate) step: usize,
    pub(crate) given: Option<usize>,
}

/// The statistics of a table that has these steps.
pub(crate) fn statistics(known: Known) -> Vec<Statistic> {
    // The value of orders where there are orders, else the revenue.
    let value = if known[PURCHASES] { VALUE } else { REVENUE };
    let all = [
        (TRAFFIC, None),
        (CARTS, Some(TRAFFIC)),
        (PURCHASES, Some(TRAFFIC)),
        (PURCHASES, Some(CARTS)),
        (TRAFFIC, Some(PURCHASES)),
        (CARTS, Some(PURCHASES)),
        (TRAFFIC, Some(CARTS)),
        (value, None),
    ];
    let wanted = |(step, given): &(usize, Option<usize>)| {
        // Visits given carts are only looked at where there are no purchases.
        let spare = (*step, *given) == (TRAFFIC, Some(CARTS)) && known[PURCHASES];
        known[(*step).min(REVENUE)] && given.is_none_or(|given| known[given]) && !spare
    };
    all.into_iter().filter(wanted).map(|(step, given)| Statistic { step, given }).collect()
}

/// Sums of one series: of values, expected values and observed hours per step.
pub(crate) struct Track {
    pub(crate) hours: usize,
    value: [DailySums; LANES],
    expected: [DailySums; LANES],
    /// Running numbers of observed hours.
    seen: [Vec<u32>; LANES],
    /// The sums without masked hours: what windows are compared with, before and after them.
    before: Unmasked,
    /// `None` where they are the same.
    after: Option<Unmasked>,
    /// Running number of masked hours.
    masked: Vec<u32>,
    /// Running number of hours at which a level ends to be news: no window goes on past one.
    ends: Vec<u32>,
    /// Expected values times their relative standard deviation, of steps in hours whose expected values are not
    /// known well.
    uncertainty: Vec<DailySums>,
    /// Tells the hours of two tracks apart.
    prints: Vec<u64>,
}

/// Sums of values and of expected values without masked hours.
struct Unmasked {
    days: MaskedDays,
    value: [MaskedSums; LANES],
    expected: [MaskedSums; LANES],
}

impl Track {
    /// From hourly values, expected values, weights of observation, and masks (0 masked, 1 not):
    /// of what comes before a window, and of what comes after it.
    pub(crate) fn new(
        value: [&[f64]; LANES],
        expected: [&[f64]; LANES],
        seen: [&[f64]; LANES],
        mask: &[f64],
        after: &[f64],
    ) -> Self {
        let observed = |of: [&[f64]; LANES]| -> [DailySums; LANES] {
            std::array::from_fn(|step| DailySums::new(mask.len(), |h| of[step][h] * seen[step][h]))
        };
        let unmasked = |mask: &[f64]| {
            let days = MaskedDays::new(mask);
            let [value, expected] = [value, expected]
                .map(|of| std::array::from_fn(|step| MaskedSums::new(&days, mask, |h| of[step][h] * seen[step][h])));
            Unmasked { days, value, expected }
        };
        Self {
            hours: mask.len(),
            value: observed(value),
            expected: observed(expected),
            seen: seen.map(|seen| running(seen.len(), |hour| seen[hour] > 0.0)),
            before: unmasked(mask),
            after: (after != mask).then(|| unmasked(after)),
            masked: running(mask.len(), |hour| mask[hour] == 0.0),
            ends: vec![0; mask.len() + 1],
            uncertainty: Vec::new(),
            prints: again::prints(value, expected, seen, mask, after),
        }
    }

    /// Sets how uncertain expected values are: standard deviations of so many steps per hour.
    pub(crate) fn with_uncertainty(mut self, steps: usize, deviation: impl Fn(usize, usize) -> f64) -> Self {
        self.uncertainty = (0..steps).map(|step| DailySums::new(self.hours, |hour| deviation(step, hour))).collect();
        for step in 0..steps {
            let each = self.prints.iter_mut().enumerate();
            each.for_each(|(hour, print)| *print = again::print_with(*print, deviation(step, hour)));
        }
        self
    }

    /// Ends windows at these hours.
    pub(crate) fn with_ends(mut self, hours: &[usize]) -> Self {
        self.ends = running(self.hours, |hour| hours.contains(&hour));
        for &hour in hours {
            if let Some(print) = self.prints.get_mut(hour) {
                *print = !*print;
            }
        }
        self
    }

    /// Observed and expected in the hours from `from` to `to` (exclusive).
    pub(crate) fn sums(&self, step: usize, from: usize, to: usize) -> (f64, f64) {
        (self.value[step].between(from, to), self.expected[step].between(from, to))
    }

    /// The sums of every window of so many hours that starts in some hours: what [`is_observed`](Self::is_observed) and
    /// [`sums`](Self::sums) say of each. What makes one hour uncertain makes all of a window.
    pub(crate) fn windows(&self, step: usize, starting: &Range<usize>, hours: usize) -> WindowSums {
        let zeros = || vec![0.0; starting.len()];
        let mut sums = WindowSums { observed: zeros(), expected: zeros(), uncertainty: Vec::new() };
        if starting.is_empty() {
            return sums;
        }
        self.value[step].windows(starting.clone(), hours, &mut sums.observed);
        self.expected[step].windows(starting.clone(), hours, &mut sums.expected);
        if let Some(uncertainty) = self.uncertainty.get(step) {
            sums.uncertainty = zeros();
            uncertainty.windows(starting.clone(), hours, &mut sums.uncertainty);
            let each = sums.uncertainty.iter_mut().zip(&sums.expected);
            each.for_each(|(u, m)| *u = if *m > 0.0 { (*u / m) * (*u / m) } else { 0.0 });
        }
        let (from, to) = (starting.clone(), starting.start + hours..starting.end + hours);
        let seen = self.seen[step][from.clone()].iter().zip(&self.seen[step][to.clone()]);
        let ends = self.ends[from.start + 1..=from.end].iter().zip(&self.ends[to]);
        for ((observed, (seen, seen_to)), (ends, ends_to)) in sums.observed.iter_mut().zip(seen).zip(ends) {
            let is_observed = ends_to == ends && is_half(seen_to - seen, hours);
            *observed = if is_observed { *observed } else { f64::NAN };
        }
        sums
    }

    /// The same of unmasked hours before a window.
    fn sums_before(&self, step: usize, from: usize, to: usize) -> (f64, f64) {
        self.unmasked(&self.before, step, from, to)
    }

    /// The same of unmasked hours after a window.
    fn sums_after(&self, step: usize, from: usize, to: usize) -> (f64, f64) {
        self.unmasked(self.after.as_ref().unwrap_or(&self.before), step, from, to)
    }

    fn unmasked(&self, sums: &Unmasked, step: usize, from: usize, to: usize) -> (f64, f64) {
        let value = sums.value[step].between(&self.value[step], &sums.days, from, to);
        let expected = sums.expected[step].between(&self.expected[step], &sums.days, from, to);
        (value, expected)
    }

    /// Whether at least half of the hours were observed, all before or all after a change of what is expected.
    pub(crate) fn is_observed(&self, step: usize, from: usize, to: usize) -> bool {
        self.ends[to] == self.ends[from + 1] && is_half(self.seen[step][to] - self.seen[step][from], to - from)
    }

    /// Whether no hour is masked.
    pub(crate) fn is_calm(&self, from: usize, to: usize) -> bool {
        self.masked[to] == self.masked[from]
    }
}

/// Sums of windows of one length.
pub(crate) struct WindowSums {
    /// NaN where too little was observed.
    pub(crate) observed: Vec<f64>,
    pub(crate) expected: Vec<f64>,
    /// Relative variances of what is expected; empty where it is known.
    pub(crate) uncertainty: Vec<f64>,
}

/// Whether so many are at least half of the hours.
fn is_half(seen: u32, hours: usize) -> bool {
    2 * seen as usize >= hours
}

/// The number of hours before each position that are counted, and of all.
fn running(hours: usize, is_counted: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(hours + 1);
    let mut number = 0;
    numbers.push(number);
    for hour in 0..hours {
        number += u32::from(is_counted(hour));
        numbers.push(number);
    }
    numbers
}
