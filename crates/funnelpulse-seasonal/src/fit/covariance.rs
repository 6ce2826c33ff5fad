//! Laplace's approximation of the posterior: a normal distribution with the curvature at the mode.

use super::{
    Priors, Problem, Theta,
    cholesky::{backward, factorize, forward},
    normal::System,
};

/// Covariance of the free coefficients, then of the bends that are not zero, row-major, with the places of these bends.
/// The bends at zero are held there: the prior has a kink at zero, and no curvature elsewhere. `None` where the curvature is
/// singular.
pub(crate) fn covariance(
    problem: &Problem<'_>,
    priors: &Priors,
    theta: &Theta,
    sigma: f64,
) -> Option<(Vec<f64>, Vec<usize>)> {
    let priors = if problem.is_flat() { priors.clone().without_slope() } else { priors.clone() };
    let (u, s) = (theta.free.len(), theta.bends.len());
    let mut system = System::assemble(&problem.normal(theta), problem.changepoints(), u, s);
    if problem.is_logistic() {
        system.change_to_rate_and_offset(theta.free[0], theta.free[1]);
    }
    let precision = if problem.gaussian_rows().is_some() { 1.0 / (sigma * sigma) } else { 1.0 };
    let active: Vec<usize> = (0..s).filter(|&j| theta.bends[j] != 0.0).collect();
    let n = u + active.len();
    let mut curvature = vec![0.0; n * n];
    for i in 0..u {
        for j in 0..u {
            curvature[i * n + j] = precision * system.uu[i * u + j];
        }
        curvature[i * n + i] += priors.precision[i];
        for (k, &bend) in active.iter().enumerate() {
            curvature[(u + k) * n + i] = precision * system.ud[i * s + bend];
        }
    }
    for (k, &bend) in active.iter().enumerate() {
        for (l, &other) in active.iter().enumerate() {
            curvature[(u + k) * n + u + l] = precision * system.dd[bend * s + other];
        }
    }
    factorize(&mut curvature, n).ok()?;
    let mut covariance = vec![0.0; n * n];
    for (i, column) in covariance.chunks_exact_mut(n).enumerate() {
        column[i] = 1.0;
        forward(&curvature, n, column);
        backward(&curvature, n, column);
    }
    Some((covariance, active))
}
