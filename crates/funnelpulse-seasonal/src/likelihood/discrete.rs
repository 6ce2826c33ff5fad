//! Distributions of counts: tails, quantiles.

use statrs::function::{beta::checked_beta_reg, gamma::ln_gamma};

use super::factorial::ln_factorial;
use crate::uncertainty::ln_saddlepoint_tail;

/// A distribution over 0, 1, 2, ...
#[derive(Clone, Copy, Debug)]
pub(crate) enum Discrete {
    Poisson {
        mean: f64,
    },
    /// `size = 1 / alpha`.
    NegativeBinomial {
        mean: f64,
        size: f64,
    },
    Binomial {
        trials: f64,
        share: f64,
    },
    BetaBinomial {
        trials: f64,
        a: f64,
        b: f64,
    },
}

/// Above this standard deviation and count tails come from the saddlepoint formula, which is right to four
/// digits there; below, from sums of probabilities.
const LARGE: f64 = 30.0;

/// Terms of a sum at most, and the standard deviation from which on it takes strides.
const MOST_TERMS: u32 = 50_000;
const STRIDES: f64 = 1000.0;

impl Discrete {
    pub(super) fn poisson(mean: f64) -> Self {
        Self::Poisson { mean: mean.max(f64::MIN_POSITIVE) }
    }

    pub(super) fn negative_binomial(mean: f64, alpha: f64) -> Self {
        let mean = mean.max(f64::MIN_POSITIVE);
        // Dispersion this small makes no numerical difference to a Poisson, and can't be computed with.
        if alpha * mean < 1e-7 { Self::Poisson { mean } } else { Self::NegativeBinomial { mean, size: 1.0 / alpha } }
    }

    pub(super) fn binomial(trials: f64, share: f64) -> Self {
        Self::Binomial { trials, share }
    }

    pub(super) fn beta_binomial(trials: f64, share: f64, rho: f64) -> Self {
        if rho * trials < 1e-7 {
            return Self::Binomial { trials, share };
        }
        let strength = (1.0 - rho) / rho;
        Self::BetaBinomial { trials, a: share * strength, b: (1.0 - share) * strength }
    }

    pub(crate) fn mean(&self) -> f64 {
        match *self {
            Self::Poisson { mean } | Self::NegativeBinomial { mean, .. } => mean,
            Self::Binomial { trials, share } => trials * share,
            Self::BetaBinomial { trials, a, b } => trials * a / (a + b),
        }
    }

    pub(crate) fn variance(&self) -> f64 {
        match *self {
            Self::Poisson { mean } => mean,
            Self::NegativeBinomial { mean, size } => mean + mean * mean / size,
            Self::Binomial { trials, share } => trials * share * (1.0 - share),
            Self::BetaBinomial { trials, a, b } => {
                let (sum, share) = (a + b, a / (a + b));
                trials * share * (1.0 - share) * (sum + trials) / (sum + 1.0)
            }
        }
    }

    /// The largest possible count.
    pub(crate) fn most(&self) -> f64 {
        match *self {
            Self::Poisson { .. } | Self::NegativeBinomial { .. } => f64::INFINITY,
            Self::Binomial { trials, .. } | Self::BetaBinomial { trials, .. } => trials,
        }
    }

    pub(crate) fn ln_pmf(&self, y: f64) -> f64 {
        let arrangements = match *self {
            Self::Poisson { .. } | Self::NegativeBinomial { .. } => -ln_factorial(y),
            Self::Binomial { trials, .. } | Self::BetaBinomial { trials, .. } => ln_choose(trials, y),
        };
        arrangements + self.ln_kernel(y)
    }

    /// [`Self::ln_pmf`] without what depends on the count and its trials only.
    fn ln_kernel(&self, y: f64) -> f64 {
        match *self {
            Self::Poisson { mean } => y * mean.ln() - mean,
            Self::NegativeBinomial { mean, size } => {
                ln_rising(size, y) - size * (mean / size).ln_1p() + y * (mean / (mean + size)).ln()
            }
            Self::Binomial { trials, share } => {
                let rest = if y < trials { (trials - y) * (-share).ln_1p() } else { 0.0 };
                let own = if y > 0.0 { y * share.ln() } else { 0.0 };
                own + rest
            }
            Self::BetaBinomial { trials, a, b } => {
                ln_rising(a, y) + ln_rising(b, trials - y) - ln_rising(a + b, trials)
            }
        }
    }

