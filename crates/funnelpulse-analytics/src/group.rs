//! Incidents of several series at the same hours: one cause, one name, one price.

use std::{cmp::Reverse, collections::BinaryHeap};

use funnelpulse_core::{Episode, GROUP, IncidentKind, SeriesKey, Severity};

use crate::{Incident, Layout, SeriesFindings, incident};

/// Series from which on groups are looked for: incidents of fewer are easily read one by one.
const LEAST_SERIES: usize = 6;
/// Series of a group, at least. Two incidents at the same hours are often chance, three of one kind hardly.
const LEAST_MEMBERS: usize = 3;
/// The hours that two incidents share, as a share of those that either has, at least.
const SHARED: f64 = 0.5;
/// Members that a text names.
const NAMED: usize = 5;

/// The place of an incident: its series and its position there.
type At = (usize, usize);

/// Joins incidents of several series that have the same hours and no different kinds. Members refer to the
/// incident of the group. With fewer than six series there are no groups.
pub(crate) fn join(layout: &Layout, series: &mut [SeriesFindings]) -> Vec<Incident> {
    if series.len() < LEAST_SERIES {
        return Vec::new();
    }
    let mut candidates = Candidates::of(series);
    let mut groups = Vec::new();
    while let Some(members) = candidates.take_largest(series) {
        let group = explain(layout, series, &members);
        for (s, i) in members {
            series[s].incidents[i].group = Some(group.id.clone());
        }
        groups.push(group);
    }
    groups.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
    groups
}

/// The incidents that are in no group yet.
struct Candidates {
    /// All incidents in order of time.
    order: Vec<At>,
    is_taken: Vec<bool>,
    /// The sizes of the groups around incidents, largest and then earliest first. A size counts members that may
    /// have been taken since.
    sizes: BinaryHeap<(usize, Reverse<usize>)>,
}

impl Candidates {
    fn of(series: &[SeriesFindings]) -> Self {
        let mut order: Vec<At> =
            series.iter().enumerate().flat_map(|(s, f)| (0..f.incidents.len()).map(move |i| (s, i))).collect();
        order.sort_by_key(|&(s, i)| (series[s].incidents[i].start, s, i));
        let mut candidates = Self { is_taken: vec![false; order.len()], order, sizes: BinaryHeap::new() };
        for seed in 0..candidates.order.len() {
            candidates.push(seed, candidates.around(series, seed).len());
        }
        candidates
    }

    fn push(&mut self, seed: usize, size: usize) {
        if size >= LEAST_MEMBERS {
            self.sizes.push((size, Reverse(seed)));
        }
    }

    /// The incidents that the most others agree with, and those others.
    fn take_largest(&mut self, series: &[SeriesFindings]) -> Option<Vec<At>> {
        loop {
            let (size, Reverse(seed)) = self.sizes.pop()?;
            if self.is_taken[seed] {
                continue;
            }
            let members = self.around(series, seed);
            if members.len() < size {
                self.push(seed, members.len());
                continue;
            }
            for member in &members {
                self.is_taken[*member] = true;
            }
            let mut members: Vec<At> = members.into_iter().map(|member| self.order[member]).collect();
            members.sort_unstable();
            return Some(members);
        }
    }

    /// An incident and those that agree with it and with each other, at most one of each series.
    fn around(&self, series: &[SeriesFindings], seed: usize) -> Vec<usize> {
        let of = |at: usize| &series[self.order[at].0].incidents[self.order[at].1];
        let (start, end) = (of(seed).start, of(seed).end);
        // What begins earlier than its own length before has more than half of its hours to itself.
        let earliest = start.offset(start.as_micros() - end.as_micros());
        let later = (seed + 1..self.order.len()).take_while(|at| of(*at).start < end);
        let earlier = (0..seed).rev().take_while(|at| of(*at).start >= earliest);
        let mut members = vec![seed];
        for other in later.chain(earlier).filter(|at| !self.is_taken[*at]) {
            let is_new = members.iter().all(|member| self.order[*member].0 != self.order[other].0);
            if is_new && members.iter().all(|member| agree(of(*member), of(other))) {
                members.push(other);
            }
        }
        members
    }
}

