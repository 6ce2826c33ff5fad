//! Windows that are the same as in the scan before.
//!
//! Panels that follow each other differ in their last hours. What a window shows depends on the window and on the
//! hours around it alone, so that windows which do not reach to the first hour that is different are taken over.

use std::{
    hash::{BuildHasher, Hasher},
    ops::Range,
};

use foldhash::fast::FixedState;

use super::{
    HORIZON,
    evaluate::{Best, Watched},
    regress::last_after,
};
use crate::grid::LANES;

/// The windows of a scan of some series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows {
    series: Vec<String>,
    /// The first hour, since 1970.
    start: i64,
    /// One per hour: of all series.
    prints: Vec<u64>,
    /// The hours in which windows that are known start.
    starting: Range<usize>,
    /// Windows of each series and length.
    best: Vec<Vec<Best>>,
}

/// The windows of an earlier scan as they lie on the hours of another.
pub(crate) struct Known<'a> {
    windows: &'a Windows,
    /// Hours by which the other begins later.
    later: usize,
    /// The first hour that is different.
    changed: usize,
}

/// One number per hour of one series, equal where everything that windows look at is.
pub(crate) fn prints(
    value: [&[f64]; LANES],
    expected: [&[f64]; LANES],
    seen: [&[f64]; LANES],
    mask: &[f64],
    after: &[f64],
) -> Vec<u64> {
    let state = FixedState::default();
    let print = |hour: usize| {
        let mut hasher = state.build_hasher();
        for step in 0..LANES {
            for of in [value, expected, seen] {
                hasher.write_u64(of[step][hour].to_bits());
            }
        }
        hasher.write_u64(mask[hour].to_bits());
        hasher.write_u64(after[hour].to_bits());
        hasher.finish()
    };
    (0..mask.len()).map(print).collect()
}

/// The number of an hour that one more value belongs to.
pub(crate) fn print_with(print: u64, value: f64) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write_u64(print);
    hasher.write_u64(value.to_bits());
    hasher.finish()
}

impl Windows {
    /// The windows of a scan that begins at an hour since 1970, of which only the series and hours are known yet.
    pub(crate) fn of(start: i64, series: &[&str], watched: &[Watched<'_>]) -> Self {
        let state = FixedState::default();
        let print = |hour: usize| {
            let mut hasher = state.build_hasher();
            for w in watched {
                hasher.write_u64(w.track.prints[hour]);
            }
            hasher.finish()
        };
        let hours = watched.first().map_or(0, |w| w.track.hours);
        Self {
            series: series.iter().map(ToString::to_string).collect(),
            start,
            prints: (0..hours).map(print).collect(),
            ..Self::default()
        }
    }

    /// Takes the windows that start in some hours.
    pub(crate) fn with(self, starting: Range<usize>, best: Vec<Vec<Best>>) -> Self {
        Self { starting, best, ..self }
    }

    /// The same windows with one height throughout.
    #[cfg(test)]
    pub(crate) fn with_height(mut self, height: f32) -> Self {
        self.best.iter_mut().flatten().for_each(|best| best.signed.fill(height));
        self
    }

    /// These windows for a later scan, of which windows are wanted that start in hours from `first` on. `None` where
    /// nothing can be taken over.
    pub(crate) fn known_to(&self, later: &Self, first: usize) -> Option<Known<'_>> {
        let shift = usize::try_from(later.start - self.start).ok()?;
        // What is looked at before the first windows lies within both.
        let is_within = shift == 0 || first >= HORIZON;
        if self.series != later.series || first + shift < self.starting.start || shift > self.prints.len() || !is_within
        {
            return None;
        }
        let mut both = self.prints[shift..].iter().zip(&later.prints);
        let (hours, end_together) = (both.len(), self.prints.len() - shift == later.prints.len());
        let changed = both.position(|(a, b)| a != b);
        let changed = changed.unwrap_or(if end_together { usize::MAX } else { hours });
        Some(Known { windows: self, later: shift, changed })
    }
}

impl Known<'_> {
    /// Takes over the windows of one length that start in hours of `starting` and do not reach to the first hour that
    /// is different. Returns the hour in which the first of the others starts.
    pub(crate) fn take(&self, index: usize, hours: usize, starting: &Range<usize>, into: &mut [Best]) -> usize {
        let is_same = |from: &usize| last_after(*from, hours) <= self.changed;
        let end = (starting.start..starting.end).find(|from| !is_same(from)).unwrap_or(starting.end);
        let end = end.min(self.windows.starting.end.saturating_sub(self.later)).max(starting.start);
        for (into, best) in into.iter_mut().zip(&self.windows.best) {
            into.copy(&best[index], starting.start..end, self.later);
        }
        end
    }
}
