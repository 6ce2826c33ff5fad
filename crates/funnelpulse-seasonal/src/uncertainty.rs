//! The uncertainty of an observation around its expected value.
//!
//! Beyond the history the trend may bend again: at the times of a Poisson process with as many
//! bends per unit of time as the history had candidates, each Laplace distributed with the mean
//! absolute bend of the history (Taylor & Letham 2018, section 3.1.4). The shift of the trend
//! after a time `h` is a compound Poisson sum with characteristic function
//! `exp(n (atan(v) / v - 1))`, `v = w u`, where `n` is the expected number of bends and `u` the
//! scale of a bend times `h`. The observation adds normal noise.

use std::f64::consts::{LN_2, PI, TAU};

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64;
use statrs::function::erf::{erf_inv, erfc};

/// A predictive distribution around its centre: normal noise plus the trend's shift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// Standard deviation of the noise.
    pub(crate) sigma: f64,
    /// Expected number of future bends.
    pub(crate) bends: f64,
    /// Scale of what one bend can do to the observation.
    pub(crate) unit: f64,
}

/// Terms of a cosine series at most.
const TERMS: usize = 256;

impl Spread {
    /// Just noise.
    fn is_normal(&self) -> bool {
        self.bends == 0.0 || self.unit * self.bends.max(1.0) <= 1e-6 * self.sigma
    }

    pub(crate) fn variance(&self) -> f64 {
        self.sigma * self.sigma + self.bends * self.unit * self.unit * 2.0 / 3.0
    }

    /// The distribution, ready to be asked.
    pub(crate) fn predictive(&self) -> Predictive {
        Predictive { spread: *self, series: (!self.is_normal()).then(|| Series::new(self)) }
    }
}

/// A [`Spread`] with the cosine series of its distribution function, where it needs one.
pub(crate) struct Predictive {
    spread: Spread,
    series: Option<Series>,
}

impl Predictive {
    /// Half the width of the central interval that holds a share `level`.
    pub(crate) fn half_width(&self, level: f64) -> f64 {
        let z = std::f64::consts::SQRT_2 * erf_inv(level);
        let Some(series) = &self.series else { return z * self.spread.sigma };
        let (mut low, mut high) = (0.0, series.reach);
        // Cornish and Fisher's first correction for the excess kurtosis.
        let mut x = (z + (z.powi(3) - 3.0 * z) * series.kurtosis / 24.0).clamp(0.5 * z, (2.0 * z).min(0.5 * high));
        for _ in 0..60 {
            let (share, density) = series.central_share(x);
            let excess = share - level;
            if excess > 0.0 {
                high = x;
            } else {
                low = x;
            }
            let newton = x - excess / (2.0 * density);
            let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
            // Newton's error after this step is of the order of the step's square.
            let done = (next - x).abs() < 1e-6;
            x = next;
            if done {
                break;
            }
        }
        x * series.unit
    }

    /// Natural logarithm of the two-sided tail probability of a deviation.
    ///
    /// With a shift, down to one in a thousand from the series, from one in a hundred thousand on
    /// by the saddlepoint formula of Lugannani & Rice (Adv. Appl. Probab. 1980), whose relative
    /// error stays small however far out the deviation is, and by both in between.
    pub(crate) fn ln_tail(&self, deviation: f64) -> f64 {
        // Further out the square of a deviation overflows; they all count as equally impossible.
        let x = (deviation.abs() / self.spread.sigma).min(1e150);
        let Some(series) = &self.series else { return LN_2 + ln_upper_tail(x) };
        let far = self.spread.ln_tail_saddlepoint(x);
        let trust = ((NEAR - far) / (NEAR - FAR)).clamp(0.0, 1.0);
        if trust >= 1.0 {
            return far;
        }
        let (share, _) = series.central_share((x * self.spread.sigma / series.unit).min(series.reach));
        let near = (1.0 - share).clamp(1e-9, 1.0).ln();
        trust * far + (1.0 - trust) * near
    }
}

/// Logarithms of the tail probabilities where the saddlepoint formula begins to count and where it
/// alone counts: 1e-3 and 1e-5.
const NEAR: f64 = -3.0 * std::f64::consts::LN_10;
const FAR: f64 = -5.0 * std::f64::consts::LN_10;

impl Spread {
    fn ln_tail_saddlepoint(&self, x: f64) -> f64 {
        let rho = self.unit / self.sigma;
        let Some(s) = saddlepoint(x, self.bends, rho) else { return LN_2 + ln_upper_tail(x) };
        let (a, _, curvature) = compound(s * rho);
        let cumulant = 0.5 * s * s + self.bends * a;
        let w = (2.0 * (s * x - cumulant)).max(0.0).sqrt();
        let u = s * (1.0 + self.bends * rho * rho * curvature).sqrt();
        (LN_2 + ln_saddlepoint_tail(w, u)).min(0.0)
    }
}

