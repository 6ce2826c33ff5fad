//! Distributions of an observation around its mean.

use serde::{Deserialize, Serialize};

/// A likelihood with its link and its dispersion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Family {
    /// Identity link; the standard deviation is kept elsewhere.
    Gaussian,
}

/// One row's share of the log-likelihood as a function of its linear predictor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Minus the log-likelihood (half the squared residual for the Gaussian).
    pub(crate) loss: f64,
    /// Derivative of the log-likelihood.
    pub(crate) slope: f64,
    /// Expected curvature of the loss, not negative.
    pub(crate) curvature: f64,
}

impl Family {
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Gaussian => true,
        }
    }

    pub(crate) fn piece(&self, eta: f64, y: f64, _exposure: f64) -> Piece {
        match self {
            Self::Gaussian => {
                let residual = y - eta;
                Piece { loss: 0.5 * residual * residual, slope: residual, curvature: 1.0 }
            }
        }
    }
}
