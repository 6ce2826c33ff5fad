//! The evidence of the last rows of a column for a break, for many rows at a time.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{ChangepointConfig, config::OLDER, profile::Profile};
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

/// Rows that are looked at together: every step is vector code over them.
const BLOCK: usize = 64;

/// A number for each row of a block.
type Lanes = [f64; BLOCK];

/// Sums for each row of a series.
#[derive(Debug, Default)]
struct Track {
    seen: Vec<f64>,
    expected: Vec<f64>,
}

impl Track {
    fn at(&self, row: usize) -> Sums {
        Sums { seen: self.seen[row], expected: self.expected[row] }
    }

    fn push(&mut self, sums: Sums) {
        self.seen.push(sums.seen);
        self.expected.push(sums.expected);
    }

    fn len(&self) -> usize {
        self.seen.len()
    }
}

impl FromIterator<Sums> for Track {
    fn from_iter<I: IntoIterator<Item = Sums>>(all: I) -> Self {
        let mut track = Self::default();
        all.into_iter().for_each(|sums| track.push(sums));
        track
    }
}

/// Sums for each row of a block.
#[derive(Clone, Copy, Debug)]
struct BlockSums {
    seen: Lanes,
    expected: Lanes,
}

impl BlockSums {
    const ZERO: Self = Self { seen: [0.0; BLOCK], expected: [0.0; BLOCK] };

    /// Adds those of the `n` rows from `row` on.
    #[inline(always)]
    fn add(&mut self, track: &Track, row: usize, n: usize) {
        self.seen[..n].iter_mut().zip(&track.seen[row..row + n]).for_each(|(sum, seen)| *sum += seen);
        self.expected[..n].iter_mut().zip(&track.expected[row..row + n]).for_each(|(sum, own)| *sum += own);
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
    sums: Vec<Track>,
    /// The sums over the `lookback` rows up to each.
    lookbacks: Track,
    /// Rows before the first one of the frame.
    before: usize,
}

/// Comparisons of a block of rows; memory is reused from block to block.
struct Comparisons {
    /// For the last 1, 2, ... `horizon` rows: signed roots of the likelihood ratios of two levels against
    /// one.
    z: Vec<Lanes>,
    magnitude: Vec<Lanes>,
}

impl Comparisons {
    fn new(horizon: usize) -> Self {
        Self { z: vec![[0.0; BLOCK]; horizon], magnitude: vec![[0.0; BLOCK]; horizon] }
    }
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
        let first = (0..before).map(|row| if row + ASSUMED < before { Sums::default() } else { assumed });
        let known = |term: Option<(f64, f64)>| term.map(|(seen, expected)| Sums { seen, expected });
        let mut sums: Vec<Track> = vec![first.chain(terms.map(|term| known(term).unwrap_or_default())).collect()];
        while 1 << sums.len() <= before {
            let (width, finer) = (1 << (sums.len() - 1), &sums[sums.len() - 1]);
            let earlier = |row: usize| row.checked_sub(width).map(|row| finer.at(row)).unwrap_or_default();
            let wider = (0..finer.len()).map(|row| finer.at(row).plus(earlier(row))).collect();
            sums.push(wider);
        }
        let (horizon, lookback) = (config.horizon, config.lookback);
        let mut evidence = Self { profile, horizon, lookback, sums, lookbacks: Track::default(), before };
        let rows = evidence.sums[0].len();
        evidence.lookbacks = (0..rows).map(|row| evidence.up_to(row, lookback.min(row + 1))).collect();
        evidence
    }

    /// The sums over the `count` rows up to row `at` of the frame.
    fn last(&self, at: usize, count: usize) -> Sums {
        self.up_to(at + self.before, count)
    }

    fn up_to(&self, mut row: usize, mut count: usize) -> Sums {
        let mut sum = Sums::default();
        while count > 0 {
            let level = count.trailing_zeros() as usize;
            sum = sum.plus(self.sums[level].at(row));
            // Only the last subtraction may reach before the first row, and there nothing is left.
            row = row.wrapping_sub(1 << level);
            count &= count - 1;
        }
        sum
    }

