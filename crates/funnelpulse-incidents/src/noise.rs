//! How far counts stray from what is expected.
//!
//! A count `y` of mean `m` has variance `dispersion * m + relative * m^2`: the first part is
//! chance (more than one where purchases come in baskets), the second the restlessness of the
//! rate itself. Both are the negative binomial's when the dispersion is one.

use serde::{Deserialize, Serialize};

use crate::grid::{COUNTS, PURCHASES, REVENUE, Steps, TRAFFIC, is_positive};

/// The noise of a series: a count of mean `m` has variance `dispersion * m + relative * m^2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Relative variance of the rates of visits, carts and purchases (0.003 to 1).
    pub relative: [f64; COUNTS],
    /// Variance of visits, carts and purchases per unit of their mean: 1 for single pieces, more
    /// where they come in baskets (1 to 200).
    pub dispersion: [f64; COUNTS],
    /// Squared coefficient of variation of what one purchase brings (0.005 to 10).
    pub price: f64,
}

/// Allowed values; the middle is where estimation starts.
const RELATIVE: (f64, f64, f64) = (0.003, 0.06, 1.0);
const DISPERSION: (f64, f64, f64) = (1.0, 2.0, 200.0);
const PRICE: (f64, f64, f64) = (0.005, 0.3, 10.0);
/// Fewer expected purchases are taken for so many.
const FEWEST: f64 = 0.05;
/// Residuals beyond this many standard deviations are not noise.
const CLIP: f64 = 3.0;
/// Series whose own estimates are worth as much as the common ones have this share of the mean information.
const SHRINKAGE: f64 = 0.5;

impl Default for Noise {
    fn default() -> Self {
        Self { relative: [RELATIVE.1; COUNTS], dispersion: [DISPERSION.1; COUNTS], price: PRICE.1 }
    }
}

/// Variance of a count around its mean.
pub(crate) fn variance(mean: f64, dispersion: f64, relative: f64) -> f64 {
    mean * dispersion + mean * mean * relative
}

/// How far above its mean a count is drawn in to: `deviations` standard deviations of a symmetric
/// count, more of a skew one (Cornish and Fisher 1938), so that means are not pulled down where
/// counts are small or come in baskets.
pub(crate) fn reach_above(mean: f64, sd: f64, dispersion: f64, deviations: f64) -> f64 {
    // Third cumulant of a count in geometric baskets: about 1.5 m d^2.
    let skewness = (1.5 * mean * dispersion * dispersion / (sd * sd * sd)).min(20.0);
    sd * (deviations + (deviations * deviations - 1.0) / 6.0 * skewness)
}

impl Noise {
    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        let within = |v: f64, (low, _, high): (f64, f64, f64)| (low..=high).contains(&v);
        self.relative.iter().all(|v| within(*v, RELATIVE))
            && self.dispersion.iter().all(|v| within(*v, DISPERSION))
            && within(self.price, PRICE)
    }

    /// The traffic factor that `views` show when `expected` are expected: gamma with this mean.
    pub(crate) fn traffic_factor(&self, views: f64, expected: f64) -> f64 {
        let shape = 1.0 / self.relative[TRAFFIC];
        (shape + views) / (shape + expected)
    }

    /// Variance of a revenue of which `mean` is expected from so many `purchases`.
    pub(crate) fn revenue_variance(&self, purchases: f64, mean: f64) -> f64 {
        let rates = self.relative[TRAFFIC] + self.relative[PURCHASES];
        mean * mean * (rates + (self.dispersion[PURCHASES] + self.price) / purchases.max(FEWEST))
    }

    /// Relative variance of the traffic factor that is left once `views` are known.
    pub(crate) fn traffic_uncertainty(&self, views: f64) -> f64 {
        1.0 / (1.0 / self.relative[TRAFFIC] + views)
    }
}

/// Least squares of squared residuals on `m` and `m^2`, weighted by what their own variance is.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    aa: f64,
    ab: f64,
    bb: f64,
    ay: f64,
    by: f64,
}

impl Moments {
    fn add(&mut self, mean: f64, squared: f64, weight: f64) {
        let (a, b) = (mean, mean * mean);
        self.aa += weight * a * a;
        self.ab += weight * a * b;
        self.bb += weight * b * b;
        self.ay += weight * a * squared;
        self.by += weight * b * squared;
    }

