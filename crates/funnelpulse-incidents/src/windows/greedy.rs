//! From windows to hours: the best window first, no two that overlap.
//!
//! The hours of a day (UTC) are settled among the windows of two days before it to two days after
//! its start, so that no score depends on anything later than three days: a window of the second day is compared with the hours
//! after it.

use std::ops::Range;

use super::{HORIZON, LENGTHS, evaluate::Best};
use crate::grid::DAY;

/// Windows below this height are no candidates.
const LEAST_HEIGHT: f64 = 2.0;

/// What is found of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Found {
    /// The anomaly score: like a standard normal deviate.
    pub(crate) height: f64,
    /// Hours of the window before this hour, and its length; 0 where no window was chosen.
    pub(crate) before: u8,
    pub(crate) length: u8,
    /// Position of the statistic.
    pub(crate) statistic: u8,
    /// Whether more was observed than expected.
    pub(crate) is_above: bool,
    /// Whether the site shows it, more than the series does itself.
    pub(crate) is_shared: bool,
}

/// Height that a window loses per logarithm of its length: a false window of two days is 48 false rows.
const LENGTH_PENALTY: f64 = 0.25;

/// Share of the best height that the core of a window has.
const CORE: f64 = 0.95;

struct Candidate {
    height: f64,
    from: usize,
    length: usize,
    signed: f32,
    statistic: u8,
}

/// Settles every hour of some days; `best` has the windows of each length.
pub(crate) fn settle(best: &[Best], hours: usize, days: &Range<usize>) -> Vec<Found> {
    let mut found = vec![Found::default(); hours];
    let mut taken = [false; HORIZON + 2 * DAY];
    let days = days.start..days.end.min(hours.div_ceil(DAY));
    for day in days.clone() {
        let first = (day * DAY).saturating_sub(HORIZON);
        let end = (day * DAY + HORIZON).min(hours);
        let mut candidates = candidates(best, first, end);
        candidates
            .sort_by(|a, b| b.height.total_cmp(&a.height).then(a.length.cmp(&b.length)).then(a.from.cmp(&b.from)));
        taken.fill(false);
        for best in &candidates {
            let span = best.from - first..best.from - first + best.length;
            if taken[span].iter().any(|t| *t) {
                continue;
            }
            let candidate = core_of(best, &candidates);
            let span = candidate.from - first..candidate.from - first + candidate.length;
            taken[span].fill(true);
            let today = day * DAY..((day + 1) * DAY).min(hours);
            let end = (candidate.from + candidate.length).min(today.end);
            let start = candidate.from.max(today.start).min(end);
            for (hour, found) in found[start..end].iter_mut().enumerate() {
                *found = Found {
                    height: best.height,
                    before: (start + hour - candidate.from) as u8,
                    length: candidate.length as u8,
                    statistic: candidate.statistic,
                    is_above: candidate.signed > 0.0,
                    is_shared: false,
                };
            }
        }
    }
    // Hours without a window keep what the hour itself shows, below every candidate.
    let settled = days.start * DAY..(days.end * DAY).min(hours);
    for (found, hour) in found[settled.clone()].iter_mut().zip(settled).filter(|(found, _)| found.length == 0) {
        let own = best[0].signed.get(hour).copied().filter(|s| !s.is_nan());
        found.height = own.map_or(0.0, |own| f64::from(own.abs()).min(LEAST_HEIGHT));
    }
    found
}

/// The shortest window within the best that is nearly as high: a strong event is as visible with some
/// ordinary hours around it. What is left over is open for other windows.
fn core_of<'a>(best: &'a Candidate, candidates: &'a [Candidate]) -> &'a Candidate {
    let end = best.from + best.length;
    let is_within = |c: &&Candidate| c.from >= best.from && c.from + c.length <= end && c.height >= CORE * best.height;
    candidates.iter().filter(is_within).reduce(|a, b| if b.length < a.length { b } else { a }).unwrap_or(best)
}

fn candidates(best: &[Best], first: usize, end: usize) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (best, &length) in best.iter().zip(&LENGTHS) {
        let penalty = LENGTH_PENALTY * (length as f64).ln();
        let starts = first..(end + 1).saturating_sub(length).max(first).min(best.signed.len());
        for from in starts {
            let signed = best.signed[from];
            let height = f64::from(signed.abs()) - penalty;
            if height > LEAST_HEIGHT {
                candidates.push(Candidate { height, from, length, signed, statistic: best.statistic[from] });
            }
        }
    }
    candidates
}
