//! When which kind of incident: the forward-backward algorithm (Rabiner 1989).
//!
//! A series is in normal operation or in one of the states of [`kind`](crate::kind). Forwards,
//! hour by hour, the probability of each state given what came before, and with it the level of
//! the series, which learns from normal hours only; backwards, what came after.

use serde::{Deserialize, Serialize};

use funnelpulse_core::IncidentKind;

use crate::{
    baskets::Baskets,
    evidence::Hour,
    grid::{CARTS, COUNTS, Grid, PURCHASES, REVENUE, Steps, TRAFFIC},
    kind::{Hypothesis, SHIFTS},
    level::{Drift, Level},
    noise::Noise,
};

/// Of the hours in which a slope leaves one of its levels, the share in which it goes on to the next.
const GOES_ON: f64 = 0.6;
/// Smallest probability that is told apart from none.
const TINY: f64 = 1e-200;

/// Transition probabilities per hour.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) states: Vec<Hypothesis>,
    enter: Vec<f64>,
    leave: Vec<f64>,
    stay_normal: f64,
}

impl Chain {
    /// `hazard` is the probability that an incident begins in a normal hour.
    pub(crate) fn new(states: Vec<Hypothesis>, hazard: f64) -> Self {
        let kinds = IncidentKind::ALL.iter().filter(|k| states.iter().any(|s| s.kind == **k)).count().max(1) as f64;
        let enter: Vec<f64> = states.iter().map(|s| hazard / kinds * s.share).collect();
        let leave = states.iter().map(|s| 1.0 / s.hours).collect();
        let stay_normal = 1.0 - enter.iter().sum::<f64>();
        Self { states, enter, leave, stay_normal }
    }

    /// Probabilities an hour later; the first is of normal operation.
    fn forward(&self, now: &[f64], next: &mut [f64]) {
        next[0] = now[0] * self.stay_normal;
        for (i, (enter, leave)) in self.enter.iter().zip(&self.leave).enumerate() {
            next[i + 1] = now[i + 1] * (1.0 - leave) + now[0] * enter;
            next[0] += now[i + 1] * leave;
        }
        for (i, state) in self.states.iter().enumerate() {
            if let Some(before) = state.after {
                let moved = now[before + 1] * self.leave[before] * GOES_ON;
                next[i + 1] += moved;
                next[0] -= moved;
            }
        }
    }

    /// What later hours say of this one, from `weights`: what they say of the next times its own evidence.
    fn backward(&self, weights: &[f64], out: &mut [f64]) {
        out[0] = weights[0] * self.stay_normal;
        for (i, (enter, leave)) in self.enter.iter().zip(&self.leave).enumerate() {
            out[0] += enter * weights[i + 1];
            out[i + 1] = (1.0 - leave) * weights[i + 1] + leave * weights[0];
        }
        for (i, state) in self.states.iter().enumerate() {
            if let Some(before) = state.after {
                out[before + 1] += self.leave[before] * GOES_ON * (weights[i + 1] - weights[0]);
            }
        }
    }
}

/// What is known of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HourState {
    /// Logarithm of the odds of an incident.
    pub(crate) log_odds: f64,
    /// Probability of each kind, given that it is an incident.
    pub(crate) kinds: [f32; IncidentKind::ALL.len()],
    /// Visits, carts, purchases and revenue of normal operation.
    pub(crate) expected: Steps,
    /// Variance of the logarithm of the expected revenue.
    pub(crate) uncertainty: f64,
    /// Logarithms of the level of each step that is in what is expected.
    pub(crate) level: Steps,
    /// Variance of the revenue around its mean, given that it is an incident.
    pub(crate) scatter: f64,
    /// Mean of the purchases relative to normal operation, given that it is an incident.
    pub(crate) purchases: f64,
    /// Mean and variance of the revenue relative to normal operation, given that it is an incident.
    pub(crate) effect: (f64, f64),
}

impl HourState {
    /// What normal operation would bring at another level.
    pub(crate) fn expected_at(&self, level: &Steps) -> Steps {
        let moved: Steps = std::array::from_fn(|step| level[step] - self.level[step]);
        let visits = moved[TRAFFIC];
        let purchases = visits + moved[PURCHASES];
        let moved = [visits, visits + moved[CARTS], purchases, purchases + moved[REVENUE]];
        std::array::from_fn(|step| self.expected[step] * moved[step].exp())
    }
}