    /// Probability of `k + 1` over that of `k`.
    fn ratio(&self, k: f64) -> f64 {
        match *self {
            Self::Poisson { mean } => mean / (k + 1.0),
            Self::NegativeBinomial { mean, size } => (k + size) / (k + 1.0) * mean / (mean + size),
            Self::Binomial { trials, share } => (trials - k) / (k + 1.0) * share / (1.0 - share),
            Self::BetaBinomial { trials, a, b } => (trials - k) / (k + 1.0) * (k + a) / (trials - k - 1.0 + b),
        }
    }

    /// Logarithms of the probabilities of less than `y` and of more, each with half that of `y` itself.
    pub(crate) fn ln_mid_tails(&self, y: f64) -> (f64, f64) {
        self.ln_mid_tails_around(y, || self.ln_pmf(y))
    }

    /// The same; `ln_own` gives the logarithm of the probability of `y`, where it is needed.
    fn ln_mid_tails_around(&self, y: f64, ln_own: impl Fn() -> f64) -> (f64, f64) {
        let above = y > self.mean();
        let ln_far = self.large_tail(y).unwrap_or_else(|| {
            let terms = if above { self.most() - y } else { y };
            let many = terms > f64::from(MOST_TERMS) && self.variance() > STRIDES * STRIDES;
            if many { self.strided_tail(y, above) } else { ln_own() + self.summed_tail(y, above) }
        });
        // The larger of the two tails follows from the smaller one.
        let ln_near = ln_far.exp().min(1.0);
        let ln_near = (1.0 - ln_near).max(f64::MIN_POSITIVE).ln();
        if above { (ln_near, ln_far) } else { (ln_far, ln_near) }
    }

    /// The tail on `y`'s side of the mean, term by term away from the mean: the logarithm of its ratio to
    /// the probability of `y`.
    fn summed_tail(&self, y: f64, above: bool) -> f64 {
        let (mut term, mut sum, mut k) = (1.0, 0.5, y);
        for _ in 0..MOST_TERMS {
            if above {
                if k >= self.most() {
                    break;
                }
                term *= self.ratio(k);
                k += 1.0;
            } else {
                if k < 1.0 {
                    break;
                }
                k -= 1.0;
                term /= self.ratio(k);
            }
            sum += term;
            if term <= sum * 1e-16 || !f64::is_finite(sum) {
                break;
            }
        }
        sum.ln()
    }

    /// The same where there are too many terms: the trapezoid rule over evenly spaced terms, with
    /// strides that are short against the spread, against the distance over which probabilities
    /// change and against that to the last count, where there may be a pole. From a stride of one on
    /// the rule is the sum itself.
    fn strided_tail(&self, y: f64, above: bool) -> f64 {
        let own = self.ln_pmf(y);
        let spread = self.variance().sqrt();
        let (mut k, mut term, mut sum) = (y, 1.0, 0.0);
        for _ in 0..MOST_TERMS {
            let left = if above { self.most().floor() - k } else { k };
            if left < 1.0 {
                // The last count has no other half.
                sum += 0.5 * term;
                break;
            }
            let change = 1.0 / self.ratio(if above { k } else { k - 1.0 }).ln().abs();
            let stride = (spread.min(change).min(left) / 50.0).floor().max(1.0);
            k = if above { k + stride } else { k - stride };
            let next = (self.ln_pmf(k) - own).exp();
            sum += 0.5 * stride * (term + next);
            term = next;
            if stride * term <= sum * 1e-16 || !f64::is_finite(sum) {
                break;
            }
        }
        own + sum.ln()
    }

