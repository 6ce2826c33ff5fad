//! Anomalies of continuous size, length and onset.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use super::{AnomalyKind, Difficulty, kind::Effect};

/// Factors below are as good as nothing: a rate is never divided by zero in an onset.
const LEAST_FACTOR: f64 = 1e-3;
/// Longest events whose kind is no pattern: a week.
const LONGEST: f64 = 168.0;
/// Share of the events that hit a step, for those whose kind is no pattern.
const HIT: f64 = 0.5;

/// The course of an effect from the first to the last hour.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Onset {
    /// At full strength throughout.
    Step,
    /// Growing linearly on a log scale.
    Ramp,
    /// At full strength at first, fading linearly on a log scale.
    Decay,
}

impl Onset {
    fn any(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..4) {
            0 => Self::Ramp,
            1 => Self::Decay,
            _ => Self::Step,
        }
    }

    /// Share of the effect after a share `progress` (above 0 to 1) of the event.
    fn strength(self, progress: f64) -> f64 {
        match self {
            Self::Step => 1.0,
            Self::Ramp => progress,
            Self::Decay => 1.0 - 0.8 * progress,
        }
    }
}

/// What an event does, drawn once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    full: Effect,
    onset: Onset,
}

impl Drawn {
    /// The effect after a share `progress` (above 0 to 1) of the event.
    pub(super) fn effect(&self, progress: f64) -> Effect {
        let share = self.onset.strength(progress);
        let part = |factor: f64| factor.max(LEAST_FACTOR).powf(share);
        let Effect { views, carts, purchases, price, displaced, .. } = self.full;
        Effect {
            views: part(views),
            carts: part(carts),
            purchases: part(purchases),
            price: part(price),
            displaced: displaced * share,
            ..self.full
        }
    }

    /// Hours later from which it takes rates.
    pub(super) fn shift(&self) -> usize {
        self.full.shift
    }
}

/// A log-uniform number of hours: the shorter, the more often.
fn hours(range: RangeInclusive<f64>, rng: &mut impl Rng) -> usize {
    rng.random_range(range.start().ln()..=(range.end() + 1.0).ln()).exp() as usize
}

/// The length in hours of an event of this kind: from half the shortest to twice the longest of the tabulated ones.
pub(super) fn length(kind: AnomalyKind, difficulty: Difficulty, rng: &mut impl Rng) -> usize {
    if kind == AnomalyKind::Combination {
        return hours(1.0..=LONGEST, rng).max(1);
    }
    let tabulated = kind.hours(difficulty);
    hours(*tabulated.start() as f64 / 2.0..=2.0 * *tabulated.end() as f64, rng).max(1)
}

/// The effect of an event of this kind. Its size is the absolute value of a normal variate on the log scale, on top of a
/// least one: continuous, mostly moderate, now and then extreme.
pub(super) fn effect(kind: AnomalyKind, difficulty: Difficulty, rng: &mut impl Rng) -> Drawn {
    let (least, spread) = difficulty.pick((0.7, 1.0), (0.3, 0.7), (0.12, 0.35));
    let size = |rng: &mut _| least + spread * half_normal(rng);
    let full = match kind {
        AnomalyKind::Combination => combination(least, spread, rng),
        AnomalyKind::WrongHour => Effect {
            views_displaced: true,
            displaced: 1.0,
            shift: rng.random_range(difficulty.pick(9..=14, 6..=12, 4..=8)),
            ..Effect::NONE
        },
        AnomalyKind::CorrelationBreak => Effect {
            displaced: rng.random_range(difficulty.pick(0.8..=1.0, 0.5..=0.9, 0.3..=0.6)),
            shift: rng.random_range(8..=14),
            ..Effect::NONE
        },
        kind => named(kind, size(rng), rng.random(), rng.random_range(0.3..1.0)),
    };
    let onset = match kind {
        AnomalyKind::GradualDegradation => Onset::Ramp,
        AnomalyKind::Spike | AnomalyKind::Dip | AnomalyKind::WrongHour | AnomalyKind::LevelShift => Onset::Step,
        _ => Onset::any(rng),
    };
    Drawn { full, onset }
}

