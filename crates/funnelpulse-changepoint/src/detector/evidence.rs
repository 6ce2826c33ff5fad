//! The evidence of the last rows of a column for a break.

use super::{ChangepointConfig, config::OLDER, profile::Profile};

/// Rows with expected values that are assumed before the first row of a frame.
const ASSUMED: usize = 8;

/// Sums over a run of rows: observed and expected, as [`Profile::terms`] has them.
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
    lookback: usize,
    horizon: usize,
    row: usize,
    /// Sums of the last `k` rows.
    last: Vec<Sums>,
    /// The rows assumed before the first one.
    before_all: (f64, f64),
}

/// The evidence of the last `m` rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Comparison {
    /// Signed root of the likelihood ratio.
    pub(super) z: f64,
    /// Relative change of level; infinite where there is no such thing.
    pub(super) magnitude: f64,
}

impl<'a> Window<'a> {
    pub(super) fn new(profile: &'a Profile, config: &ChangepointConfig) -> Self {
        let most = config.context() + 2;
        // An average row that is as expected.
        let bins = profile.level.len() as f64;
        let expected = (0..profile.level.len()).map(|bin| profile.terms(bin, profile.level[bin]).1 / bins).sum();
        let seen = if profile.multiplicative { expected } else { 0.0 };
        let last = vec![Sums::default(); most];
        Self { profile, lookback: config.lookback, horizon: config.horizon, row: 0, last, before_all: (seen, expected) }
    }

    /// Moves to row `at` of `terms`, `None` where the value is missing.
    pub(super) fn move_to(&mut self, terms: &[Option<(f64, f64)>], at: usize) {
        // Summed anew for every row, from it backwards: so a score does not depend on where the
        // frame starts.
        let mut sums = Sums::default();
        self.row = at;
        for (k, last) in self.last.iter_mut().enumerate() {
            *last = sums;
            match at.checked_sub(k) {
                Some(row) => {
                    if let Some(terms) = terms[row] {
                        sums.add(terms);
                    }
                }
                None if k < at + 1 + ASSUMED => sums.add(self.before_all),
                None => {}
            }
        }
    }

    /// The last `m` rows compared with those before.
    pub(super) fn compare(&self, m: usize) -> Comparison {
        let after = self.last[m];
        self.ratio(self.last[m + self.lookback].minus(after), after)
    }

    /// The number of rows since a break longer ago than the horizon, if there is one that explains
    /// the last rows better than those of `evidence`, the highest within the horizon.
    pub(super) fn older(&self, evidence: f64) -> Option<usize> {
        let known = OLDER.iter().map(|older| self.horizon + older).filter(|m| *m <= self.row + 1);
        let all = known.map(|m| (m, self.compare(m).z.abs())).filter(|(_, z)| *z > evidence);
        all.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(m, _)| m)
    }

    /// The last `m` rows compared with the `since - m` before them.
    pub(super) fn compare_since(&self, m: usize, since: usize) -> Comparison {
        let after = self.last[m];
        self.ratio(self.last[since].minus(after), after)
    }

    fn ratio(&self, before: Sums, after: Sums) -> Comparison {
        if !(before.expected > 0.0 && after.expected > 0.0) {
            return Comparison::default();
        }
        let (old, new) = (before.level(), after.level());
        if !self.profile.multiplicative {
            let z = (new - old) / (1.0 / before.expected + 1.0 / after.expected).sqrt();
            return Comparison {
                z: if z.is_nan() { 0.0 } else { z.clamp(-f64::MAX, f64::MAX) },
                magnitude: f64::INFINITY,
            };
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
        Comparison { z: z.copysign(new - old), magnitude }
    }

    /// The present level relative to the season's, over the day before the last row.
    pub(super) fn level(&self) -> f64 {
        let sums = self.last[self.lookback.min(24) + 1].minus(self.last[1]);
        if sums.expected > 0.0 {
            sums.level()
        } else if self.profile.multiplicative {
            1.0
        } else {
            0.0
        }
    }
}
