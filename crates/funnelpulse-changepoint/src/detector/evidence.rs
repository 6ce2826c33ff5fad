//! How much the last rows of a column speak for a break.

use super::profile::Profile;

/// Sums over a run of rows: what was seen and what was expected, as [`Profile::terms`] has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    seen: f64,
    expected: f64,
}

impl Sums {
    fn add(&mut self, (seen, expected): (f64, f64)) {
        self.seen += seen;
        self.expected += expected;
    }

    fn minus(self, other: Self) -> Self {
        Self { seen: self.seen - other.seen, expected: self.expected - other.expected }
    }

    /// The level relative to the season's: a factor, or a difference.
    fn level(self) -> f64 {
        if self.expected > 0.0 { (self.seen / self.expected).max(-f64::MAX) } else { 0.0 }
    }
}

/// Running sums from a row backwards.
#[derive(Debug)]
pub(super) struct Window<'a> {
    profile: &'a Profile,
    lookbacks: &'a [usize],
    /// Sums of the last `k` rows.
    last: Vec<Sums>,
    /// What the rows before the first one are taken to be.
    before_all: (f64, f64),
}

/// What the last `m` rows say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Break {
    /// Signed root of the likelihood ratio.
    pub(super) z: f64,
    /// Relative change of level; infinite where there is no such thing.
    pub(super) magnitude: f64,
}

impl<'a> Window<'a> {
    pub(super) fn new(profile: &'a Profile, lookbacks: &'a [usize], horizon: usize) -> Self {
        let most = horizon + lookbacks.iter().copied().max().unwrap_or(0);
        // An average row that is as expected.
        let bins = profile.level.len() as f64;
        let expected = (0..profile.level.len()).map(|bin| profile.terms(bin, profile.level[bin]).1 / bins).sum();
        let seen = if profile.multiplicative { expected } else { 0.0 };
        Self { profile, lookbacks, last: vec![Sums::default(); most], before_all: (seen, expected) }
    }

    /// Moves to row `at` of `terms`, `None` where the value is missing.
    pub(super) fn move_to(&mut self, terms: &[Option<(f64, f64)>], at: usize) {
        // Summed anew for every row, from it backwards: so a score does not depend on where the
        // frame starts.
        let mut sums = Sums::default();
        let shortest = self.lookbacks.iter().copied().min().unwrap_or(0);
        for (k, last) in self.last.iter_mut().enumerate() {
            *last = sums;
            match at.checked_sub(k) {
                Some(row) => {
                    if let Some(terms) = terms[row] {
                        sums.add(terms);
                    }
                }
                None if k < at + 1 + shortest => sums.add(self.before_all),
                None => {}
            }
        }
    }

    /// The comparison of the last `m` rows with those before that speaks least for a break.
    pub(super) fn compare(&self, m: usize) -> Break {
        let after = self.last[m];
        let mut weakest = Break { z: f64::INFINITY, magnitude: 0.0 };
        for &lookback in self.lookbacks {
            let before = self.upto(m + lookback).minus(after);
            let found = self.ratio(before, after);
            if found.z.abs() < weakest.z.abs() {
                weakest = found;
            } else if found.z * weakest.z < 0.0 {
                // One past says up, another down: no change of level.
                return Break::default();
            }
        }
        weakest
    }

    fn upto(&self, rows: usize) -> Sums {
        self.last[rows.min(self.last.len() - 1)]
    }

    fn ratio(&self, before: Sums, after: Sums) -> Break {
        if !(before.expected > 0.0 && after.expected > 0.0) {
            return Break::default();
        }
        let (old, new) = (before.level(), after.level());
        if !self.profile.multiplicative {
            let z = (new - old) / (1.0 / before.expected + 1.0 / after.expected).sqrt();
            return Break { z: if z.is_nan() { 0.0 } else { z.clamp(-f64::MAX, f64::MAX) }, magnitude: f64::INFINITY };
        }
        let common = (before.seen + after.seen) / (before.expected + after.expected);
        let term = |sums: Sums| {
            let seen = sums.seen.max(0.0);
            if seen > 0.0 { seen * (seen / (sums.expected * common)).ln() } else { 0.0 }
        };
        let z = (2.0 * (term(before) + term(after))).max(0.0).sqrt().min(f64::MAX);
        let z = if z.is_nan() { 0.0 } else { z };
        let base = if old > 0.0 { old } else { new };
        let magnitude = if base > 0.0 { (new - old).abs() / base } else { 0.0 };
        Break { z: z.copysign(new - old), magnitude }
    }

    /// The present level relative to the season's, over `rows` rows before the last one.
    pub(super) fn level(&self, rows: usize) -> f64 {
        let sums = self.upto(rows + 1).minus(self.last[1]);
        if sums.expected > 0.0 {
            sums.level()
        } else if self.profile.multiplicative {
            1.0
        } else {
            0.0
        }
    }
}
