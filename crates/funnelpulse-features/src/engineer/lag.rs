//! Values a fixed time ago.

use std::collections::VecDeque;

/// The recent values of a few metrics, found by time.
#[derive(Clone, Debug)]
pub(super) struct History {
    width: usize,
    reach: i64,
    times: VecDeque<i64>,
    values: VecDeque<f64>,
}

impl History {
    /// Remembers `width` values per row as far back as `reach` microseconds.
    pub(super) fn new(width: usize, reach: i64) -> Self {
        Self { width, reach, times: VecDeque::new(), values: VecDeque::new() }
    }

    /// The row at exactly this time, if there is one.
    pub(super) fn find(&self, time: i64) -> Option<usize> {
        self.times.binary_search(&time).ok()
    }

    /// A value of a row that was found.
    pub(super) fn value(&self, row: usize, metric: usize) -> f64 {
        self.values[row * self.width + metric]
    }

    /// Adds the newest row and drops those that no later row needs.
    pub(super) fn push(&mut self, time: i64, values: impl Iterator<Item = f64>) {
        let gone = time.saturating_sub(self.reach);
        while self.times.front().is_some_and(|t| *t < gone) {
            self.times.pop_front();
            self.values.drain(..self.width);
        }
        self.times.push_back(time);
        self.values.extend(values);
    }
}

/// The change from `before` to `now` in units of `before`; missing when that is zero.
pub(super) fn rate_of_change(now: f64, before: f64) -> f64 {
    if before == 0.0 { f64::NAN } else { (now - before) / before.abs() }
}