/// Levels to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The hour, counted from 1970, before which the level holds.
    pub(crate) hour: i64,
    pub(crate) level: Level,
}

/// Everything that decoding a series needs.
pub(crate) struct Decoder<'a> {
    pub(crate) grid: Grid,
    pub(crate) chain: &'a Chain,
    pub(crate) noise: &'a Noise,
    pub(crate) drift: &'a Drift,
    /// What normal operation brings in an hour of the grid, or `shift` hours later at this hour's
    /// level: visits, carts, purchases and the price.
    pub(crate) normal: &'a dyn Fn(usize, i64) -> Steps,
    pub(crate) new_normal_hours: usize,
}

/// The states of a series, and its level at the start of each day and at the end.
pub(crate) struct Decoded {
    pub(crate) hours: Vec<HourState>,
    pub(crate) levels: Vec<Snapshot>,
}

impl Decoder<'_> {
    pub(crate) fn run(&self, observed: &[Steps], start: Level) -> Decoded {
        let n = self.chain.states.len() + 1;
        let mut level = start;
        // What an ordinary hour leaves open of level and traffic is noise of the purchases too.
        let open = self.noise.relative[PURCHASES] + start.variance[PURCHASES] + 0.5 * self.noise.relative[TRAFFIC];
        let baskets = Baskets::new(self.noise.dispersion[PURCHASES], open);
        let mut probability = vec![0.0; n];
        probability[0] = 1.0;
        let mut next = vec![0.0; n];
        let mut ratios = vec![0.0; n - 1];
        // Per hour: probabilities given the past, and evidence.
        let mut forward: Vec<f64> = Vec::with_capacity(self.grid.hours * n);
        let mut evidence: Vec<f32> = Vec::with_capacity(self.grid.hours * n);
        let mut normal: Vec<Normal> = Vec::with_capacity(self.grid.hours);
        let mut levels = Vec::with_capacity(self.grid.hours / 24 + 2);
        let mut shifted = 0;
        for hour in 0..self.grid.hours {
            let absolute = self.grid.start + hour as i64;
            if absolute.rem_euclid(24) == 0 || hour == 0 {
                levels.push(Snapshot { hour: absolute, level });
            }
            let mut expected = (self.normal)(hour, 0);
            let elsewhere = Elsewhere::new(self, hour, &expected);
            expected[TRAFFIC] *= level.log[TRAFFIC].exp();
            let visits = level.log[TRAFFIC];
            for (expected, log) in expected.iter_mut().zip(level.log).take(COUNTS).skip(1) {
                *expected *= (visits + log).exp();
            }
            expected[REVENUE] *= level.log[REVENUE].exp();
            let observed = &observed[hour];
            let view = Hour { noise: self.noise, baskets: &baskets, level: &level, observed, expected: &expected };
            view.ratios(&self.chain.states, |shift| elsewhere.factors(shift), &mut ratios);
            self.chain.forward(&probability, &mut next);
            evidence.push(1.0);
            for (next, ratio) in next[1..].iter_mut().zip(&ratios) {
                let factor = ratio.exp();
                *next *= factor;
                evidence.push(factor as f32);
            }
            let total: f64 = next.iter().sum();
            for p in &mut next {
                *p = (*p / total).max(TINY);
            }
            std::mem::swap(&mut probability, &mut next);
            forward.extend(&probability);

            let uncertainty: f64 = level.variance.iter().sum();
            let mut totals = expected;
            totals[REVENUE] *= expected[PURCHASES];
            normal.push(Normal { expected: totals, uncertainty, elsewhere, level: level.log });
            // Purchases of an hour are judged by the visits that came, not by those expected.
            let mut given = expected;
            let factor = view.traffic_factor();
            given[1] *= factor;
            given[PURCHASES] *= factor;
            level.update(self.noise, observed, &given, probability[0]);
            level.predict(self.drift);
            shifted = if probability[0] < 0.5 { shifted + 1 } else { 0 };
            if shifted >= self.new_normal_hours {
                self.adopt(&mut probability, &mut level);
                shifted = 0;
            }
        }
        levels.push(Snapshot { hour: self.grid.start + self.grid.hours as i64, level });
        Decoded { hours: self.smooth(&forward, &evidence, &normal), levels }
    }

    /// What has been off for so long is normal from now on.
    fn adopt(&self, probability: &mut [f64], level: &mut Level) {
        let states = self.chain.states.iter().zip(&probability[1..]);
        if let Some((state, _)) = states.max_by(|a, b| a.1.total_cmp(b.1)) {
            level.rebase(&per_visit(&state.factors));
        }
        probability.fill(TINY);
        probability[0] = 1.0;
    }

    fn smooth(&self, forward: &[f64], evidence: &[f32], normal: &[Normal]) -> Vec<HourState> {
        let states = &self.chain.states;
        let n = states.len() + 1;
        let mut later = vec![1.0; n];
        let mut weights = vec![0.0; n];
        let mut hours = Vec::with_capacity(normal.len());
        for (hour, Normal { expected, uncertainty, elsewhere, level }) in normal.iter().enumerate().rev() {
            let forward = &forward[hour * n..(hour + 1) * n];
            let mut kinds = [0.0; IncidentKind::ALL.len()];
            let (mut odds, mut mean, mut square, mut purchases) = (0.0, 0.0, 0.0, 0.0);
            for (i, state) in states.iter().enumerate() {
                let p = forward[i + 1] * later[i + 1];
                let moved = if state.displaced[PURCHASES] { elsewhere.factors(state.shift)[PURCHASES] } else { 1.0 };
                let bought = state.factors[PURCHASES] * moved;
                let effect = bought * state.factors[REVENUE];
                kinds[state.kind.index()] += p;
                odds += p;
                mean += p * effect;
                square += p * effect * effect;
                purchases += p * bought;
            }
            let odds = odds.max(TINY);
            let normal = (forward[0] * later[0]).max(TINY);
            mean /= odds;
            purchases /= odds;
            hours.push(HourState {
                log_odds: (odds / normal).ln(),
                kinds: kinds.map(|p| (p / odds) as f32),
                expected: *expected,
                uncertainty: *uncertainty,
                level: *level,
                scatter: self.noise.revenue_variance(expected[PURCHASES] * purchases, expected[REVENUE] * mean),
                purchases,
                effect: (mean, (square / odds - mean * mean).max(0.0)),
            });
            let evidence = &evidence[hour * n..(hour + 1) * n];
            for ((weight, later), evidence) in weights.iter_mut().zip(&later).zip(evidence) {
                *weight = later * f64::from(*evidence);
            }
            self.chain.backward(&weights, &mut later);
            let total: f64 = later.iter().sum::<f64>() / n as f64;
            for v in &mut later {
                *v = (*v / total).max(TINY);
            }
        }
        hours.reverse();
        hours
    }
}

/// What normal operation brings in an hour.
struct Normal {
    expected: Steps,
    uncertainty: f64,
    level: Steps,
    elsewhere: Elsewhere,
}

/// What other hours bring relative to one.
struct Elsewhere([[f64; COUNTS]; SHIFTS.len()]);

impl Elsewhere {
    fn new(decoder: &Decoder<'_>, hour: usize, now: &Steps) -> Self {
        Self(SHIFTS.map(|shift| {
            let other = (decoder.normal)(hour, shift);
            std::array::from_fn(|step| ratio(other[step], now[step]))
        }))
    }

    fn factors(&self, shift: i64) -> [f64; COUNTS] {
        SHIFTS.iter().position(|s| *s == shift).map_or([1.0; COUNTS], |i| self.0[i])
    }
}

/// One where nothing is known of either.
fn ratio(other: f64, now: f64) -> f64 {
    let ratio = other / now;
    if ratio.is_finite() { ratio.clamp(0.02, 50.0) } else { 1.0 }
}

/// Factors on visits, carts per visit, purchases per visit and price.
fn per_visit(factors: &Steps) -> Steps {
    let visits = factors[TRAFFIC];
    [visits, factors[1] / visits, factors[PURCHASES] / visits, factors[REVENUE]]
}
