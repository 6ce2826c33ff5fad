//! The Gaussian kernel at scale: exact search in `O(n)` memory, and an approximation by inducing
//! points.

use crate::{ChangepointError, cost::Signal};

mod exp;
mod inducing;
mod median;
mod pelt;

pub(crate) use self::exp::kernel_row;
pub use self::{inducing::InducingKernel, median::median_heuristic, pelt::rbf_pelt};

/// Exponents of the kernel off the diagonal are kept within these, as ruptures keeps them.
pub(crate) const EXPONENTS: (f64, f64) = (0.01, 100.0);

/// A given `gamma`, checked, or that of the median heuristic.
pub(crate) fn gamma_of(signal: &Signal, gamma: Option<f64>) -> Result<f64, ChangepointError> {
    match gamma {
        None => Ok(median::gamma(signal)),
        Some(gamma) if gamma > 0.0 && gamma.is_finite() => Ok(gamma),
        Some(gamma) => Err(ChangepointError::config("gamma", gamma, "above 0, finite")),
    }
}
