//! What the rows of a series show, and the incidents that they make up.

use funnelpulse_core::{SeriesKey, Timestamp};
use serde::Serialize;

use crate::{
    IncidentKind,
    decode::HourState,
    grid::{PURCHASES, REVENUE, Steps},
};

/// Hours without a row, or with odds below even, that an incident may contain.
const BRIDGE: usize = 2;

/// How far sizes are from the nearest that is searched for: standard deviation relative to them, and the
/// size below which it gets no smaller.
const GRID: f64 = 0.1;
const GRID_LEAST: f64 = 0.5;
/// Effects on the revenue nearer to none than this are nearly none.
const UNTOUCHED: f64 = 0.1;
/// Neighbouring hours stray alike: the variance of their sum is so many times as large as of independent ones.
const ALIKE: f64 = 2.0;
/// Log odds above which a row next to an incident counts for its cost, by its probability.
const MAY_BE: f64 = -4.0;

/// What the rows of one series show.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The series.
    pub series: SeriesKey,
    time: Vec<Timestamp>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    hour: usize,
    observed: Steps,
    state: HourState,
    /// Log odds of a broken site, and of which kind.
    site: Option<(f64, IncidentKind)>,
}

impl Row {
    /// Whether the site explains the row rather than the series.
    fn is_shared(&self) -> bool {
        self.site.is_some_and(|(log_odds, _)| log_odds > self.state.log_odds)
    }
}

/// One cause, from its first to its last hour, in one series or in all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// The series, or `(site)` for what all series share.
    pub series: SeriesKey,
    /// What it is.
    pub kind: IncidentKind,
    /// Probability of that kind, given that it is an incident.
    pub kind_probability: f64,
    /// Time of its first row.
    pub start: Timestamp,
    /// Time of its last row.
    pub last: Timestamp,
    /// Its rows within the series, first and last.
    pub rows: (usize, usize),
    /// Logarithm of the odds of an incident in its clearest row.
    pub log_odds: f64,
    /// Visits, carts, purchases and revenue as they were, NaN where there is no such step.
    pub observed: [f64; 4],
    /// The same of normal operation.
    pub expected: [f64; 4],
    /// Purchases relative to those of normal operation, on average over the noise of the hours.
    pub purchase_factor: f64,
    /// Revenue that it cost on average over the noise of the hours; negative where it brought more
    /// than usual.
    pub revenue_loss: f64,
    /// The range that holds it with a probability of 90 %.
    pub revenue_loss_interval: (f64, f64),
}

impl Evidence {
    pub(crate) fn new(
        series: SeriesKey,
        time: Vec<Timestamp>,
        hours: &[usize],
        observed: &[Steps],
        states: &[HourState],
    ) -> Self {
        let row = |&hour: &usize| Row { hour, observed: observed[hour], state: states[hour], site: None };
        Self { series, time, rows: hours.iter().map(row).collect() }
    }

    /// Where the site is broken, so is each of its series.
    pub(crate) fn with_site(mut self, site: &Self) -> Self {
        for (row, time) in self.rows.iter_mut().zip(&self.time) {
            let at = site.time.binary_search(&time.floor_to(Timestamp::HOUR));
            row.site = at.ok().and_then(|i| {
                let state = &site.rows[i].state;
                let kind = most_probable(&state.kinds.map(f64::from)).0;
                kind.breaks_the_site().then_some((state.log_odds, kind))
            });
        }
        self
    }

    /// Without the first `rows` rows.
    pub fn skip(mut self, rows: usize) -> Self {
        let rows = rows.min(self.rows.len());
        self.time.drain(..rows);
        self.rows.drain(..rows);
        self
    }

    /// The time of each row.
    pub fn time(&self) -> &[Timestamp] {
        &self.time
    }

    /// Logarithm of the odds that each row is part of an incident, of the series or of the whole
    /// site: 0 is fifty-fifty.
    pub fn log_odds(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.rows.iter().map(|r| r.site.map_or(r.state.log_odds, |(site, _)| site.max(r.state.log_odds)))
    }

