//! Normal equations of one step, and their solution.

use super::{
    Priors,
    cholesky::{NotPositiveDefinite, backward, dot, factorize, forward},
    lasso,
};

/// Curvature and slope of the log-likelihood, in the basis where every trend segment has an
/// intercept and a slope of its own: there, a row touches two trend coefficients instead of all.
#[derive(Clone, Debug)]
pub(crate) struct Normal {
    /// Per segment: curvature over `1 1`, `1 t`, `t t`; slope over `1`, `t`.
    pub(crate) segments: Vec<[f64; 5]>,
    /// Per segment: curvature over `1 x`, then `t x`.
    pub(crate) cross: Vec<f64>,
    /// Curvature over `x x`, row-major, lower triangle.
    pub(crate) hessian: Vec<f64>,
    /// Slope over `x`.
    pub(crate) gradient: Vec<f64>,
    /// Minus the log-likelihood, or half the residual sum of squares for the Gaussian.
    pub(crate) loss: f64,
}

impl Normal {
    pub(crate) fn zeros(segments: usize, width: usize) -> Self {
        Self {
            segments: vec![[0.0; 5]; segments],
            cross: vec![0.0; segments * 2 * width],
            hessian: vec![0.0; width * width],
            gradient: vec![0.0; width],
            loss: 0.0,
        }
    }

    /// Loss and slopes of zero; the curvature stays.
    pub(crate) fn clear_slopes(&mut self) {
        self.loss = 0.0;
        self.gradient.fill(0.0);
        self.segments.iter_mut().for_each(|sums| sums[3..].fill(0.0));
    }

    /// Adds the sums over other rows, times a factor.
    pub(crate) fn add(&mut self, other: &Self, factor: f64) {
        let add = |out: &mut [f64], values: &[f64]| out.iter_mut().zip(values).for_each(|(o, v)| *o += factor * v);
        self.segments.iter_mut().zip(&other.segments).for_each(|(own, other)| add(own, other));
        add(&mut self.cross, &other.cross);
        add(&mut self.hessian, &other.hessian);
        add(&mut self.gradient, &other.gradient);
        self.loss += factor * other.loss;
    }
}

/// Coefficients: rate and offset of the trend, its bends, and the effects of the features.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Theta {
    /// `m`, `k`, then `beta`.
    pub(crate) free: Vec<f64>,
    /// `delta`.
    pub(crate) bends: Vec<f64>,
}

impl Theta {
    /// The point a share `step` of the way to `other`.
    pub(crate) fn towards(&self, other: &Self, step: f64) -> Self {
        let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + step * (b - a)).collect();
        Self { free: mix(&self.free, &other.free), bends: mix(&self.bends, &other.bends) }
    }
}

/// The scaling of the normal equations of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Multiplies curvature and slope.
    pub(crate) precision: f64,
    /// Share of its diagonal that is added to the curvature, around the present point.
    pub(crate) damping: f64,
}

/// The minimum of the quadratic model at `theta` plus the penalties; `logistic` says that trend
/// coefficients stand for `k (t - m)`.
pub(crate) fn step(
    normal: &Normal,
    Scale { precision, damping }: Scale,
    changepoints: &[f64],
    priors: &Priors,
    theta: &Theta,
    logistic: bool,
) -> Result<Theta, NotPositiveDefinite> {
    let (u, s) = (theta.free.len(), theta.bends.len());
    let mut system = System::assemble(normal, changepoints, u, s);
    if logistic {
        system.change_to_rate_and_offset(theta.free[0], theta.free[1]);
    }
    // Around theta: A x = H theta + g, with the priors' curvature added to A only.
    let mut target = vec![0.0; u];
    for (i, target) in target.iter_mut().enumerate() {
        let own = dot(&system.uu[i * u..(i + 1) * u], &theta.free) + dot(&system.ud[i * s..(i + 1) * s], &theta.bends);
        *target = precision * (own + system.gu[i]);
    }
    let mut bend_target = vec![0.0; s];
    for (j, target) in bend_target.iter_mut().enumerate() {
        let cross: f64 = theta.free.iter().enumerate().map(|(i, x)| system.ud[i * s + j] * x).sum();
        *target = precision * (cross + dot(&system.dd[j * s..(j + 1) * s], &theta.bends) + system.gd[j]);
    }
    for values in [&mut system.uu, &mut system.ud, &mut system.dd] {
        for value in values.iter_mut() {
            *value *= precision;
        }
    }
    for (i, prior) in priors.precision.iter().enumerate() {
        let damped = damping * (system.uu[i * u + i] + prior);
        system.uu[i * u + i] += prior + damped;
        target[i] += damped * theta.free[i];
    }
    // Eliminate what has no kink, search among the bends alone.
    factorize(&mut system.uu, u)?;
    forward(&system.uu, u, &mut target);
    // Row by row, so that all bends are treated at once: W = L^-1 ud, then dd - W'W.
    for (i, target) in target.iter().enumerate() {
        let (done, rest) = system.ud.split_at_mut(i * s);
        let row = &mut rest[..s];
        for (j, factor) in system.uu[i * u..i * u + i].iter().enumerate() {
            subtract(row, *factor, &done[j * s..(j + 1) * s]);
        }
        let scale = 1.0 / system.uu[i * u + i];
        for value in row.iter_mut() {
            *value *= scale;
        }
        subtract(&mut bend_target, *target, row);
        for (j, factor) in row.iter().enumerate() {
            subtract(&mut system.dd[j * s..=j * s + j], *factor, row);
        }
    }
    for i in 0..s {
        for j in 0..i {
            system.dd[j * s + i] = system.dd[i * s + j];
        }
    }
    let mut bends = theta.bends.clone();
    lasso::minimize(&system.dd, &bend_target, priors.lambda, &mut bends);
    if s > 0 {
        for (target, row) in target.iter_mut().zip(system.ud.chunks_exact(s)) {
            *target -= dot(row, &bends);
        }
    }
    backward(&system.uu, u, &mut target);
    Ok(Theta { free: target, bends })
}

