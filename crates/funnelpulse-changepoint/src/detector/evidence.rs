//! The evidence of the last rows of a column for a break.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{
    ChangepointConfig,
    config::{MOST_HORIZON, OLDER},
    profile::Profile,
};
use crate::vector::ln;

/// Rows with expected values that are assumed before the first row of a frame.
const ASSUMED: usize = 8;

/// Sums over a run of rows: observed and expected, as [`Profile::terms`] has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    seen: f64,
    expected: f64,
}

impl Sums {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self { seen: self.seen + other.seen, expected: self.expected + other.expected }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { seen: self.seen - other.seen, expected: self.expected - other.expected }
    }

    /// The level relative to the season's: a factor, or a difference.
    #[inline(always)]
    fn level(self) -> f64 {
        if self.expected > 0.0 { (self.seen / self.expected).max(-f64::MAX) } else { 0.0 }
    }
}

/// The rows of a column with their sums over the last 1, 2, 4, 8, ... rows of each.
///
/// Every sum starts at its row and goes back from there, so it does not depend on where the frame
/// starts; and a value that has left the window leaves nothing behind.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    profile: &'a Profile,
    horizon: usize,
    lookback: usize,
    /// Level `i` holds the sums over `2^i` rows; the first rows are the assumed ones.
    sums: Vec<Vec<Sums>>,
    /// The sums over the `lookback` rows up to each.
    lookbacks: Vec<Sums>,
    /// Rows before the first one of the frame.
    before: usize,
}

impl<'a> Evidence<'a> {
    /// Of rows whose `terms` are `None` where the value is missing.
    pub(super) fn new(
        profile: &'a Profile,
        config: &ChangepointConfig,
        terms: impl ExactSizeIterator<Item = Option<(f64, f64)>>,
    ) -> Self {
        let before = config.context() + 2;
        // An average row that is as expected.
        let bins = profile.level.len() as f64;
        let expected = (0..profile.level.len()).map(|bin| profile.terms(bin, profile.level[bin]).1 / bins).sum();
        let assumed = Sums { seen: if profile.multiplicative { expected } else { 0.0 }, expected };
        let mut rows = vec![Sums::default(); before];
        rows[before - ASSUMED..].fill(assumed);
        let known = |term: Option<(f64, f64)>| term.map(|(seen, expected)| Sums { seen, expected });
        rows.extend(terms.map(|term| known(term).unwrap_or_default()));
        let mut sums = vec![rows];
        while 1 << sums.len() <= before {
            let (width, finer) = (1 << (sums.len() - 1), &sums[sums.len() - 1]);
            let earlier = |row: usize| row.checked_sub(width).map(|row| finer[row]).unwrap_or_default();
            let wider = finer.iter().enumerate().map(|(row, sum)| sum.plus(earlier(row))).collect();
            sums.push(wider);
        }
        let (horizon, lookback) = (config.horizon, config.lookback);
        let mut evidence = Self { profile, horizon, lookback, sums, lookbacks: Vec::new(), before };
        let rows = evidence.sums[0].len();
        evidence.lookbacks = (0..rows).map(|row| evidence.up_to(row, lookback.min(row + 1))).collect();
        evidence
    }

    /// The sums over the `count` rows up to row `at` of the frame.
    #[inline(always)]
    fn last(&self, at: usize, count: usize) -> Sums {
        self.up_to(at + self.before, count)
    }

    #[inline(always)]
    fn up_to(&self, mut row: usize, mut count: usize) -> Sums {
        let mut sum = Sums::default();
        while count > 0 {
            let level = count.trailing_zeros() as usize;
            sum = sum.plus(self.sums[level][row]);
            // Only the last subtraction may reach before the first row, and there nothing is left.
            row = row.wrapping_sub(1 << level);
            count &= count - 1;
        }
        sum
    }

    /// The last 1, 2, ... `horizon` rows compared with those before.
    #[inline(always)]
    pub(super) fn compare(&self, at: usize, pairs: &mut Pairs) {
        pairs.clear();
        let row = at + self.before;
        let (rows, lookbacks) = (&self.sums[0][row - self.horizon..=row], &self.lookbacks[row - self.horizon..=row]);
        let mut after = Sums::default();
        for m in 1..=self.horizon {
            after = after.plus(rows[self.horizon + 1 - m]);
            pairs.push((lookbacks[self.horizon - m], after));
        }
        pairs.compare(self.profile.multiplicative);
    }

    /// The number of rows since a break longer ago than the horizon, if there is one that explains
    /// the last rows better than those of `evidence`, the highest within the horizon.
    #[inline(always)]
    pub(super) fn older(&self, at: usize, evidence: f64, pairs: &mut Pairs) -> Option<usize> {
        pairs.clear();
        let known = OLDER.iter().map(|older| self.horizon + older).take_while(|m| *m <= at + 1);
        for m in known {
            pairs.push((self.lookbacks[at + self.before - m], self.last(at, m)));
        }
        pairs.compare(self.profile.multiplicative);
        let mut best = None;
        let mut highest = evidence;
        for (older, z) in OLDER.iter().zip(pairs.z()) {
            let z = z.abs();
            if z > highest || best.is_some() && z == highest {
                (highest, best) = (z, Some(self.horizon + older));
            }
        }
        best
    }