/// Logarithm of a tail probability by Lugannani & Rice: `w` is the signed root of twice the
/// exponent, `u` the saddlepoint in units of its curvature.
pub(crate) fn ln_saddlepoint_tail(w: f64, u: f64) -> f64 {
    if w < 1e-4 || u.is_infinite() {
        return ln_upper_tail(w);
    }
    let ratio = mills(w) + (1.0 / u - 1.0 / w);
    -0.5 * (w * w + TAU.ln()) + ratio.max(f64::MIN_POSITIVE).ln()
}

/// The distribution function as the cosine series of the characteristic function (Fang &
/// Oosterlee, SIAM J. Sci. Comput. 2008), in units of the total standard deviation.
struct Series {
    unit: f64,
    reach: f64,
    kurtosis: f64,
    terms: [f64; TERMS],
    used: usize,
}

impl Series {
    fn new(spread: &Spread) -> Self {
        let total = spread.variance().sqrt();
        let (sigma, unit) = (spread.sigma / total, spread.unit / total);
        let fourth = spread.bends * 24.0 * unit.powi(4) / 5.0;
        let reach = 10.0 * (1.0 + fourth.sqrt()).sqrt();
        let mut series = Self { unit: total, reach, kurtosis: fourth, terms: [0.0; TERMS], used: 0 };
        for i in 0..TERMS {
            let w = PI * (i + 1) as f64 / reach;
            let v = w * unit;
            let characteristic = (spread.bends * (v.atan() / v - 1.0) - 0.5 * (w * sigma).powi(2)).exp();
            if characteristic < 1e-9 {
                break;
            }
            series.terms[i] = characteristic;
            series.used = i + 1;
        }
        series
    }

    /// Share of the distribution within `x` of its centre, and its density at `x`.
    fn central_share(&self, x: f64) -> (f64, f64) {
        let (sin, cos) = (PI * x / self.reach).sin_cos();
        let (mut s, mut c) = (sin, cos);
        let (mut share, mut density) = (0.5 * x / self.reach, 0.5 / self.reach);
        for (i, term) in self.terms[..self.used].iter().enumerate() {
            share += term * s / (PI * (i + 1) as f64);
            density += term * c / self.reach;
            (s, c) = (s * cos + c * sin, c * cos - s * sin);
        }
        (2.0 * share, density.max(1e-12))
    }
}

/// `atanh(v) / v - 1` and its first two derivatives.
fn compound(v: f64) -> (f64, f64, f64) {
    let v2 = v * v;
    if v2 < 1e-3 {
        let value = v2 * (1.0 / 3.0 + v2 * (0.2 + v2 / 7.0));
        let slope = v * (2.0 / 3.0 + v2 * (0.8 + v2 * 6.0 / 7.0));
        return (value, slope, 2.0 / 3.0 + v2 * (2.4 + v2 * 30.0 / 7.0));
    }
    let a = v.atanh() / v;
    let b = 1.0 / (1.0 - v2);
    let slope = (b - a) / v;
    (a - 1.0, slope, (2.0 * v * b * b - 2.0 * slope) / v)
}

/// The root of the derivative of the cumulant generating function minus `x`.
fn saddlepoint(x: f64, bends: f64, rho: f64) -> Option<f64> {
    // Every factor of the moment generating function ends at 1 / rho.
    let (mut low, mut high) = (0.0, (1.0 / rho).min(x));
    let mut s = (x / (1.0 + bends * rho * rho * 2.0 / 3.0)).min(0.5 * high);
    for _ in 0..200 {
        let (_, slope, curvature) = compound((s * rho).min(1.0 - f64::EPSILON));
        let excess = s + bends * rho * slope - x;
        if excess > 0.0 {
            high = s;
        } else {
            low = s;
        }
        let newton = s - excess / (1.0 + bends * rho * rho * curvature);
        let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
        if (next - s).abs() <= 1e-12 * s {
            return (next * rho < 1.0).then_some(next);
        }
        s = next;
    }
    (s * rho < 1.0).then_some(s)
}

/// Natural logarithm of the standard normal's upper tail, for `z` of 0 and more.
pub(crate) fn ln_upper_tail(z: f64) -> f64 {
    let square = (z * z).min(f64::MAX);
    -0.5 * square - 0.5 * TAU.ln() + mills(z).ln()
}