/// `out -= factor * values`, as far as `out` reaches.
fn subtract(out: &mut [f64], factor: f64, values: &[f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out -= factor * value;
    }
}

/// The normal equations of the coefficients themselves.
pub(super) struct System {
    pub(super) uu: Vec<f64>,
    pub(super) ud: Vec<f64>,
    pub(super) dd: Vec<f64>,
    gu: Vec<f64>,
    gd: Vec<f64>,
}

impl System {
    /// A bend acts as `t - s` on all later segments, so sums over segments from the last to the
    /// first give every entry.
    pub(super) fn assemble(normal: &Normal, changepoints: &[f64], u: usize, s: usize) -> Self {
        let width = u - 2;
        let mut system = Self {
            uu: vec![0.0; u * u],
            ud: vec![0.0; u * s],
            dd: vec![0.0; s * s],
            gu: vec![0.0; u],
            gd: vec![0.0; s],
        };
        let mut sums = [0.0; 5];
        let mut cross = vec![0.0; 2 * width];
        for segment in (0..normal.segments.len()).rev() {
            for (sum, value) in sums.iter_mut().zip(normal.segments[segment]) {
                *sum += value;
            }
            let own = &normal.cross[segment * 2 * width..(segment + 1) * 2 * width];
            for (sum, value) in cross.iter_mut().zip(own) {
                *sum += value;
            }
            // Segment j + 1 is the first that bend j acts on.
            let Some(j) = segment.checked_sub(1) else { continue };
            let [h0, h1, h2, g0, g1] = sums;
            let at = changepoints[j];
            for (i, &other) in changepoints[..=j].iter().enumerate() {
                let value = h2 - (at + other) * h1 + at * other * h0;
                system.dd[i * s + j] = value;
                system.dd[j * s + i] = value;
            }
            system.ud[j] = h1 - at * h0;
            system.ud[s + j] = h2 - at * h1;
            system.gd[j] = g1 - at * g0;
            for x in 0..width {
                system.ud[(2 + x) * s + j] = cross[width + x] - at * cross[x];
            }
        }
        let [h0, h1, h2, g0, g1] = sums;
        (system.gu[0], system.gu[1]) = (g0, g1);
        (system.uu[0], system.uu[1], system.uu[u], system.uu[u + 1]) = (h0, h1, h1, h2);
        for x in 0..width {
            let at = 2 + x;
            system.gu[at] = normal.gradient[x];
            for (i, sums) in cross.chunks_exact(width).enumerate() {
                system.uu[at * u + i] = sums[x];
                system.uu[i * u + at] = sums[x];
            }
            for y in 0..=x {
                system.uu[at * u + 2 + y] = normal.hessian[x * width + y];
                system.uu[(2 + y) * u + at] = normal.hessian[x * width + y];
            }
        }
        system
    }

    /// From intercept and slope of `b + c t` to `m` and `k` of `k (t - m)`: `dm = -k db`, `dk = dc - m db`.
    pub(super) fn change_to_rate_and_offset(&mut self, m: f64, k: f64) {
        let u = self.gu.len();
        let s = self.gd.len();
        let change = |intercept: f64, slope: f64| (-k * intercept, slope - m * intercept);
        (self.gu[0], self.gu[1]) = change(self.gu[0], self.gu[1]);
        for j in 0..s {
            (self.ud[j], self.ud[s + j]) = change(self.ud[j], self.ud[s + j]);
        }
        for j in 0..u {
            (self.uu[j], self.uu[u + j]) = change(self.uu[j], self.uu[u + j]);
        }
        for i in 0..u {
            (self.uu[i * u], self.uu[i * u + 1]) = change(self.uu[i * u], self.uu[i * u + 1]);
        }
    }
}