/// A pattern with a name at a size on the log scale; `ratio` is the share of it that the accompanying step has.
fn named(kind: AnomalyKind, size: f64, upwards: bool, ratio: f64) -> Effect {
    let (up, down, some) = (size.exp(), (-size).exp(), (size * ratio).exp());
    match kind {
        AnomalyKind::CheckoutOutage | AnomalyKind::GradualDegradation => Effect::steps(1.0, 1.0, down),
        AnomalyKind::TrackingOutage => Effect::steps(down, 1.0, 1.0),
        AnomalyKind::BotTraffic => Effect::steps(up, 1.0, 1.0),
        AnomalyKind::Promotion => {
            Effect { price: 1.0 - 0.3 * ratio, ..Effect::steps(some, some * (up / some).sqrt(), up * some.sqrt()) }
        }
        AnomalyKind::PriceError if upwards => Effect { price: up, ..Effect::steps(1.0, 1.0, 1.0 / some.sqrt()) },
        AnomalyKind::PriceError => Effect { price: down, ..Effect::steps(1.0, 1.0, some) },
        AnomalyKind::CartBreak => Effect::steps(1.0, down, down.powf(0.5 + 0.5 * ratio)),
        AnomalyKind::LevelShift if upwards => Effect::steps(up, up, up),
        AnomalyKind::Spike => Effect::steps(up, up, up),
        _ => Effect::steps(down, down, down),
    }
}

/// Any two or more of traffic, cart rate, purchase rate and order value, each up or down, or a single rate upwards:
/// what none of the named kinds does.
fn combination(least: f64, spread: f64, rng: &mut impl Rng) -> Effect {
    loop {
        let steps: [f64; 4] = std::array::from_fn(|_| {
            let size = least + spread * half_normal(rng);
            match (rng.random_bool(HIT), rng.random()) {
                (false, _) => 0.0,
                (true, true) => size,
                (true, false) => -size,
            }
        });
        let [traffic, cart_rate, purchase_rate, order_value] = steps;
        let hit = steps.iter().filter(|step| **step != 0.0).count();
        let single_rate = hit == 1 && (cart_rate > 0.0 || purchase_rate > 0.0);
        // More traffic that buys more is a promotion, more that buys less a bot, and less that buys more a tracking fault.
        let is_mirror = hit == 2 && traffic != 0.0 && purchase_rate != 0.0;
        if (hit >= 2 && !is_mirror) || single_rate {
            let (views, rate) = (traffic, cart_rate + purchase_rate);
            let factors = Effect::steps(views.exp(), (views + cart_rate).exp(), (views + rate).exp());
            return Effect { price: order_value.exp(), ..factors };
        }
    }
}

/// The absolute value of a standard normal variate.
fn half_normal(rng: &mut impl Rng) -> f64 {
    rng.sample::<f64, _>(rand_distr::StandardNormal).abs()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn sizes_and_lengths_are_continuous() {
        let mut rng = Pcg64::seed_from_u64(3);
        let draws: Vec<f64> = (0..400)
            .map(|_| effect(AnomalyKind::CheckoutOutage, Difficulty::Medium, &mut rng).effect(1.0).purchases)
            .collect();
        let mut distinct = draws.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        assert_eq!(distinct.len(), 400);
        assert!(draws.iter().all(|factor| *factor < 1.0) && draws.iter().any(|factor| *factor < 0.3));
        let lengths: Vec<usize> =
            (0..400).map(|_| length(AnomalyKind::Combination, Difficulty::Medium, &mut rng)).collect();
        assert!(lengths.iter().all(|n| (1..=168).contains(n)));
        assert!(lengths.iter().any(|n| *n <= 2) && lengths.iter().any(|n| *n > 100), "{lengths:?}");
    }

    #[test]
    fn a_combination_is_no_named_pattern() {
        let mut rng = Pcg64::seed_from_u64(4);
        for _ in 0..500 {
            let Effect { views, carts, purchases, price, .. } = combination(0.3, 0.7, &mut rng);
            let changed = [views, carts / views, purchases / carts, price].map(|f| (f.ln().abs() > 1e-9, f > 1.0));
            let hit: Vec<_> = changed.iter().filter(|(is_hit, _)| *is_hit).collect();
            let single = hit.len() == 1 && hit[0].1 && (changed[1].0 || changed[2].0);
            assert!(hit.len() >= 2 || single, "{views} {carts} {purchases} {price}");
        }
    }

    #[test]
    fn onsets_grow_or_fade() {
        let full = Effect::steps(1.0, 1.0, 0.0);
        let at = |onset, progress| Drawn { full, onset }.effect(progress).purchases;
        assert_eq!(at(Onset::Step, 0.1), LEAST_FACTOR);
        assert!(at(Onset::Ramp, 0.1) > 0.4 && at(Onset::Ramp, 1.0) == LEAST_FACTOR);
        assert!(at(Onset::Decay, 0.1) < at(Onset::Decay, 0.9) && at(Onset::Decay, 1.0) < 1.0);
    }
}
