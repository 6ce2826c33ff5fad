//! Distributions of an observation around its mean.

mod digamma;
mod discrete;
mod dispersion;
mod factorial;
mod pieces;

use serde::{Deserialize, Serialize};

pub(crate) use discrete::{Discrete, Mixture};
pub(crate) use pieces::{BATCH, Lanes, Pieces};

use crate::Likelihood;

/// A likelihood with what it needs beside the coefficients.
///
/// `base` is the link of the overall mean: coefficients say how a row differs from it, so that
/// their priors mean the same for rare and for frequent events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Family {
    /// Identity link; the standard deviation is kept elsewhere.
    Gaussian,
    /// Log link.
    Poisson { base: f64 },
    /// Log link, variance `mu + alpha mu^2`.
    NegativeBinomial { base: f64, alpha: f64 },
    /// Logit link.
    Binomial { base: f64 },
    /// Logit link; `rho` is the correlation of two trials of one row.
    BetaBinomial { base: f64, rho: f64 },
}

/// Dispersion before the first estimate, and the least there is.
const LEAST_DISPERSION: f64 = 1e-9;

impl Family {
    /// The family of some counts, with as much dispersion as none.
    pub(crate) fn new(likelihood: Likelihood, y: &[f64], exposure: Option<&[f64]>) -> Self {
        let total: f64 = y.iter().sum();
        let exposed: f64 = exposure.map_or(y.len() as f64, |e| e.iter().sum());
        // Half a count more, so that a series without any has a finite logarithm.
        let rate = ((total + 0.5) / exposed).ln();
        let logit = ((total + 0.5) / (exposed - total + 0.5)).ln();
        match likelihood {
            Likelihood::Gaussian => Self::Gaussian,
            Likelihood::Poisson => Self::Poisson { base: rate },
            Likelihood::NegativeBinomial => Self::NegativeBinomial { base: rate, alpha: LEAST_DISPERSION },
            Likelihood::Binomial => Self::Binomial { base: logit },
            Likelihood::BetaBinomial => Self::BetaBinomial { base: logit, rho: LEAST_DISPERSION },
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        match *self {
            Self::Gaussian => true,
            Self::Poisson { base } | Self::Binomial { base } => base.is_finite(),
            Self::NegativeBinomial { base, alpha } => base.is_finite() && (1e-12..=1e3).contains(&alpha),
            Self::BetaBinomial { base, rho } => base.is_finite() && (1e-12..=0.999).contains(&rho),
        }
    }

    /// True if rows are successes out of a number of trials.
    pub(crate) fn has_trials(&self) -> bool {
        matches!(self, Self::Binomial { .. } | Self::BetaBinomial { .. })
    }

    /// True if it has a dispersion to estimate.
    pub(crate) fn is_dispersed(&self) -> bool {
        matches!(self, Self::NegativeBinomial { .. } | Self::BetaBinomial { .. })
    }

    /// The distribution of a row with linear predictor `eta`; `None` for the Gaussian.
    pub(crate) fn discrete(&self, eta: f64, exposure: f64) -> Option<Discrete> {
        // Beyond this a mean is as good as none, or as infinite.
        let predictor = |base: f64| (base + eta).clamp(-600.0, 600.0);
        let mean = |base: f64| exposure * predictor(base).exp();
        let share = |base: f64| 1.0 / (1.0 + (-predictor(base).clamp(-35.0, 35.0)).exp());
        match *self {
            Self::Gaussian => None,
            Self::Poisson { base } => Some(Discrete::poisson(mean(base))),
            Self::NegativeBinomial { base, alpha } => Some(Discrete::negative_binomial(mean(base), alpha)),
            Self::Binomial { base } => Some(Discrete::binomial(exposure, share(base))),
            Self::BetaBinomial { base, rho } => Some(Discrete::beta_binomial(exposure, share(base), rho)),
        }
    }

    /// The family with the dispersion that suits the rows best, given their linear predictors:
    /// near the present one if there has been an estimate.
    pub(crate) fn with_dispersion(self, rows: &Counts<'_>) -> Self {
        let with = |dispersion: f64| match self {
            Self::NegativeBinomial { base, .. } => Self::NegativeBinomial { base, alpha: dispersion },
            Self::BetaBinomial { base, .. } => Self::BetaBinomial { base, rho: dispersion },
            other => other,
        };
        let most = if self.has_trials() { 0.9 } else { 1e3 };
        with(rows.best_dispersion(&self, self.dispersion(), most))
    }

    /// Its dispersion, 0 where it has none.
    pub(crate) fn dispersion(&self) -> f64 {
        match *self {
            Self::NegativeBinomial { alpha, .. } => alpha,
            Self::BetaBinomial { rho, .. } => rho,
            _ => 0.0,
        }
    }
}

pub(crate) use dispersion::Counts;