    /// The sums over the `count` rows up to each of the `n` rows from `at` on.
    #[inline(always)]
    fn last_of_block(&self, at: usize, n: usize, mut count: usize) -> BlockSums {
        let (mut sums, mut row) = (BlockSums::ZERO, at + self.before);
        while count > 0 {
            let level = count.trailing_zeros() as usize;
            sums.add(&self.sums[level], row, n);
            row = row.wrapping_sub(1 << level);
            count &= count - 1;
        }
        sums
    }

    /// The last 1, 2, ... `horizon` rows compared with those before, for the `n` rows from `at` on.
    #[inline(always)]
    fn compare(&self, at: usize, n: usize, found: &mut Comparisons) {
        let row = at + self.before;
        let mut after = BlockSums::ZERO;
        for m in 1..=self.horizon {
            after.add(&self.sums[0], row + 1 - m, n);
            let before = self.lookbacks_of(row - m, n);
            self.compare_sums(before, &after, (&mut found.z[m - 1][..n], &mut found.magnitude[m - 1][..n]));
        }
    }

    /// The highest evidence of the last 1, 2, ... rows for each of the rows from `at` on, a block of
    /// them at most. If a break longer ago than the horizon explains the last rows better, they have
    /// to differ from what came after it too.
    #[inline(always)]
    fn strongest(&self, at: usize, weigh: &Weigh<'_>, found: &mut Comparisons, out: &mut [f64]) {
        let n = out.len();
        self.compare(at, n, found);
        let mut highest = [0.0; BLOCK];
        for z in &found.z {
            highest[..n].iter_mut().zip(&z[..n]).for_each(|(highest, z)| *highest = larger(*highest, z.abs()));
        }
        let (older, is_older) = self.older(at, n, highest);
        out.fill(0.0);
        if is_older[..n].iter().all(|is_older| *is_older == 0.0) {
            for (m, (z, magnitude)) in found.z.iter().zip(&found.magnitude).enumerate() {
                let values = z[..n].iter().zip(&magnitude[..n]);
                out.iter_mut().zip(values).for_each(|(out, (z, s))| *out = larger(*out, weigh.of(m, *z, *s)));
            }
            return;
        }
        let mut after = BlockSums::ZERO;
        let (mut other_z, mut other_magnitude) = ([0.0; BLOCK], [0.0; BLOCK]);
        for m in 1..=self.horizon {
            after.add(&self.sums[0], at + self.before + 1 - m, n);
            let mut before = BlockSums::ZERO;
            for i in 0..n {
                before.seen[i] = older.seen[i] - after.seen[i];
                before.expected[i] = older.expected[i] - after.expected[i];
            }
            let before = (&before.seen[..n], &before.expected[..n]);
            self.compare_sums(before, &after, (&mut other_z[..n], &mut other_magnitude[..n]));
            let (z, magnitude) = (&found.z[m - 1][..n], &found.magnitude[m - 1][..n]);
            for i in 0..n {
                let weaker = is_older[i] != 0.0 && other_z[i].abs() < z[i].abs();
                let own = if weaker { other_z[i] } else { z[i] };
                let change = if weaker { other_magnitude[i] } else { magnitude[i] };
                out[i] = larger(out[i], weigh.of(m - 1, own, change));
            }
        }
    }

    /// The sums since the break longer ago than the horizon that explains the last rows best, and 1
    /// where there is one that does so better than the `highest` evidence within the horizon.
    #[inline(always)]
    fn older(&self, at: usize, n: usize, mut highest: Lanes) -> (BlockSums, Lanes) {
        let (mut best, mut found) = (BlockSums::ZERO, [0.0; BLOCK]);
        let (mut z, mut magnitude) = ([0.0; BLOCK], [0.0; BLOCK]);
        let counts = OLDER.iter().map(|older| self.horizon + older);
        for count in counts.take_while(|count| *count <= at + n) {
            let after = self.last_of_block(at, n, count);
            let before = self.lookbacks_of(at + self.before - count, n);
            self.compare_sums(before, &after, (&mut z[..n], &mut magnitude[..n]));
            // Rows before this one have not as many rows behind them.
            for i in (count - 1).saturating_sub(at)..n {
                let z = z[i].abs();
                let is_better = z > highest[i] || found[i] != 0.0 && z == highest[i];
                highest[i] = if is_better { z } else { highest[i] };
                found[i] = if is_better { 1.0 } else { found[i] };
                best.seen[i] = if is_better { after.seen[i] } else { best.seen[i] };
                best.expected[i] = if is_better { after.expected[i] } else { best.expected[i] };
            }
        }
        (best, found)
    }