    /// The most probable kind of each row, were it part of an incident.
    pub fn kinds(&self) -> impl ExactSizeIterator<Item = IncidentKind> + '_ {
        let own = |r: &Row| most_probable(&r.state.kinds.map(f64::from)).0;
        self.rows.iter().map(move |r| r.site.filter(|_| r.is_shared()).map_or_else(|| own(r), |(_, kind)| kind))
    }

    /// Visits, carts, purchases and revenue that normal operation would have brought, per row.
    pub fn expected(&self) -> impl ExactSizeIterator<Item = [f64; 4]> + '_ {
        self.rows.iter().map(|r| r.state.expected)
    }

    /// Whether each row is explained by a broken site: then what is expected of the series is what
    /// it would bring in this broken site.
    pub fn shared(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        self.rows.iter().map(Row::is_shared)
    }

    /// The incidents of the series in which at least one row has log odds of `limit` or more. What
    /// the whole site shows is not among them.
    pub fn incidents(&self, limit: f64) -> Vec<Incident> {
        let flags: Vec<bool> = self.rows.iter().map(|r| r.state.log_odds >= limit).collect();
        self.incidents_of(&flags)
    }

    /// The incidents that the flagged rows are part of, one flag per row. They go as far to either
    /// side as the odds are even, and over gaps of an hour or two. Rows that the whole site explains
    /// are left to it.
    ///
    /// # Panics
    /// With another number of flags than rows.
    pub fn incidents_of(&self, flags: &[bool]) -> Vec<Incident> {
        assert_eq!(flags.len(), self.rows.len(), "a flag per row is needed");
        let is_part = |row: usize| !self.rows[row].is_shared() && (flags[row] || self.rows[row].state.log_odds >= 0.0);
        let mut incidents = Vec::new();
        let mut row = 0;
        while row < self.rows.len() {
            if !is_part(row) {
                row += 1;
                continue;
            }
            let start = row;
            let mut last = row;
            while row < self.rows.len() && self.rows[row].hour <= self.rows[last].hour + 1 + BRIDGE {
                if is_part(row) {
                    last = row;
                }
                row += 1;
            }
            row = last + 1;
            if (start..=last).any(|row| flags[row] && !self.rows[row].is_shared()) {
                incidents.push(self.incident(start, last));
            }
        }
        incidents
    }

    fn incident(&self, start: usize, last: usize) -> Incident {
        let rows = &self.rows[start..=last];
        let mut kinds = [0.0; IncidentKind::ALL.len()];
        let (mut observed, mut expected) = ([f64::NAN; 4], [0.0; 4]);
        let mut purchases = 0.0;
        let mut before = None;
        // The level follows a little before it is known that something is wrong: what counts is that
        // of before.
        let level = rows[0].state.level;
        for Row { hour, observed: y, state, .. } in rows {
            let probability = 1.0 / (1.0 + (-state.log_odds).exp());
            kinds.iter_mut().zip(state.kinds).for_each(|(sum, p)| *sum += probability * f64::from(p));
            if before.replace(*hour) == Some(*hour) {
                // Several rows of one hour share its counts.
                continue;
            }
            let due = state.expected_at(&level);
            for step in (0..4).filter(|&step| !y[step].is_nan()) {
                observed[step] = if observed[step].is_nan() { y[step] } else { observed[step] + y[step] };
                expected[step] += due[step];
            }
            purchases += state.expected[PURCHASES] * state.purchases;
        }
        let clearest = rows.iter().map(|r| r.state.log_odds).fold(f64::NEG_INFINITY, f64::max);
        let (loss, sd) =
            if observed[REVENUE].is_nan() { (f64::NAN, f64::NAN) } else { self.cost(start, last, clearest) };
        for step in 0..4 {
            if observed[step].is_nan() {
                expected[step] = f64::NAN;
            }
        }
        let purchase_factor = purchases / expected[PURCHASES];
        let total: f64 = kinds.iter().sum();
        let (kind, weight) = most_probable(&kinds);
        Incident {
            series: self.series.clone(),
            kind,
            kind_probability: if total > 0.0 { weight / total } else { 0.0 },
            start: self.time[start],
            last: self.time[last],
            rows: (start, last),
            log_odds: clearest,
            observed,
            expected,
            purchase_factor,
            revenue_loss: loss,
            revenue_loss_interval: (loss - 1.645 * sd, loss + 1.645 * sd),
        }
    }

    /// The revenue that an incident cost, and its standard deviation.
    ///
    /// What the shop would have brought is known but for its level. What it brought on average over the
    /// noise of the hours is told twice: by the size that the most probable states have, of which there are
    /// only some, and by the counts, in which the noise is still contained. The more hours, the more the counts say.
    fn cost(&self, start: usize, last: usize, clearest: f64) -> (f64, f64) {
        let level = self.rows[start].state.level;
        let likely = |log_odds: f64| 1.0 / (1.0 + (-log_odds).exp());
        let (mut due, mut modelled, mut counted) = (0.0, 0.0, 0.0);
        let (mut size_sd, mut scatter, mut edge_sd, mut uncertainty) = (0.0, 0.0, 0.0, 0.0_f64);
        for (row, Row { observed, state, .. }) in self.around(start, last) {
            // Given that it is an incident: relative to its clearest row.
            let probability = (likely(state.log_odds) / likely(clearest)).min(1.0);
            let inside = (start..=last).contains(&row);
            let (expected, (effect, variance)) = (state.expected_at(&level)[REVENUE], state.effect);
            let brought = state.expected[REVENUE] * effect;
            due += probability * expected;
            modelled += probability * brought;
            let known = if observed[REVENUE].is_nan() { brought } else { observed[REVENUE] };
            counted += probability * if inside { known } else { brought };
            // Sizes are off alike in all hours, so that deviations add up; those of the counts don't.
            // Kinds that leave the revenue alone do so exactly.
            let grid = GRID * effect.max(GRID_LEAST) * ((effect - 1.0).abs() / UNTOUCHED).min(1.0);
            size_sd += probability * state.expected[REVENUE] * (variance + grid * grid).sqrt();
            scatter += ALIKE * probability * state.scatter;
            edge_sd += (probability * (1.0 - probability)).sqrt() * (expected - brought).abs();
            uncertainty = uncertainty.max(state.uncertainty);
        }
        let (model, counts) = (1.0 / (size_sd * size_sd).max(f64::MIN_POSITIVE), 1.0 / scatter.max(f64::MIN_POSITIVE));
        let share = counts / (model + counts);
        let brought = (1.0 - share) * modelled + share * counted;
        // A wrong level is wrong in what is due, and in what the states say of what was brought.
        let level_sd = uncertainty.sqrt() * (due - (1.0 - share) * modelled).abs();
        let variance = 1.0 / (model + counts) + level_sd * level_sd + edge_sd * edge_sd;
        (due - brought, variance.sqrt())
    }
}

impl Evidence {
    /// The rows of an incident and those next to it that may be part of it, one for each hour.
    fn around(&self, start: usize, last: usize) -> impl Iterator<Item = (usize, &Row)> {
        let may_be = |row: &&Row| row.state.log_odds > MAY_BE && !row.is_shared();
        let before = self.rows[..start].iter().rev().take_while(may_be).count();
        let after = self.rows[last + 1..].iter().take_while(may_be).count();
        let mut hour = None;
        let rows = self.rows.iter().enumerate().take(last + after + 1).skip(start - before);
        rows.filter(move |(_, row)| hour.replace(row.hour) != Some(row.hour))
    }
}

fn most_probable(kinds: &[f64; IncidentKind::ALL.len()]) -> (IncidentKind, f64) {
    let all = IncidentKind::ALL.into_iter().zip(*kinds);
    all.fold((IncidentKind::CheckoutOutage, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
}
