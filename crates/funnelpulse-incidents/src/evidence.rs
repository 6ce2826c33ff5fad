//! How much better each kind of incident explains an hour than normal operation does.

use crate::{
    baskets::Baskets,
    grid::{COUNTS, PURCHASES, REVENUE, Steps, TRAFFIC, is_positive},
    kind::Hypothesis,
    level::Level,
    noise::Noise,
};

/// No single hour says more than this, either way: rates and noise are never known that well.
const LIMIT: f64 = 30.0;

/// Log likelihood ratio of a count under `factor` times its mean: negative binomial in units of the
/// dispersion.
fn count_ratio(y: f64, mean: f64, relative: f64, dispersion: f64, factor: f64) -> f64 {
    let (y, mean, shape) = (y / dispersion, mean / dispersion, 1.0 / relative);
    y * factor.ln() - (y + shape) * ((factor - 1.0) * mean / (shape + mean)).ln_1p()
}

/// Log likelihood ratio of a revenue from `purchases` at `factor` times the price: gamma.
fn price_ratio(ratio: f64, shape: f64, factor: f64) -> f64 {
    -shape * (factor.ln() + ratio * (1.0 / factor - 1.0))
}

/// One hour: what was counted and what is expected of it at its level.
pub(crate) struct Hour<'a> {
    pub(crate) noise: &'a Noise,
    pub(crate) baskets: &'a Baskets,
    pub(crate) level: &'a Level,
    pub(crate) observed: &'a Steps,
    /// Visits, carts and purchases of normal operation before the visits are known, and the price.
    pub(crate) expected: &'a Steps,
}

impl Hour<'_> {
    /// The traffic factor that the visits show.
    pub(crate) fn traffic_factor(&self) -> f64 {
        let (y, m) = (self.observed[TRAFFIC], self.expected[TRAFFIC]);
        if y.is_nan() { 1.0 } else { self.noise.traffic_factor(y, m) }
    }

    /// The log likelihood ratio of every hypothesis against normal operation, zero where the hour
    /// has no row. `elsewhere` gives the expected values of some hours later relative to these.
    pub(crate) fn ratios(&self, hypotheses: &[Hypothesis], elsewhere: impl Fn(i64) -> [f64; COUNTS], out: &mut [f64]) {
        out.fill(0.0);
        let (y, m) = (self.observed, self.expected);
        if y[TRAFFIC].is_nan() || !is_positive(m[TRAFFIC]) {
            return;
        }
        let restlessness = self.noise.relative[TRAFFIC] + self.level.variance[TRAFFIC];
        let shape = 1.0 / restlessness;
        let open = 1.0 / (shape + y[TRAFFIC]);
        let relative = |step: usize| self.noise.relative[step] + self.level.variance[step] + open;
        let normal = (shape + y[TRAFFIC]) / (shape + m[TRAFFIC]);
        let known = |step: usize| !y[step].is_nan() && m[step] > 0.0;
        let price = (known(REVENUE) && y[PURCHASES] > 0.0).then(|| {
            let variance = self.noise.price / y[PURCHASES] + self.level.variance[REVENUE];
            (y[REVENUE] / (y[PURCHASES] * m[REVENUE]), 1.0 / variance)
        });
        for (hypothesis, out) in hypotheses.iter().zip(out) {
            let mut factors = hypothesis.factors;
            if hypothesis.shift != 0 {
                let moved = elsewhere(hypothesis.shift);
                for step in (0..COUNTS).filter(|&step| hypothesis.displaced[step]) {
                    factors[step] *= moved[step];
                }
            }
            let mut sum = 0.0;
            if factors[TRAFFIC] != 1.0 {
                sum += count_ratio(y[TRAFFIC], m[TRAFFIC], restlessness, 1.0, factors[TRAFFIC]);
            }
            // Other visits than expected mean another traffic factor, and with it other purchases.
            let traffic = (shape + y[TRAFFIC]) / (shape + factors[TRAFFIC] * m[TRAFFIC]);
            for step in 1..COUNTS {
                let factor = factors[step] * traffic / normal;
                if factor == 1.0 || !known(step) {
                    continue;
                }
                sum += match step {
                    PURCHASES => self.baskets.ratio(y[step], m[step] * normal, factor),
                    _ => count_ratio(y[step], m[step] * normal, relative(step), self.noise.dispersion[step], factor),
                };
            }
            if let (Some((ratio, shape)), true) = (price, factors[REVENUE] != 1.0) {
                sum += price_ratio(ratio, shape, factors[REVENUE]);
            }
            *out = sum.clamp(-LIMIT, LIMIT);
        }
    }
}