    /// The last 1, 2, ... `horizon` rows compared with those before them since `since` rows ago.
    #[inline(always)]
    pub(super) fn compare_since(&self, at: usize, since: usize, pairs: &mut Pairs) {
        pairs.clear();
        let all = self.last(at, since);
        let row = at + self.before;
        let mut after = Sums::default();
        for m in 1..=self.horizon {
            after = after.plus(self.sums[0][row + 1 - m]);
            pairs.push((all.minus(after), after));
        }
        pairs.compare(self.profile.multiplicative);
    }

    /// The present level relative to the season's, over the day before row `at`.
    pub(super) fn level(&self, at: usize) -> f64 {
        let sums = self.last(at, self.lookback.min(24) + 1).minus(self.last(at, 1));
        if sums.expected > 0.0 {
            sums.level()
        } else if self.profile.multiplicative {
            1.0
        } else {
            0.0
        }
    }
}

/// Most comparisons that are made together, and the multiple that vector code takes.
const MOST: usize = if MOST_HORIZON > OLDER.len() { MOST_HORIZON } else { OLDER.len() }.next_multiple_of(LANES);
const LANES: usize = 8;

/// Pairs of runs of rows, compared together.
#[derive(Debug)]
pub(super) struct Pairs {
    len: usize,
    before: [[f64; MOST]; 2],
    after: [[f64; MOST]; 2],
    z: [f64; MOST],
    magnitude: [f64; MOST],
}

impl Pairs {
    pub(super) fn new() -> Self {
        let zeros = [0.0; MOST];
        Self { len: 0, before: [zeros; 2], after: [zeros; 2], z: zeros, magnitude: zeros }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    fn push(&mut self, (before, after): (Sums, Sums)) {
        let at = self.len;
        (self.before[0][at], self.before[1][at]) = (before.seen, before.expected);
        (self.after[0][at], self.after[1][at]) = (after.seen, after.expected);
        self.len += 1;
    }

    /// Signed roots of the likelihood ratios of two levels against one.
    pub(super) fn z(&self) -> &[f64] {
        &self.z[..self.len]
    }

    /// Relative changes of the level; infinite where there is no such thing.
    pub(super) fn magnitude(&self) -> &[f64] {
        &self.magnitude[..self.len]
    }

    #[inline(always)]
    fn compare(&mut self, multiplicative: bool) {
        if multiplicative {
            self.compare_all::<true>();
        } else {
            self.compare_all::<false>();
        }
    }

    #[inline(always)]
    fn compare_all<const MULTIPLICATIVE: bool>(&mut self) {
        // Slices of one length: no check is left in the loop, which then is vector code.
        let n = self.len.next_multiple_of(LANES).min(MOST);
        let [seen, expected] = &self.before;
        let (seen_before, expected_before) = (&seen[..n], &expected[..n]);
        let [seen, expected] = &self.after;
        let (seen_after, expected_after) = (&seen[..n], &expected[..n]);
        let (zs, magnitudes) = (&mut self.z[..n], &mut self.magnitude[..n]);
        for i in 0..n {
            let before = Sums { seen: seen_before[i], expected: expected_before[i] };
            let after = Sums { seen: seen_after[i], expected: expected_after[i] };
            let (z, magnitude) = if MULTIPLICATIVE { relative(before, after) } else { absolute(before, after) };
            let known = before.expected > 0.0 && after.expected > 0.0;
            zs[i] = if known { z } else { 0.0 };
            magnitudes[i] = if known { magnitude } else { 0.0 };
        }
    }
}

/// Two means of known variance.
#[inline(always)]
fn absolute(before: Sums, after: Sums) -> (f64, f64) {
    let z = (after.level() - before.level()) / (1.0 / before.expected + 1.0 / after.expected).sqrt();
    (if z.is_nan() { 0.0 } else { z.clamp(-f64::MAX, f64::MAX) }, f64::INFINITY)
}

/// Two rates of Poisson counts.
#[inline(always)]
fn relative(before: Sums, after: Sums) -> (f64, f64) {
    let (old, new) = (before.level(), after.level());
    let common = (before.seen + after.seen) / (before.expected + after.expected);
    let z = (2.0 * (term(before, common) + term(after, common))).max(0.0).sqrt().min(f64::MAX);
    let z = if z.is_nan() { 0.0 } else { z };
    let base = if old > 0.0 { old } else { new };
    let magnitude = if base > 0.0 { (new - old).abs() / base } else { 0.0 };
    (z.copysign(new - old), magnitude)
}

/// `seen ln(seen / what the common level expects)`.
#[inline(always)]
fn term(sums: Sums, common: f64) -> f64 {
    let ratio = sums.seen / (sums.expected * common);
    // The logarithm is one of normal numbers; these compile to one instruction each.
    let ratio = if ratio > f64::MIN_POSITIVE { ratio } else { f64::MIN_POSITIVE };
    let ratio = if ratio < f64::MAX { ratio } else { f64::MAX };
    if sums.seen > 0.0 { sums.seen * ln(ratio) } else { 0.0 }
}
