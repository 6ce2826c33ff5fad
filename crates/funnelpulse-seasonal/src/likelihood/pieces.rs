//! Shares of many rows in the log-likelihood, as vector code.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::Family;
use crate::vector::{exp, ln_1p};

/// Rows whose shares are computed together.
pub(crate) const BATCH: usize = 64;
/// A number for each row of a batch.
pub(crate) type Lanes = [f64; BATCH];

/// Largest size of the linear predictor of counts: beyond it a mean is as good as none, or as infinite.
const FARTHEST: f64 = 600.0;

/// Each row's share of the log-likelihood as a function of its linear predictor.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    /// Minus the log-likelihood (half the squared residual for the Gaussian).
    pub(crate) loss: Lanes,
    /// Derivative of the log-likelihood.
    pub(crate) slope: Lanes,
    /// Expected curvature of the loss, not negative.
    pub(crate) curvature: Lanes,
}

impl Pieces {
    pub(crate) const ZERO: Self = Self { loss: [0.0; BATCH], slope: [0.0; BATCH], curvature: [0.0; BATCH] };

    #[inline(always)]
    fn set(&mut self, i: usize, (loss, slope, curvature): (f64, f64, f64)) {
        (self.loss[i], self.slope[i], self.curvature[i]) = (loss, slope, curvature);
    }
}

impl Family {
    /// The shares of the first `n` rows with linear predictors `eta`. For the beta-binomial the
    /// quasi-likelihood of Williams (Applied Statistics 1982): that of a binomial, weighted by its
    /// overdispersion.
    #[inline(always)]
    pub(crate) fn pieces(&self, n: usize, eta: &Lanes, y: &Lanes, exposure: &Lanes, out: &mut Pieces) {
        let n = n.min(BATCH);
        match *self {
            Self::Gaussian => {
                for i in 0..n {
                    let residual = y[i] - eta[i];
                    out.set(i, (0.5 * residual * residual, residual, 1.0));
                }
            }
            Self::Poisson { base } => {
                for i in 0..n {
                    let eta = bounded(eta[i], base);
                    let mu = exposure[i] * exp(base + eta);
                    out.set(i, (mu - y[i] * eta, y[i] - mu, mu));
                }
            }
            Self::NegativeBinomial { base, alpha } => {
                let size = 1.0 / alpha;
                for i in 0..n {
                    let eta = bounded(eta[i], base);
                    let mu = exposure[i] * exp(base + eta);
                    let inverse = 1.0 / (1.0 + alpha * mu);
                    let loss = (y[i] + size) * ln_1p(alpha * mu) - y[i] * eta;
                    out.set(i, (loss, (y[i] - mu) * inverse, mu * inverse));
                }
            }
            Self::Binomial { base } => {
                for i in 0..n {
                    out.set(i, binomial(base + eta[i], y[i], exposure[i]));
                }
            }
            Self::BetaBinomial { base, rho } => {
                for i in 0..n {
                    let pairs = if exposure[i] > 1.0 { exposure[i] - 1.0 } else { 0.0 };
                    let weight = 1.0 / (1.0 + pairs * rho);
                    let (loss, slope, curvature) = binomial(base + eta[i], y[i], exposure[i]);
                    out.set(i, (weight * loss, weight * slope, weight * curvature));
                }
            }
        }
    }
}

/// `eta`, as far as `base + eta` stays within [`FARTHEST`].
#[inline(always)]
fn bounded(eta: f64, base: f64) -> f64 {
    let (low, high) = (-FARTHEST - base, FARTHEST - base);
    let eta = if eta < low { low } else { eta };
    if eta > high { high } else { eta }
}

#[inline(always)]
fn binomial(logit: f64, y: f64, trials: f64) -> (f64, f64, f64) {
    let size = if logit.abs() > FARTHEST { FARTHEST } else { logit.abs() };
    let tail = exp(-size);
    let (smaller, larger) = (tail / (1.0 + tail), 1.0 / (1.0 + tail));
    let share = if logit < 0.0 { smaller } else { larger };
    // ln(1 + e^x) without overflow.
    let softplus = if logit > 0.0 { logit } else { 0.0 } + ln_1p(tail);
    (trials * softplus - y * logit, y - trials * share, trials * share * (1.0 - share))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definitions, without regard for overflow.
    fn by_definition(family: &Family, eta: f64, y: f64, exposure: f64) -> (f64, f64, f64) {
        match *family {
            Family::Gaussian => (0.5 * (y - eta).powi(2), y - eta, 1.0),
            Family::Poisson { base } => {
                let mu = exposure * (base + eta).exp();
                (mu - y * eta, y - mu, mu)
            }
            Family::NegativeBinomial { base, alpha } => {
                let mu = exposure * (base + eta).exp();
                let loss = (y + 1.0 / alpha) * (alpha * mu).ln_1p() - y * eta;
                (loss, (y - mu) / (1.0 + alpha * mu), mu / (1.0 + alpha * mu))
            }
            Family::Binomial { base } | Family::BetaBinomial { base, .. } => {
                let rho = if let Family::BetaBinomial { rho, .. } = family { *rho } else { 0.0 };
                let share = 1.0 / (1.0 + (-base - eta).exp());
                let weight = 1.0 / (1.0 + (exposure - 1.0).max(0.0) * rho);
                let loss = exposure * (base + eta).exp().ln_1p() - y * (base + eta);
                (weight * loss, weight * (y - exposure * share), weight * exposure * share * (1.0 - share))
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_those_of_the_definition(
            base in -8.0..8.0f64, eta in -5.0..5.0f64, exposure in 1.0..500.0f64, share in 0.0..1.0f64,
            dispersion in 1e-6..0.9f64,
        ) {
            let y = (share * exposure).floor();
            let families = [
                Family::Gaussian,
                Family::Poisson { base },
                Family::NegativeBinomial { base, alpha: dispersion },
                Family::Binomial { base },
                Family::BetaBinomial { base, rho: dispersion },
            ];
            let mut pieces = Pieces::ZERO;
            for family in families {
                family.pieces(3, &[eta; BATCH], &[y; BATCH], &[exposure.floor(); BATCH], &mut pieces);
                let (loss, slope, curvature) = by_definition(&family, eta, y, exposure.floor());
                let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-12 * (scale + b.abs());
                prop_assert!(close(pieces.loss[2], loss, y * (base + eta).abs() + exposure), "{family:?}");
                prop_assert!(close(pieces.slope[2], slope, exposure), "{family:?} {} {slope}", pieces.slope[2]);
                prop_assert!(close(pieces.curvature[2], curvature, 1.0), "{family:?}");
            }
        }
    }

    /// A step that goes too far has a loss that is refused, and no infinite one.
    #[test]
    fn far_predictors_are_finite_and_worse() {
        let mut pieces = Pieces::ZERO;
        for family in [Family::Poisson { base: 1.0 }, Family::NegativeBinomial { base: 1.0, alpha: 0.5 }] {
            let mut eta = [0.0; BATCH];
            (eta[0], eta[1], eta[2]) = (1e4, -1e4, f64::NAN);
            family.pieces(4, &eta, &[3.0; BATCH], &[1.0; BATCH], &mut pieces);
            assert!(pieces.loss[0].is_finite() && pieces.slope[0].is_finite());
            assert!(pieces.loss[0] > pieces.loss[3] && pieces.loss[1] > pieces.loss[3]);
            assert!(pieces.loss[2].is_nan());
        }
    }
}