/// Whether two incidents may have one cause.
fn agree(a: &Incident, b: &Incident) -> bool {
    let hours = |from: i64, to: i64| (to - from).max(0) as f64;
    let both = hours(a.start.max(b.start).as_micros(), a.end.min(b.end).as_micros());
    let either = hours(a.start.min(b.start).as_micros(), a.end.max(b.end).as_micros());
    let unnamed = IncidentKind::Unexplained;
    both >= SHARED * either && (a.kind == b.kind || a.kind == unnamed || b.kind == unnamed)
}

/// The members as one incident: sums of what was observed and expected, and of the prices, whose errors are
/// independent.
fn explain(layout: &Layout, series: &[SeriesFindings], members: &[At]) -> Incident {
    let all: Vec<&Incident> = members.iter().map(|&(s, i)| &series[s].incidents[i]).collect();
    let named: Vec<IncidentKind> = all.iter().map(|i| i.kind).filter(|k| *k != IncidentKind::Unexplained).collect();
    let is_named = 2 * named.len() >= all.len();
    let kind = named.first().copied().filter(|_| is_named).unwrap_or(IncidentKind::Unexplained);
    let alike = all.iter().filter(|i| i.kind == kind).count();
    let sums = |of: fn(&Incident) -> [f64; 4]| -> [f64; 4] {
        std::array::from_fn(|step| sum(all.iter().map(|i| of(i)[step])))
    };
    let (observed, expected) = (sums(|i| i.observed), sums(|i| i.expected));
    let loss = 0.0 - sum(all.iter().map(|i| i.impact.revenue.unwrap_or(f64::NAN)));
    let half = |i: &&Incident| i.revenue_interval.map_or(f64::NAN, |(low, high)| 0.25 * (high - low).powi(2));
    let reach = sum(all.iter().map(half)).sqrt();
    let highest = all.iter().map(|i| i.probability).fold(f64::NAN, f64::max);
    let start = all.iter().map(|i| i.start).min().unwrap_or_default();
    let end = all.iter().map(|i| i.end).max().unwrap_or_default();
    let episode = Episode {
        series: SeriesKey::new(GROUP),
        kind,
        kind_probability: alike as f64 / all.len() as f64,
        start,
        last: end,
        end,
        rows: (0, 0),
        log_odds: (highest / (1.0 - highest)).ln(),
        probability: highest,
        observed,
        expected,
        purchase_factor: observed[2] / expected[2],
        revenue_loss: loss,
        revenue_loss_interval: (loss - reach, loss + reach),
    };
    let severity = all.iter().map(|i| i.severity).max().unwrap_or(Severity::Low);
    let is_ongoing = all.iter().any(|i| i.ongoing);
    let names: Vec<SeriesKey> = all.iter().map(|i| i.series.clone()).collect();
    let (settings, funnel) = ((&layout.alerts, &layout.clock), layout.funnel.as_ref());
    let text = in_words(&names);
    let group = incident::one(settings, funnel, (&episode, &text), severity, is_ongoing, &mut Vec::new());
    // Two groups may begin in the same hour.
    Incident { id: format!("{}:{}", group.id, names[0]), members: names, ..group }
}

/// The sum of what is known; NaN where nothing is.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|v| !v.is_nan()).fold(f64::NAN, |sum, v| if sum.is_nan() { v } else { sum + v })
}

fn in_words(names: &[SeriesKey]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(SeriesKey::as_str).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        number => format!(" and {number} more"),
    };
    format!("{} series ({}{more})", names.len(), shown.join(", "))
}

#[cfg(test)]
mod tests;
