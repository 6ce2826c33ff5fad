//! Lasting changes of a level: news for some hours, then the new normal.

use serde::{Deserialize, Serialize};

use crate::grid::{PURCHASES, REVENUE, STEPS};

/// Hours before and after a change that are compared: a week has all hours of the week.
const SIDE: usize = 168;
/// Hours that have to be known after a change: what lasted three days may last.
const LEAST_AFTER: usize = 72;
/// Hours between candidates.
const STRIDE: usize = 6;
/// Hours on either side between which most of a change happens: a slow drift is no event.
const SHARP: usize = 24;
/// Share of the change that these hours, the later half of the week after and the earlier half of
/// the week before it show.
const SHARE: f64 = 0.6;
/// Least log change, a third, and least number of standard deviations.
const LEAST_CHANGE: f64 = 0.3;
const LEAST_DEVIATIONS: f64 = 5.0;
/// Least standard deviation of weekly log changes.
const LEAST_SD: f64 = 0.05;
/// Standard deviations per median absolute deviation of a normal distribution.
const MAD: f64 = 1.4826;
/// Counts added to all sums.
const PRIOR_COUNTS: f64 = 12.0;
/// Variance per count.
const COUNT_NOISE: f64 = 1.5;
/// A change that is undone within three weeks is one long event, no new level.
const UNDONE: usize = 21 * 24;

/// A lasting change of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jump {
    /// Its first hour, since 1970.
    pub(crate) hour: i64,
    /// Log change.
    pub(crate) size: f64,
}

impl Jump {
    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.hour.abs() < 1 << 40 && self.size.abs() <= 30.0
    }
}

struct Sums {
    value: Vec<f64>,
    expected: Vec<f64>,
}

impl Sums {
    fn log_ratio(&self, from: usize, to: usize) -> f64 {
        let value = self.value[to] - self.value[from];
        let expected = self.expected[to] - self.expected[from];
        ((value + PRIOR_COUNTS) / (expected + PRIOR_COUNTS)).ln()
    }

    fn change(&self, at: usize, before: usize, after: usize) -> f64 {
        self.log_ratio(at, at + after) - self.log_ratio(at - before, at)
    }

    fn count_variance(&self, from: usize, to: usize) -> f64 {
        COUNT_NOISE / (self.expected[to] - self.expected[from] + PRIOR_COUNTS)
    }
}

/// The lasting changes of one step, in order. `expected` is without level; `start` is the first
/// hour since 1970.
pub(crate) fn find(value: &[f64], expected: &[f64], weight: &[f64], start: i64) -> Vec<Jump> {
    let hours = value.len();
    let sums = Sums { value: running(value, weight), expected: running(expected, weight) };
    let candidates: Vec<(usize, f64)> = (SIDE..(hours + 1).saturating_sub(LEAST_AFTER))
        .step_by(STRIDE)
        .map(|at| (at, sums.change(at, SIDE, SIDE.min(hours - at))))
        .collect();
    if candidates.is_empty() {
        return Vec::new();
    }
    let mut sizes: Vec<f64> = candidates.iter().map(|(_, change)| change.abs()).collect();
    let middle = sizes.len() / 2;
    let sd = MAD * *sizes.select_nth_unstable_by(middle, f64::total_cmp).1 + LEAST_SD;
    let deviations = |&(at, change): &(usize, f64)| {
        let noise = sums.count_variance(at - SIDE, at) + sums.count_variance(at, at + SIDE.min(hours - at));
        change.abs() / (sd * sd + noise).sqrt()
    };
    let is_lasting = |&(at, change): &(usize, f64)| {
        let later = hours.min(at + SIDE);
        let second_half = sums.log_ratio(at.midpoint(later), later) - sums.log_ratio(at - SIDE, at);
        let sharp = sums.change(at, SHARP, SHARP);
        let first_half = sums.log_ratio(at, later) - sums.log_ratio(at - SIDE, at - SIDE / 2);
        [second_half, first_half, sharp].iter().all(|part| part * change.signum() >= SHARE * change.abs())
    };
    let mut open: Vec<(usize, f64, f64)> = candidates
        .iter()
        .filter(|c| c.1.abs() >= LEAST_CHANGE && is_lasting(c))
        .map(|c| (c.0, c.1, deviations(c)))
        .filter(|c| c.2 >= LEAST_DEVIATIONS)
        .collect();
    let mut found: Vec<(usize, f64)> = Vec::new();
    while let Some(best) = open.iter().copied().reduce(|a, b| if b.2 > a.2 { b } else { a }) {
        found.push((best.0, best.1));
        open.retain(|c| c.0.abs_diff(best.0) > SIDE);
    }
    found.sort_by_key(|(at, _)| *at);
    without_undone(found).into_iter().map(|(at, size)| Jump { hour: start + at as i64, size }).collect()
}