    fn plus(self, other: Self, share: f64) -> Self {
        Self {
            aa: self.aa + share * other.aa,
            ab: self.ab + share * other.ab,
            bb: self.bb + share * other.bb,
            ay: self.ay + share * other.ay,
            by: self.by + share * other.by,
        }
    }

    /// Dispersion and relative variance; `free` lets the dispersion differ from one.
    fn solve(self, free: bool) -> (f64, f64) {
        let relative = |dispersion: f64| clamp((self.by - self.ab * dispersion) / self.bb, RELATIVE);
        let determinant = self.aa * self.bb - self.ab * self.ab;
        if !free || determinant <= 1e-9 * self.aa * self.bb {
            return (1.0, relative(1.0));
        }
        let dispersion = clamp((self.ay * self.bb - self.ab * self.by) / determinant, DISPERSION);
        (dispersion, relative(dispersion))
    }
}

fn clamp(value: f64, (low, start, high): (f64, f64, f64)) -> f64 {
    if value.is_nan() { start } else { value.clamp(low, high) }
}

/// One round of estimation: the noise of every series from its counts and what is expected of
/// them (the price in the last step), given the noise of the round before. Series with little to
/// say take the noise of all.
pub(crate) fn estimate(series: &[(&[Steps], &[Steps])], before: &[Noise]) -> Vec<Noise> {
    let moments: Vec<([Moments; COUNTS], (f64, f64))> =
        series.iter().zip(before).map(|((observed, expected), noise)| collect(observed, expected, noise)).collect();
    let n = moments.len().max(1) as f64;
    let mut mean = [Moments::default(); COUNTS];
    let mut price = (0.0, 0.0);
    for (own, (sum, weight)) in &moments {
        mean.iter_mut().zip(own).for_each(|(mean, own)| *mean = mean.plus(*own, 1.0 / n));
        price = (price.0 + sum / n, price.1 + weight / n);
    }
    let noise = |(own, (sum, weight)): &([Moments; COUNTS], (f64, f64))| {
        let solved: [(f64, f64); COUNTS] =
            std::array::from_fn(|step| own[step].plus(mean[step], SHRINKAGE).solve(step == PURCHASES));
        Noise {
            relative: solved.map(|(_, relative)| relative),
            dispersion: solved.map(|(dispersion, _)| dispersion),
            price: clamp((sum + SHRINKAGE * price.0) / (weight + SHRINKAGE * price.1), PRICE),
        }
    };
    moments.iter().map(noise).collect()
}

fn collect(observed: &[Steps], expected: &[Steps], noise: &Noise) -> ([Moments; COUNTS], (f64, f64)) {
    let mut moments = [Moments::default(); COUNTS];
    let mut price = (0.0, 0.0);
    for (y, m) in observed.iter().zip(expected) {
        let known = !y[TRAFFIC].is_nan() && m[TRAFFIC] > 0.0;
        let factor = if known { noise.traffic_factor(y[TRAFFIC], m[TRAFFIC]) } else { 1.0 };
        for step in 0..COUNTS {
            let mean = if step == TRAFFIC { m[step] } else { m[step] * factor };
            if y[step].is_nan() || !is_positive(mean) {
                continue;
            }
            // What the views leave open of the traffic is not this step's noise.
            let open =
                if step == TRAFFIC || !known { 0.0 } else { noise.traffic_uncertainty(y[TRAFFIC]) * mean * mean };
            let variance = variance(mean, noise.dispersion[step], noise.relative[step]) + open;
            let above = reach_above(mean, variance.sqrt(), noise.dispersion[step], CLIP);
            let squared = (y[step] - mean).clamp(-CLIP * variance.sqrt(), above).powi(2);
            moments[step].add(mean, squared - open, 1.0 / (variance * variance));
        }
        if y[PURCHASES] > 0.0 && m[REVENUE] > 0.0 && !y[REVENUE].is_nan() {
            let deviation = y[REVENUE] / (y[PURCHASES] * m[REVENUE]) - 1.0;
            price.0 += (y[PURCHASES] * deviation * deviation).min(CLIP * CLIP * noise.price);
            price.1 += 1.0;
        }
    }
    (moments, price)
}