    /// The tail on `y`'s side of the mean by the formula of Lugannani & Rice for lattices, where
    /// it applies: the saddlepoint of these distributions has a closed form.
    fn large_tail(&self, y: f64) -> Option<f64> {
        if let Self::BetaBinomial { trials, .. } = *self {
            return self.beta_tail(y, trials);
        }
        // Not where single counts or a pole at zero matter.
        let rough = matches!(self, Self::NegativeBinomial { size, .. } if *size < 1.0);
        if rough || y < LARGE || self.most() - y < LARGE || self.variance() < LARGE * LARGE {
            return None;
        }
        // Saddlepoint, cumulant generating function and its curvature there.
        let (s, cumulant, curvature) = match *self {
            Self::Poisson { mean } => ((y / mean).ln(), y - mean, y),
            Self::NegativeBinomial { mean, size } => {
                let s = (y / mean).ln() - ((size + y) / (size + mean)).ln();
                (s, size * ((size + y) / (size + mean)).ln(), y + y * y / size)
            }
            Self::Binomial { trials, share } => {
                let s = (y / (trials - y)).ln() - (share / (1.0 - share)).ln();
                (s, trials * ((1.0 - share) * trials / (trials - y)).ln(), y * (trials - y) / trials)
            }
            Self::BetaBinomial { .. } => unreachable!("has its own formula"),
        };
        let w = (2.0 * (s * y - cumulant)).max(0.0).sqrt();
        // Half of what lies at y itself on either side: the mean of the two lattice corrections.
        let inverse = 0.5 / (0.5 * s.abs()).tanh() / curvature.sqrt();
        Some(ln_saddlepoint_tail(w, 1.0 / inverse))
    }
}

impl Discrete {
    /// The tail of a beta-binomial so wide that single counts don't matter: that of the beta distribution
    /// with the same mean and variance, which is a binomial tail, `I_x(a, b) = P(Bin(a + b - 1, x) >= a)`
    /// (Abramowitz & Stegun 1964, 26.5.24).
    fn beta_tail(&self, y: f64, trials: f64) -> Option<f64> {
        let (share, x) = (self.mean() / trials, y / trials);
        if self.variance() < STRIDES * STRIDES || !(0.0 < x && x < 1.0) {
            return None;
        }
        let strength = share * (1.0 - share) * trials * (trials / self.variance()) - 1.0;
        let binomial = Self::Binomial { trials: strength - 1.0, share: x };
        // Half a count lower: all of the probability at `a` belongs to the tail.
        if let Some(tail) = binomial.large_tail(share * strength - 0.5) {
            return Some(tail);
        }
        let (a, b) = (share * strength, (1.0 - share) * strength);
        let tail = if x > share { checked_beta_reg(b, a, 1.0 - x) } else { checked_beta_reg(a, b, x) };
        // A tail too thin for a float is added up in logarithms.
        tail.ok().filter(|tail| *tail > 0.0).map(f64::ln)
    }
}

