//! Names afterwards: which pattern of effects an abnormal stretch shows.

use crate::{
    IncidentKind,
    grid::{CARTS, PURCHASES, REVENUE, STEPS, TRAFFIC},
    windows::{LENGTHS, noise::Noise},
};

/// Smaller effects are none: a seventh more or less.
const LEAST_EFFECT: f64 = 0.15;
/// Effects nearer to none than this many standard errors are none.
const ERRORS: f64 = 2.0;
/// A change of all steps is a level rather than a spike or a dip from so many hours on.
const LEVEL_HOURS: usize = 24;
/// A loss of purchases is gradual where the second half lost this much more (log scale), over at
/// least two days.
const GRADUAL: f64 = 0.2;
const GRADUAL_HOURS: usize = 48;

/// Sums over the hours of a stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Observed and expected per step; NaN where there is no such step.
    pub(crate) observed: [f64; STEPS],
    pub(crate) expected: [f64; STEPS],
    pub(crate) hours: usize,
    /// The log effect on purchases in the second half minus that in the first.
    pub(crate) trend: f64,
}

impl Stretch {
    /// From observed and expected values of each hour; unobserved hours are left out.
    pub(crate) fn of(observed: &[[f64; STEPS]], expected: &[[f64; STEPS]]) -> Self {
        let hours = observed.len();
        let sums = |from: usize, to: usize| {
            let (mut y, mut m) = ([f64::NAN; STEPS], [f64::NAN; STEPS]);
            for hour in from..to {
                for step in (0..STEPS).filter(|&step| !observed[hour][step].is_nan()) {
                    let add = |sum: f64, value: f64| if sum.is_nan() { value } else { sum + value };
                    y[step] = add(y[step], observed[hour][step]);
                    m[step] = add(m[step], expected[hour][step]);
                }
            }
            (y, m)
        };
        let log = |(y, m): ([f64; STEPS], [f64; STEPS])| ((y[PURCHASES] + 0.5) / (m[PURCHASES] + 0.5)).ln();
        let trend = log(sums(hours / 2, hours)) - log(sums(0, hours / 2));
        let (observed, expected) = sums(0, hours);
        Self { observed, expected, hours, trend }
    }
}

/// A log effect and its standard error.
#[derive(Clone, Copy, Debug)]
struct Effect {
    log: f64,
    error: f64,
}

impl Effect {
    /// -1 down, 0 none, 1 up.
    fn sign(self) -> i8 {
        let is_seen = self.log.abs() >= LEAST_EFFECT.max(ERRORS * self.error);
        if is_seen { self.log.signum() as i8 } else { 0 }
    }

    fn minus(self, other: Self) -> Self {
        Self { log: self.log - other.log, error: self.error.hypot(other.error) }
    }
}

/// The name of a stretch. `unit` is the mean revenue of a purchase.
pub(crate) fn of(stretch: &Stretch, noise: &Noise, unit: f64) -> IncidentKind {
    use IncidentKind as K;
    let effects: [Option<Effect>; STEPS] = std::array::from_fn(|step| effect(stretch, noise, unit, step));
    let sign = |effect: Option<Effect>| effect.map_or(0, Effect::sign);
    let between = |a: usize, b: usize| Some(effects[a]?.minus(effects[b]?));
    let [visits, carts, purchases] = [TRAFFIC, CARTS, PURCHASES].map(|step| sign(effects[step]));
    let order_value = sign(between(REVENUE, PURCHASES));
    let last = if effects[PURCHASES].is_some() { PURCHASES } else { CARTS };
    let per_visit = sign(between(last, TRAFFIC));
    let cart_rate = sign(between(CARTS, TRAFFIC));
    let purchase_rate = sign(between(PURCHASES, if effects[CARTS].is_some() { CARTS } else { TRAFFIC }));
    if order_value != 0 && visits == 0 && (purchases == 0 || purchases == -order_value) {
        return K::PriceError;
    }
    match (visits, cart_rate, per_visit) {
        (1, _, 1) if order_value <= 0 => K::Promotion,
        (1, _, -1) if carts == 0 && purchases == 0 => K::BotTraffic,
        (-1, _, 1) if carts == 0 && purchases == 0 => K::TrackingOutage,
        (-1 | 1, 0, 0) if purchase_rate == 0 && order_value == 0 => {
            if stretch.hours >= LEVEL_HOURS {
                K::LevelShift
            } else if visits > 0 {
                K::Spike
            } else {
                K::Dip
            }
        }
        (0, -1, _) if purchase_rate <= 0 => K::CartBreak,
        (0, 0, _) if purchase_rate < 0 || per_visit < 0 => {
            if stretch.hours >= GRADUAL_HOURS && stretch.trend < -GRADUAL {
                K::GradualDegradation
            } else {
                K::CheckoutOutage
            }
        }
        _ => K::Unexplained,
    }
}

fn effect(stretch: &Stretch, noise: &Noise, unit: f64, step: usize) -> Option<Effect> {
    let scale = if step == REVENUE { unit } else { 1.0 };
    let (observed, expected) = (stretch.observed[step] / scale, stretch.expected[step] / scale);
    if observed.is_nan() || expected.is_nan() {
        return None;
    }
    let length = LENGTHS.iter().rposition(|&l| l <= stretch.hours).unwrap_or(0);
    let dispersion = noise.dispersion[step];
    let few = 0.5 * dispersion;
    // Of revenue, what purchases leave open; its purchases carry their own error.
    let counts = expected.min(observed) + few;
    let variance = dispersion / counts + noise.relative[step][length];
    Some(Effect { log: ((observed + few) / (expected + few)).ln(), error: variance.sqrt() })
}