/// Leaves out pairs of opposite changes within three weeks.
fn without_undone(found: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let mut kept: Vec<(usize, f64)> = Vec::new();
    for (at, size) in found {
        match kept.last() {
            Some((before, other)) if at - before <= UNDONE && other * size < 0.0 => {
                kept.pop();
            }
            _ => kept.push((at, size)),
        }
    }
    kept
}

fn running(values: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for (value, weight) in values.iter().zip(weight) {
        sum += value * weight;
        sums.push(sum);
    }
    sums
}

/// The sum of all changes up to an hour.
pub(crate) fn level(jumps: &[Jump], hour: i64) -> f64 {
    jumps.iter().take_while(|jump| jump.hour <= hour).map(|jump| jump.size).sum()
}

/// Takes the expected values of hours in which a change is news back to the level before it.
/// Steps further down the funnel follow those above.
pub(crate) fn expect_news(
    expected: &mut [Vec<f64>; STEPS],
    jumps: &[Vec<Jump>; STEPS],
    start: i64,
    news_hours: usize,
    revenue_follows: bool,
) {
    for (cause, jumps) in jumps.iter().enumerate() {
        let last = if cause < REVENUE && !revenue_follows { PURCHASES } else { REVENUE };
        for jump in jumps {
            let hours = expected[cause].len() as i64;
            let from = (jump.hour - start).clamp(0, hours) as usize;
            let to = (jump.hour - start + news_hours as i64).clamp(0, hours) as usize;
            let factor = (-jump.size).exp();
            for step in expected.iter_mut().take(last.max(cause) + 1).skip(cause) {
                step[from..to].iter_mut().for_each(|m| *m *= factor);
            }
        }
    }
}

/// The hours at which changes end to be news.
pub(crate) fn news_ends(jumps: &[Vec<Jump>; STEPS], start: i64, news_hours: usize) -> Vec<usize> {
    let end = |jump: &Jump| usize::try_from(jump.hour - start + news_hours as i64).ok();
    jumps.iter().flatten().filter_map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: impl Fn(usize) -> f64) -> Vec<f64> {
        // A day's wave and noise that needs no generator.
        (0..2000).map(|h| of(h) * (1.0 + 0.2 * ((h * 7919 % 17) as f64 / 8.0 - 1.0))).collect()
    }

    fn found(of: impl Fn(usize) -> f64) -> Vec<Jump> {
        find(&values(of), &[50.0; 2000], &[1.0; 2000], 0)
    }

    #[test]
    fn a_lasting_change_is_found_where_it_is() {
        let jumps = found(|h| if h < 1000 { 50.0 } else { 25.0 });
        assert_eq!(jumps.len(), 1);
        assert!((jumps[0].hour - 1000).abs() <= 6 && (jumps[0].size + 0.69).abs() < 0.1, "{jumps:?}");
    }

    #[test]
    fn events_and_drifts_are_no_new_level() {
        assert!(found(|h| if (1000..1060).contains(&h) { 25.0 } else { 50.0 }).is_empty());
        assert!(found(|h| if (1000..1300).contains(&h) { 25.0 } else { 50.0 }).is_empty());
        assert!(found(|h| 50.0 * (h as f64 / 1500.0).exp()).is_empty());
    }

    #[test]
    fn news_ends() {
        let mut expected: [Vec<f64>; STEPS] = std::array::from_fn(|_| vec![2.0; 100]);
        let mut jumps: [Vec<Jump>; STEPS] = Default::default();
        jumps[0] = vec![Jump { hour: 1010, size: 2.0_f64.ln() }];
        expect_news(&mut expected, &jumps, 1000, 24, false);
        assert_eq!((expected[0][9], expected[0][10], expected[0][33], expected[0][34]), (2.0, 1.0, 1.0, 2.0));
        assert_eq!((expected[2][20], expected[3][20]), (1.0, 2.0));
        assert_eq!(level(&jumps[0], 1009), 0.0);
    }
}
