//! Sums over stretches of hours that do not depend on what lies outside of them.
//!
//! A difference of running sums is rounded as the sums are, which grow with the hours before. Here running
//! sums begin anew each day, and a stretch is put together from its days: the same hours give the same
//! sum, bit for bit, in a table of a week and in one of a year.

use std::ops::Range;

use crate::grid::DAY;

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
    fn days_before_do_not_matter() {
        let value = |hour: usize| (hour as f64 * 0.37).sin().abs() * 1e3 + 0.1;
        let long = DailySums::new(2400, |hour| if hour < 1200 { 1e9 / 7.0 } else { value(hour) });
        let short = DailySums::new(1200, |hour| value(hour + 1200));
        for from in 0..1100 {
            assert_eq!(long.between(from + 1200, from + 1267), short.between(from, from + 67));
        }
    }
}
