//! The most probable coefficients: a proximal Gauss-Newton method.
//!
//! Each iteration minimises a quadratic model of the log-likelihood plus the exact penalties, so
//! that bends of the trend come out as exact zeros (Lee, Sun & Saunders, SIAM J. Optim. 2014);
//! the noise of the Gaussian model has a closed form for given residuals.

mod cholesky;
mod covariance;
mod lasso;
mod normal;
mod products;
mod rows;
mod stats;

pub(crate) use covariance::covariance;
pub(crate) use normal::{Normal, Theta};
pub(crate) use rows::{Model, TrendWalk, add_slopes, normal as normal_of_rows};
pub(crate) use stats::Stats;

use crate::{SeasonalError, design::Features, likelihood::Family};

/// Least standard deviation of the noise, in scaled units.
pub(crate) const LEAST_SIGMA: f64 = 1e-9;

/// The rows of a history, in scaled units.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) t: &'a [f64],
    /// For each trend segment the row after its last.
    pub(crate) segment_ends: Vec<usize>,
    pub(crate) features: &'a Features,
    pub(crate) y: &'a [f64],
    pub(crate) weight: Option<&'a [f64]>,
    /// The cap of logistic growth.
    pub(crate) cap: Option<&'a [f64]>,
    pub(crate) exposure: Option<&'a [f64]>,
}

/// For each segment the row after its last, for ascending times.
pub(crate) fn segment_ends(t: &[f64], changepoints: &[f64]) -> Vec<usize> {
    let inner = changepoints.iter().map(|s| t.partition_point(|t| t < s));
    inner.chain([t.len()]).collect()
}

/// Penalties of the coefficients.
#[derive(Clone, Debug)]
pub(crate) struct Priors {
    /// One over the variance, in the order of [`Theta::free`].
    pub(crate) precision: Vec<f64>,
    /// One over the scale of the Laplace prior of the bends.
    pub(crate) lambda: f64,
}

impl Priors {
    /// A prior that leaves the slope of the trend where it is.
    pub(crate) fn without_slope(mut self) -> Self {
        self.precision[1] = 1e30;
        self
    }

    pub(crate) fn penalty(&self, theta: &Theta) -> f64 {
        let square: f64 = theta.free.iter().zip(&self.precision).map(|(x, p)| 0.5 * p * x * x).sum();
        square + self.lambda * theta.bends.iter().map(|b| b.abs()).sum::<f64>()
    }
}

/// The result of an optimisation.
#[derive(Clone, Debug)]
pub(crate) struct Optimum {
    pub(crate) theta: Theta,
    /// Standard deviation of the Gaussian noise, scaled; 1 for other likelihoods.
    pub(crate) sigma: f64,
    /// Log posterior up to a constant.
    pub(crate) log_posterior: f64,
    /// Quadratic models solved.
    pub(crate) iterations: usize,
}

/// The objective.
pub(crate) enum Problem<'a> {
    /// The Gaussian model with a piecewise linear trend, from its sufficient statistics.
    Sums { stats: &'a Stats, changepoints: &'a [f64], flat: bool },
    /// Anything else, from the rows.
    Rows { data: &'a Data<'a>, model: Model<'a>, flat: bool },
}

impl Problem<'_> {
    fn normal(&self, theta: &Theta) -> Normal {
        match *self {
            Self::Sums { stats, changepoints, .. } => stats.normal(changepoints, theta),
            Self::Rows { data, model, .. } => normal_of_rows(data, model, theta, 0..data.y.len()),
        }
    }

    /// The same with the curvature of `near`, where that is cheaper.
    fn normal_near(&self, near: &Normal, theta: &Theta) -> Normal {
        let Self::Rows { data, model, .. } = *self else { return self.normal(theta) };
        let mut normal = near.clone();
        normal.clear_slopes();
        add_slopes(&mut normal, data, model, theta, 0..data.y.len());
        normal
    }

    fn changepoints(&self) -> &[f64] {
        match self {
            Self::Sums { changepoints, .. } => changepoints,
            Self::Rows { model, .. } => model.changepoints,
        }
    }

    fn is_flat(&self) -> bool {
        match *self {
            Self::Sums { flat, .. } | Self::Rows { flat, .. } => flat,
        }
    }

    pub(crate) fn is_logistic(&self) -> bool {
        matches!(self, Self::Rows { data, .. } if data.cap.is_some())
    }

    /// Rows whose noise is to be estimated.
    fn gaussian_rows(&self) -> Option<f64> {
        match *self {
            Self::Sums { stats, .. } => Some(stats.rows),
            Self::Rows { data, model: Model { family: Family::Gaussian, .. }, .. } => {
                Some(data.weight.map_or(data.y.len(), |w| w.iter().filter(|w| **w > 0.0).count()) as f64)
            }
            Self::Rows { .. } => None,
        }
    }

    /// Minus the log-likelihood with its best noise, and that noise.
    fn objective(&self, loss: f64) -> (f64, f64) {
        let Some(n) = self.gaussian_rows() else { return (loss, 1.0) };
        let (rss, sigma) = (2.0 * loss, gaussian_sigma(n, loss));
        (n * sigma.ln() + rss / (2.0 * sigma * sigma) + 2.0 * sigma * sigma, sigma)
    }
}