/// Upper tail of the standard normal over its density.
fn mills(z: f64) -> f64 {
    if z < 3.0 {
        return 0.5 * erfc(z / std::f64::consts::SQRT_2) * (0.5 * z * z).exp() * TAU.sqrt();
    }
    // Laplace's continued fraction.
    let fraction = (1..=60).rev().fold(z, |below, i| z + f64::from(i) / below);
    if fraction.is_finite() { 1.0 / fraction } else { f64::MIN_POSITIVE }
}

/// The distribution of bends: at `rate` per unit of time with mean absolute size `scale`, up to `reach`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Future {
    pub(crate) reach: f64,
    pub(crate) rate: f64,
    pub(crate) scale: f64,
}

/// Draws of the standardised shift and noise: `(shift at h = 1 with unit bends, noise)`.
pub(crate) struct Simulation {
    rng: Pcg64,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Pcg64::seed_from_u64(seed) }
    }

    /// Shifts of the trend at the distances `ahead` (ascending) on one path.
    pub(crate) fn path(&mut self, future: Future, ahead: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let Ok(count) = Poisson::new(future.rate * future.reach) else { return };
        for _ in 0..count.sample(&mut self.rng) as u64 {
            let at = self.rng.random::<f64>() * future.reach;
            let size = -future.scale * (1.0 - self.rng.random::<f64>()).ln();
            let bend = if self.rng.random::<bool>() { size } else { -size };
            let first = ahead.partition_point(|h| *h <= at);
            for (out, h) in out[first..].iter_mut().zip(&ahead[first..]) {
                *out += bend * (h - at);
            }
        }
    }

    pub(crate) fn noise(&mut self) -> f64 {
        StandardNormal.sample(&mut self.rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_tails_reach_far() {
        assert!((ln_upper_tail(1.959_963_984_540_054) - 0.025_f64.ln()).abs() < 1e-10);
        assert!((ln_upper_tail(0.0) - 0.5_f64.ln()).abs() < 1e-12);
        // 1 - Phi(10) = 7.619853024160527e-24.
        assert!((ln_upper_tail(10.0) - 7.619_853_024_160_527e-24_f64.ln()).abs() < 1e-10);
        assert!(ln_upper_tail(1e200).is_finite());
        let below = mills(3.0 - 1e-9);
        assert!((below - mills(3.0)).abs() < 1e-8, "the two formulas meet");
    }

    /// Draws 400,000 shifts plus noise and compares quantiles and tails.
    #[test]
    fn intervals_and_tails_agree_with_simulation() {
        for (bends, unit) in [(0.5, 1.0), (5.0, 0.5), (5.0, 3.0), (40.0, 0.3)] {
            let spread = Spread { sigma: 1.0, bends, unit };
            let mut simulation = Simulation::new(7);
            let mut shift = [0.0];
            let draw = |simulation: &mut Simulation, shift: &mut [f64; 1]| {
                simulation.path(Future { reach: 1.0, rate: bends, scale: unit }, &[1.0], shift);
                (shift[0] + simulation.noise()).abs()
            };
            let mut draws: Vec<f64> = (0..400_000).map(|_| draw(&mut simulation, &mut shift)).collect();
            draws.sort_unstable_by(f64::total_cmp);
            for level in [0.5, 0.8, 0.95, 0.99] {
                let simulated = draws[(level * draws.len() as f64) as usize];
                let predictive = spread.predictive();
                let width = predictive.half_width(level);
                let total = spread.variance().sqrt();
                assert!((width - simulated).abs() < 0.03 * total, "{bends} {unit} {level}: {width} {simulated}");
                assert!((predictive.ln_tail(width).exp() / (1.0 - level) - 1.0).abs() < 1e-6);
            }
            // The formula for the far tail, where 40 draws are left.
            let simulated = draws[draws.len() - 40];
            let tail = (spread.ln_tail_saddlepoint(simulated)).exp();
            assert!((tail / 1e-4).ln().abs() < 0.4, "{bends} {unit}: tail {tail}");
            let tail = spread.ln_tail_saddlepoint(spread.predictive().half_width(0.99)).exp();
            assert!((tail / 0.01).ln().abs() < 0.2, "{bends} {unit}: tail {tail}");
        }
    }

    #[test]
    fn tails_fall_monotonically() {
        let spread = Spread { sigma: 1.0, bends: 3.0, unit: 0.7 };
        let predictive = spread.predictive();
        let tails: Vec<f64> = (0..4000).map(|i| predictive.ln_tail(f64::from(i) * 0.05)).collect();
        assert!(tails.windows(2).all(|pair| pair[1] < pair[0]), "{tails:?}");
    }
}