/// The least count with a share `p` at or below it, if a few steps of Newton's method from `guess` on
/// meet it: by as many counts as probability is missing at the last one, but no more than `longest`.
fn newton(guess: f64, p: f64, longest: f64, most: f64, shares: impl Fn(f64) -> (f64, f64)) -> Option<f64> {
    let mut k = guess;
    for _ in 0..6 {
        let (below, own) = shares(k);
        // Where single counts are rounding there is no telling one from the next.
        if own.is_nan() || own < 1e-9 || k > 1e9 {
            return None;
        }
        if below < p {
            k = (k + ((p - below) / own).ceil().min(longest.max(1.0).floor())).min(most);
        } else if k == 0.0 || below - own < p {
            return Some(k);
        } else {
            k = (k - ((below - own - p) / own).floor().min(longest.floor()) - 1.0).max(0.0);
        }
    }
    None
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// `ln (x (x + 1) ... (x + k - 1))`.
fn ln_rising(x: f64, k: f64) -> f64 {
    // 16 factors of a billion still fit; the difference below loses digits for large `x`.
    if k <= 16.0 && x < 1e12 {
        return (0..k as u32).fold(1.0, |product, i| product * (x + f64::from(i))).ln();
    }
    ln_gamma(x + k) - ln_gamma(x)
}

/// A mixture over what the trend may do, with weights that sum to one.
#[derive(Clone, Debug)]
pub(crate) struct Mixture(pub(crate) Vec<(f64, Discrete)>);

impl Mixture {
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().map(|(w, d)| w * d.mean()).sum()
    }

    fn ln_mid_tails(&self, y: f64) -> (f64, f64) {
        if let [(_, only)] = &self.0[..] {
            return only.ln_mid_tails(y);
        }
        let tails: Vec<(f64, f64)> = self.0.iter().map(|(_, d)| d.ln_mid_tails(y)).collect();
        let sum = |side: fn(&(f64, f64)) -> f64| {
            let largest = tails.iter().map(side).fold(f64::NEG_INFINITY, f64::max);
            let shares = self.0.iter().zip(&tails).map(|((w, _), t)| w * (side(t) - largest).exp());
            largest + shares.sum::<f64>().ln()
        };
        (sum(|t| t.0), sum(|t| t.1))
    }

    /// Natural logarithm of the two-sided tail probability (mid-p) of a count: the tail on its
    /// side, doubled where the other side has outcomes that are as improbable.
    pub(crate) fn ln_two_sided(&self, y: f64) -> f64 {
        let (below, above) = self.ln_mid_tails(y);
        let tail = below.min(above);
        let extreme = if above < below {
            self.ln_mid_tails(0.0).0
        } else {
            let most = self.0.iter().map(|(_, d)| d.most()).fold(0.0, f64::max);
            if most.is_finite() { self.ln_mid_tails(most).1 } else { f64::NEG_INFINITY }
        };
        let doubled = if extreme <= tail { tail + std::f64::consts::LN_2 } else { tail };
        doubled.min(0.0)
    }

    /// The least count with at least a share `p` of the distribution at or below it.
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        // The shares at or below a count, and at it.
        let shares = |k: f64| {
            if let [(weight, only)] = &self.0[..] {
                let ln_own = only.ln_pmf(k);
                let own = weight * ln_own.exp();
                return (only.ln_mid_tails_around(k, || ln_own).0.exp() + 0.5 * own, own);
            }
            let own: f64 = self.0.iter().map(|(w, d)| w * d.ln_pmf(k).exp()).sum();
            (self.ln_mid_tails(k).0.exp() + 0.5 * own, own)
        };
        let covered = |k: f64| shares(k).0 >= p;
        let mean = self.mean();
        let second: f64 = self.0.iter().map(|(w, d)| w * (d.variance() + (d.mean() - mean).powi(2))).sum();
        if !second.is_finite() {
            return mean;
        }
        let most = self.0.iter().map(|(_, d)| d.most()).fold(0.0, f64::max);
        let z = std::f64::consts::SQRT_2 * statrs::function::erf::erf_inv(2.0 * p - 1.0);
        let guess = (mean + z * second.sqrt()).round().clamp(0.0, most.floor().min(f64::MAX));
        if let Some(found) = newton(guess, p, 0.5 * second.sqrt(), most.floor(), shares) {
            return found;
        }
        // Gallop to a bracket, then halve it.
        let mut step = (0.05 * second.sqrt()).ceil().max(1.0);
        let (mut low, mut high) = if covered(guess) { (f64::NAN, guess) } else { (guess, f64::NAN) };
        while low.is_nan() {
            let next = high - step;
            if next < 0.0 {
                low = -1.0;
            } else if covered(next) {
                high = next;
            } else {
                low = next;
            }
            step *= 2.0;
        }
        while high.is_nan() {
            let next = (low + step).min(most.floor()).min(f64::MAX);
            if next >= most.floor() || next >= f64::MAX || covered(next) {
                high = next;
            } else {
                low = next;
            }
            step *= 2.0;
        }
        // Beyond 2^53 neighbouring counts are the same number.
        while high - low > (high * 1e-12).max(1.0) {
            let middle = f64::midpoint(low, high).floor();
            if covered(middle) { high = middle } else { low = middle }
        }
        high
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
