//! Sums over stretches of hours that do not depend on what lies outside of them.
//!
//! A difference of running sums is rounded as the sums are, which grow with the hours before. Here running
//! sums begin anew each day, and a stretch is put together from its days: the same hours give the same
//! sum, bit for bit, in a table of a week and in one of a year.

use std::ops::Range;

use crate::grid::DAY;

/// Which days of a table have masked hours: their position among those days.
#[derive(Debug)]
pub(crate) struct MaskedDays(Vec<Option<u32>>);

impl MaskedDays {
    /// From the weight of each hour: 0 where it is masked.
    pub(crate) fn new(mask: &[f64]) -> Self {
        let mut days = 0..;
        Self(mask.chunks(DAY).map(|day| day.contains(&0.0).then(|| days.next()).flatten()).collect())
    }

    /// The position of a day among those with masked hours.
    fn position(&self, day: usize) -> Option<usize> {
        self.0.get(day).copied().flatten().map(|at| at as usize)
    }
}

/// Sums of the hours that are not masked, where they differ from those of all hours: on days with masked hours.
#[derive(Debug)]
pub(crate) struct MaskedSums {
    /// The sum of the hours of a day before each hour, day by day.
    before: Vec<[f64; DAY]>,
    /// The sum of each day.
    days: Vec<f64>,
}

impl MaskedSums {
    pub(crate) fn new(masked: &MaskedDays, mask: &[f64], of: impl Fn(usize) -> f64) -> Self {
        let mut sums = Self { before: Vec::new(), days: Vec::new() };
        for day in (0..masked.0.len()).filter(|&day| masked.position(day).is_some()) {
            let mut sum = 0.0;
            sums.before.push(std::array::from_fn(|hour| {
                let (before, at) = (sum, day * DAY + hour);
                sum += mask.get(at).map_or(0.0, |weight| of(at) * weight);
                before
            }));
            sums.days.push(sum);
        }
        sums
    }

    /// The sum of the hours from `from` to `to` (exclusive) without masked ones; `all` are the sums of all.
    pub(crate) fn between(&self, all: &DailySums, masked: &MaskedDays, from: usize, to: usize) -> f64 {
        let before = |hour: usize| match masked.position(hour / DAY) {
            Some(at) => self.before[at][hour % DAY],
            None => all.before[hour],
        };
        let day = |day: usize| masked.position(day).map_or(all.days[day], |at| self.days[at]);
        let (first, last) = (from / DAY, to / DAY);
        if first == last {
            return before(to) - before(from);
        }
        let whole: f64 = (first + 1..last).map(day).sum();
        day(first) - before(from) + whole + before(to)
    }
}

/// Sums of hourly values; the first hour is the start of a day.
#[derive(Debug)]
pub(crate) struct DailySums {
    /// The sum of the hours of a day before each hour.
    before: Vec<f64>,
    /// The sum of each day.
    days: Vec<f64>,
}

impl DailySums {
    pub(crate) fn new(hours: usize, of: impl Fn(usize) -> f64) -> Self {
        let mut sums = Self { before: Vec::with_capacity(hours + 1), days: Vec::with_capacity(hours / DAY + 1) };
        let mut sum = 0.0;
        for hour in 0..hours {
            sums.before.push(sum);
            sum += of(hour);
            if (hour + 1) % DAY == 0 {
                sums.days.push(sum);
                sum = 0.0;
            }
        }
        sums.before.push(sum);
        sums
    }

    /// The sum of the hours from `from` to `to` (exclusive).
    pub(crate) fn between(&self, from: usize, to: usize) -> f64 {
        let (first, last) = (from / DAY, to / DAY);
        if first == last {
            return self.before[to] - self.before[from];
        }
        let whole: f64 = self.days[first + 1..last].iter().sum();
        self.days[first] - self.before[from] + whole + self.before[to]
    }

    /// The sums [between](Self::between) each of some hours and the hour so many hours later. Day by day, so that loops
    /// have no branches.
    pub(crate) fn windows(&self, starting: Range<usize>, hours: usize, into: &mut [f64]) {
        let mut from = starting.start;
        while from < starting.end {
            let (first, last) = (from / DAY, (from + hours) / DAY);
            // Windows that start up to here begin on one day and end on one day.
            let end = ((first + 1) * DAY).min((last + 1) * DAY - hours).min(starting.end);
            let into = &mut into[from - starting.start..end - starting.start];
            let ends = self.before[from..end].iter().zip(&self.before[from + hours..end + hours]);
            if first == last {
                into.iter_mut().zip(ends).for_each(|(sum, (from, to))| *sum = to - from);
            } else {
                let (day, whole) = (self.days[first], self.days[first + 1..last].iter().sum::<f64>());
                into.iter_mut().zip(ends).for_each(|(sum, (from, to))| *sum = day - from + whole + to);
            }
            from = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_hours() {
        let values: Vec<f64> = (0..150).map(|hour| f64::from(hour * 7919 % 101)).collect();
        let sums = DailySums::new(values.len(), |hour| values[hour]);
        for from in 0..=150 {
            for to in from..=150 {
                assert_eq!(sums.between(from, to), values[from..to].iter().sum::<f64>(), "{from} to {to}");
            }
        }
        assert_eq!(DailySums::new(0, |_| 1.0).between(0, 0), 0.0);
    }

    #[test]
    fn sums_of_many_windows_are_those_of_each() {
        let sums = DailySums::new(150, |hour| (hour as f64 * 0.37).sin() * 1e3);
        for hours in [1, 2, 23, 24, 25, 36, 48, 100] {
            for start in [0, 1, 23, 24, 40] {
                let starting = start..151 - hours;
                let mut windows = vec![0.0; starting.len()];
                sums.windows(starting.clone(), hours, &mut windows);
                let each: Vec<f64> = starting.map(|from| sums.between(from, from + hours)).collect();
                assert_eq!(windows, each, "{hours} from {start}");
            }
        }
    }

    #[test]
    fn sums_without_masked_hours_are_those_of_weighted_values() {
        let hours = 150;
        let value = |hour: usize| (hour as f64 * 0.37).sin() * 1e3;
        let mask: Vec<f64> =
            (0..hours).map(|hour| if (30..33).contains(&hour) || hour == 147 { 0.0 } else { 1.0 }).collect();
        let all = DailySums::new(hours, value);
        let weighted = DailySums::new(hours, |hour| value(hour) * mask[hour]);
        let masked = MaskedDays::new(&mask);
        let sums = MaskedSums::new(&masked, &mask, value);
        assert_eq!(sums.days.len(), 2);
        for from in 0..=hours {
            for to in from..=hours {
                assert_eq!(sums.between(&all, &masked, from, to), weighted.between(from, to), "{from} to {to}");
            }
        }
    }

    #[test]
    fn days_before_do_not_matter() {
        let value = |hour: usize| (hour as f64 * 0.37).sin().abs() * 1e3 + 0.1;
        let long = DailySums::new(2400, |hour| if hour < 1200 { 1e9 / 7.0 } else { value(hour) });
        let short = DailySums::new(1200, |hour| value(hour + 1200));
        for from in 0..1100 {
            assert_eq!(long.between(from + 1200, from + 1267), short.between(from, from + 67));
        }
    }
}