    #[inline(always)]
    fn lookbacks_of(&self, row: usize, n: usize) -> (&[f64], &[f64]) {
        (&self.lookbacks.seen[row..row + n], &self.lookbacks.expected[row..row + n])
    }

    /// Compares the level before with that after, row by row.
    #[inline(always)]
    fn compare_sums(&self, before: (&[f64], &[f64]), after: &BlockSums, out: (&mut [f64], &mut [f64])) {
        if self.profile.multiplicative {
            compare_all::<true>(before, after, out);
        } else {
            compare_all::<false>(before, after, out);
        }
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

/// The larger of two numbers, neither of them NaN: one instruction.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// The evidence of all rows of a history for a break 1, 2, ... rows ago.
///
/// A type of its own, as the next one: a closure as large is not inlined into code for the vector
/// registers there are, even where it asks for that.
pub(super) struct History<'a> {
    pub(super) evidence: &'a Evidence<'a>,
    pub(super) rows: usize,
    /// Its size is added, row by row.
    pub(super) out: &'a mut [Vec<f64>],
}

impl pulp::NullaryFnOnce for History<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut found = Comparisons::new(self.out.len());
        for first in (0..self.rows).step_by(BLOCK) {
            let n = BLOCK.min(self.rows - first);
            self.evidence.compare(first, n, &mut found);
            for (all, z) in self.out.iter_mut().zip(&found.z) {
                all.extend(z[..n].iter().map(|z| z.abs()));
            }
        }
    }
}

/// The strongest evidence of the rows from `first` on.
pub(super) struct Strongest<'a> {
    pub(super) evidence: &'a Evidence<'a>,
    pub(super) weigh: Weigh<'a>,
    pub(super) first: usize,
    pub(super) out: &'a mut [f64],
}

impl pulp::NullaryFnOnce for Strongest<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut found = Comparisons::new(self.weigh.scales.len());
        for (block, out) in self.out.chunks_mut(BLOCK).enumerate() {
            self.evidence.strongest(self.first + block * BLOCK, &self.weigh, &mut found, out);
        }
    }
}

/// The weight of evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weigh<'a> {
    /// Divisors of the evidence of the last 1, 2, ... rows.
    pub(super) scales: &'a [f64],
    /// Relative change from which on evidence counts in full.
    pub(super) min_magnitude: f64,
}

impl Weigh<'_> {
    #[inline(always)]
    fn of(&self, m: usize, z: f64, magnitude: f64) -> f64 {
        let share = magnitude / self.min_magnitude;
        z.abs() / self.scales[m] * if magnitude < self.min_magnitude { share } else { 1.0 }
    }
}

/// Signed roots of the likelihood ratios of two levels against one, and relative changes of the
/// level; infinite where there is no such thing.
#[inline(always)]
fn compare_all<const MULTIPLICATIVE: bool>(
    (seen_before, expected_before): (&[f64], &[f64]),
    after: &BlockSums,
    (zs, magnitudes): (&mut [f64], &mut [f64]),
) {
    // Slices of one length: no check is left in the loop, which then is vector code.
    let n = zs.len();
    let (seen_before, expected_before) = (&seen_before[..n], &expected_before[..n]);
    let (seen_after, expected_after) = (&after.seen[..n], &after.expected[..n]);
    let magnitudes = &mut magnitudes[..n];
    for i in 0..n {
        let before = Sums { seen: seen_before[i], expected: expected_before[i] };
        let after = Sums { seen: seen_after[i], expected: expected_after[i] };
        let (z, magnitude) = if MULTIPLICATIVE { relative(before, after) } else { absolute(before, after) };
        let known = before.expected > 0.0 && after.expected > 0.0;
        zs[i] = if known { z } else { 0.0 };
        magnitudes[i] = if known { magnitude } else { 0.0 };
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