/// The most probable noise of `n` rows with half this residual sum of squares.
pub(crate) fn gaussian_sigma(n: f64, loss: f64) -> f64 {
    let rss = 2.0 * loss;
    // Root of 4 s^4 + n s^2 - rss = 0: the half-normal prior of sigma has scale 1/2.
    let variance = 2.0 * rss / (n + (n * n + 16.0 * rss).sqrt());
    variance.sqrt().max(LEAST_SIGMA)
}

/// Shares of the curvature that are added to it in turn until a step can be computed: columns that
/// repeat one another give a singular system where priors are wide. The optimum stays the same.
const DAMPING: [f64; 5] = [0.0, 1e-12, 1e-9, 1e-6, 1e-3];

/// The gain of the log posterior still to come at which a search ends.
pub(crate) const EXACT: f64 = 1e-7;
/// The same where the fit goes on: with another dispersion, or without some rows.
pub(crate) const ROUGH: f64 = 1e-3;
/// Steps that gain less than this keep the curvature: it has hardly changed.
const NEAR: f64 = 1.0;
/// Such steps that gain more than this share of the one before are too slow: a fresh curvature.
const SLOW: f64 = 0.3;

/// The minimum of the quadratic model at `theta`.
pub(crate) fn minimum(
    normal: &Normal,
    precision: f64,
    changepoints: &[f64],
    priors: &Priors,
    theta: &Theta,
    logistic: bool,
) -> Option<Theta> {
    DAMPING.into_iter().find_map(|damping| {
        normal::step(normal, normal::Scale { precision, damping }, changepoints, priors, theta, logistic).ok()
    })
}

/// Climbs from `start` to an optimum, until less than `tolerance` is left to gain.
pub(crate) fn optimize(
    problem: &Problem<'_>,
    priors: &Priors,
    start: Theta,
    tolerance: f64,
) -> Result<Optimum, SeasonalError> {
    let priors = &if problem.is_flat() { priors.clone().without_slope() } else { priors.clone() };
    let mut theta = start;
    let mut normal = problem.normal(&theta);
    let mut is_fresh = true;
    let (mut value, mut sigma) = problem.objective(normal.loss);
    value += priors.penalty(&theta);
    let mut iterations = 0;
    let mut last_gain = f64::INFINITY;
    while iterations < 200 {
        iterations += 1;
        let precision = if problem.gaussian_rows().is_some() { 1.0 / (sigma * sigma) } else { 1.0 };
        let goal = minimum(&normal, precision, problem.changepoints(), priors, &theta, problem.is_logistic());
        let Some(goal) = goal else {
            return Err(SeasonalError::NoOptimum { reason: "the normal equations are singular or not finite" });
        };
        let near = last_gain < NEAR;
        let accepted = search(problem, priors, &theta, value, goal, near.then_some(&normal));
        let Some((next, next_normal, next_value, next_sigma)) = accepted else {
            if is_fresh {
                break;
            }
            (normal, is_fresh) = (problem.normal(&theta), true);
            continue;
        };
        let gain = value - next_value;
        (theta, normal, value, sigma, is_fresh) = (next, next_normal, next_value, next_sigma, !near);
        // Gains fall geometrically: what is left is their sum to come.
        let rate = if last_gain.is_finite() { (gain / last_gain).min(0.99) } else { 0.5 };
        last_gain = gain;
        if gain * rate <= tolerance * (1.0 - rate) {
            break;
        }
        if !is_fresh && rate > SLOW {
            (normal, is_fresh) = (problem.normal(&theta), true);
        }
    }
    if !value.is_finite() {
        return Err(SeasonalError::NoOptimum { reason: "the log posterior is not finite" });
    }
    Ok(Optimum { theta, sigma, log_posterior: -value, iterations })
}

/// The first point from `goal` back to `theta` with an objective of at most `value`: with its normal
/// equations (those of `near`, if given, with slopes of its own), its objective and its noise.
fn search(
    problem: &Problem<'_>,
    priors: &Priors,
    theta: &Theta,
    value: f64,
    goal: Theta,
    near: Option<&Normal>,
) -> Option<(Theta, Normal, f64, f64)> {
    let mut length = 1.0;
    for _ in 0..40 {
        let next = if length == 1.0 { goal.clone() } else { theta.towards(&goal, length) };
        let normal = near.map_or_else(|| problem.normal(&next), |near| problem.normal_near(near, &next));
        let (likelihood, sigma) = problem.objective(normal.loss);
        let next_value = likelihood + priors.penalty(&next);
        if next_value <= value {
            return Some((next, normal, next_value, sigma));
        }
        length *= 0.5;
    }
    None
}
