//! Sufficient statistics of the Gaussian model with an identity link.
//!
//! Within a trend segment a row enters `y = (a + c t) (1 + x'b) + z'd + e` only through sums of
//! `t^r` times products of `(1, x)`, `z` and `y`. One pass over the rows collects them; after
//! that, neither a step nor its objective depends on the number of rows.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use serde::{Deserialize, Serialize};

use super::{
    Data,
    cholesky::dot,
    normal::{Normal, Theta},
};

/// Sums per segment, with `p = 1 + multiplicative columns` and `q = additive columns + 1` (`y` last).
///
/// The residual sum of squares is a difference of sums, which loses what the noise is smaller than
/// the sums: `y` therefore enters less a constant, its level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    p: usize,
    q: usize,
    /// Number of rows.
    pub(crate) rows: f64,
    /// The offset of `y` in all sums.
    center: f64,
    /// Per segment, for `t^0, t^1, t^2`: products of `(1, x)` with itself, `p x p`, lower triangle.
    trend: Vec<f64>,
    /// Per segment, for `t^0, t^1`: products of `(1, x)` with `(z, y)`, `p x q`.
    cross: Vec<f64>,
    /// Products of `(z, y)` with itself, `q x q`, lower triangle.
    rest: Vec<f64>,
}

/// Least share of the squares around the level that residuals have to have: of less, rounding is a
/// part that counts.
const RESOLVED: f64 = 1e-9;

/// Rows added to the sums together: their loads and stores are shared.
const BLOCK: usize = 4;

impl Stats {
    pub(crate) fn new(segments: usize, multiplicative: usize, width: usize, center: f64) -> Self {
        let (p, q) = (1 + multiplicative, width - multiplicative + 1);
        Self {
            p,
            q,
            rows: 0.0,
            center,
            trend: vec![0.0; segments * 3 * p * p],
            cross: vec![0.0; segments * 2 * p * q],
            rest: vec![0.0; q * q],
        }
    }

    pub(crate) fn is_valid(&self, segments: usize, multiplicative: usize, width: usize) -> bool {
        // A file may claim any shape: nothing of that size is allocated.
        let size = |factors: &[usize]| factors.iter().try_fold(1usize, |size, factor| size.checked_mul(*factor));
        let finite = |v: &[f64]| v.iter().all(|v| v.is_finite());
        let (p, q) = (self.p, self.q);
        (Some(p), Some(q)) == (multiplicative.checked_add(1), (width - multiplicative).checked_add(1))
            && size(&[segments, 3, p, p]) == Some(self.trend.len())
            && size(&[segments, 2, p, q]) == Some(self.cross.len())
            && size(&[q, q]) == Some(self.rest.len())
            && self.rows >= 0.0
            && finite(&self.trend)
            && finite(&self.cross)
            && finite(&self.rest)
            && self.rows.is_finite()
            && self.center.is_finite()
    }

    /// Adds the rows of `data`.
    pub(crate) fn add(&mut self, data: &Data<'_>) {
        let (p, q) = (self.p, self.q);
        self.rows += data.weight.map_or(data.y.len(), |w| w.iter().filter(|w| **w > 0.0).count()) as f64;
        let (mut left, mut right) = (vec![0.0; BLOCK * p], vec![0.0; BLOCK * q]);
        let mut start = 0;
        for (segment, &end) in data.segment_ends.iter().enumerate() {
            let trend = &mut self.trend[segment * 3 * p * p..(segment + 1) * 3 * p * p];
            let cross = &mut self.cross[segment * 2 * p * q..(segment + 1) * 2 * p * q];
            while start < end {
                let block = BLOCK.min(end - start);
                let mut t = [0.0; BLOCK];
                if block < BLOCK {
                    left.fill(0.0);
                    right.fill(0.0);
                }
                for b in 0..block {
                    let row = start + b;
                    let (x, z) = data.features.row(row).split_at(p - 1);
                    let root = data.weight.map_or(1.0, |w| w[row].sqrt());
                    t[b] = data.t[row];
                    left[b * p] = root;
                    right[b * q + q - 1] = (data.y[row] - self.center) * root;
                    scale_into(&mut left[b * p + 1..(b + 1) * p], x, root);
                    scale_into(&mut right[b * q..(b + 1) * q - 1], z, root);
                }
                add_block(trend, cross, &mut self.rest, (p, q), &t, &left, &right);
                start += block;
            }
        }
    }

    /// True if a standard deviation is larger than the rounding of the sums.
    pub(crate) fn resolve(&self, sigma: f64) -> bool {
        sigma * sigma * self.rows > RESOLVED * self.total()
    }

    /// Sum of squares around the level.
    fn total(&self) -> f64 {
        self.rest[self.q * self.q - 1]
    }

    /// Normal equations at `theta`; `loss` is half the weighted residual sum of squares.
    pub(crate) fn normal(&self, changepoints: &[f64], theta: &Theta) -> Normal {
        let (p, q) = (self.p, self.q);
        let (width, additive) = (p + q - 2, q - 1);
        let segments = changepoints.len() + 1;
        let mut normal = Normal::zeros(segments, width);
        let (b, d) = theta.free[2..].split_at(p - 1);
        let mut w = vec![1.0; p];
        w[1..].copy_from_slice(b);
        // Sums over all segments of g^2 (1, x)(1, x)' and g (1, x)(z, y)'.
        let (mut squares, mut products) = (vec![0.0; p * p], vec![0.0; p * q]);
        let mut along = vec![0.0; 3 * p];
        // Sums over a segment of t^r times (1, x) times the residual, for r = 0 and 1.
        let mut moments = vec![0.0; 2 * p];
        // The additive features against the level that is missing from `y`.
        let mut level = vec![0.0; additive];
        let mut loss = self.total() - dot(d, &self.rest[(q - 1) * q..(q - 1) * q + additive]);
        let (mut intercept, mut slope) = (theta.free[0], theta.free[1]);
        for segment in 0..segments {
            if let Some(j) = segment.checked_sub(1) {
                intercept -= theta.bends[j] * changepoints[j];
                slope += theta.bends[j];
            }
            let sums = &self.trend[segment * 3 * p * p..(segment + 1) * 3 * p * p];
            for (sums, along) in sums.chunks_exact(p * p).zip(along.chunks_exact_mut(p)) {
                symmetric_product(sums, &w, along);
            }
            let [h0, h1, h2] = [0, 1, 2].map(|r| dot(&w, &along[r * p..(r + 1) * p]));
            let cross = &self.cross[segment * 2 * p * q..(segment + 1) * 2 * p * q];
            let out = &mut normal.cross[segment * 2 * width..(segment + 1) * 2 * width];
            for r in 0..2 {
                let out = &mut out[r * width..(r + 1) * width];
                for x in 0..p {
                    let trend = intercept * along[r * p + x] + slope * along[(r + 1) * p + x];
                    if let Some(at) = x.checked_sub(1) {
                        out[at] = trend;
                    }
                    let row = &cross[r * p * q + x * q..r * p * q + (x + 1) * q];
                    for (out, value) in out[p - 1..].iter_mut().zip(&row[..additive]) {
                        *out += w[x] * value;
                    }
                    let above = trend - self.center * sums[r * p * p + x * p];
                    moments[r * p + x] = row[additive] - above - dot(&row[..additive], d);
                }
            }
            for (out, value) in level.iter_mut().zip(cross) {
                *out += self.center * value;
            }
            let (moments0, moments1) = moments.split_at(p);
            for x in 0..p {
                // What the row's fit is made of, less the level.
                let (at0, at1) = (intercept * w[x] - if x == 0 { self.center } else { 0.0 }, slope * w[x]);
                let [target0, target1] = [0, 1].map(|r| cross[r * p * q + x * q + additive]);
                loss -= at0 * (target0 + moments0[x]) + at1 * (target1 + moments1[x]);
                if let Some(at) = x.checked_sub(1) {
                    normal.gradient[at] += intercept * moments0[x] + slope * moments1[x];
                }
            }
            normal.segments[segment] = [h0, h1, h2, dot(&w, moments0), dot(&w, moments1)];
            let weights = [intercept * intercept, 2.0 * intercept * slope, slope * slope];
            combine(&mut squares, sums, &weights);
            combine(&mut products, cross, &[intercept, slope]);
        }
        self.fill_from_sums(&mut normal, (&squares, &products), &level, &w, d);
        loss -= dot(d, &normal.gradient[p - 1..]);
        // Rounding may take it below zero; what is no number stays none.
        normal.loss = 0.5 * if loss < 0.0 { 0.0 } else { loss };
        normal
    }

    /// The Hessian of the free parameters and the gradient of the additive ones, which follow from the sums over all
    /// segments of `g^2 (1, x)(1, x)'` and `g (1, x)(z, y)'`.
    fn fill_from_sums(&self, normal: &mut Normal, sums: (&[f64], &[f64]), level: &[f64], w: &[f64], d: &[f64]) {
        let (p, q) = (self.p, self.q);
        let (width, additive) = (p + q - 2, q - 1);
        let (squares, products) = sums;
        for x in 1..p {
            let at = x - 1;
            normal.hessian[at * width..=at * width + at].copy_from_slice(&squares[x * p + 1..=x * p + x]);
        }
        let mut own = vec![0.0; additive];
        lower_product(&self.rest, q, d, &mut own);
        for z in 0..additive {
            let at = p - 1 + z;
            let trend: f64 = products.chunks_exact(q).zip(w).map(|(row, w)| w * row[z]).sum();
            normal.gradient[at] = self.rest[(q - 1) * q + z] - (trend - level[z]) - own[z];
            for x in 1..p {
                normal.hessian[at * width + x - 1] = products[x * q + z];
            }
            normal.hessian[at * width + p - 1..=at * width + at].copy_from_slice(&self.rest[z * q..=z * q + z]);
        }
    }
}

fn scale_into(out: &mut [f64], values: &[f64], factor: f64) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = value * factor;
    }
}

/// `out = sum of weights[r] sums[r]`, added.
fn combine(out: &mut [f64], sums: &[f64], weights: &[f64]) {
    for (sums, weight) in sums.chunks_exact(out.len()).zip(weights) {
        for (out, value) in out.iter_mut().zip(sums) {
            *out += weight * value;
        }
    }
}

/// `out = A w` for a symmetric matrix given by its lower triangle.
fn symmetric_product(a: &[f64], w: &[f64], out: &mut [f64]) {
    lower_product(a, w.len(), w, out);
}

/// The same where the matrix has `stride` columns, of which those of `w` count.
fn lower_product(a: &[f64], stride: usize, w: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for i in 0..w.len() {
        let row = &a[i * stride..i * stride + i];
        let (before, own) = out.split_at_mut(i);
        own[0] += dot(row, &w[..i]) + a[i * stride + i] * w[i];
        for (out, value) in before.iter_mut().zip(row) {
            *out += value * w[i];
        }
    }
}

/// Adds the products of a block of rows.
fn add_block(
    trend: &mut [f64],
    cross: &mut [f64],
    rest: &mut [f64],
    (p, q): (usize, usize),
    t: &[f64; BLOCK],
    left: &[f64],
    right: &[f64],
) {
    let lefts: [&[f64]; BLOCK] = std::array::from_fn(|b| &left[b * p..(b + 1) * p]);
    let rights: [&[f64]; BLOCK] = std::array::from_fn(|b| &right[b * q..(b + 1) * q]);
    let (trend0, later) = trend.split_at_mut(p * p);
    let (trend1, trend2) = later.split_at_mut(p * p);
    let (cross0, cross1) = cross.split_at_mut(p * q);
    for i in 0..p {
        let f0: [f64; BLOCK] = std::array::from_fn(|b| lefts[b][i]);
        let f1: [f64; BLOCK] = std::array::from_fn(|b| f0[b] * t[b]);
        let f2: [f64; BLOCK] = std::array::from_fn(|b| f1[b] * t[b]);
        axpy(&mut trend0[i * p..=i * p + i], &f0, &lefts);
        axpy(&mut trend1[i * p..=i * p + i], &f1, &lefts);
        axpy(&mut trend2[i * p..=i * p + i], &f2, &lefts);
        axpy(&mut cross0[i * q..(i + 1) * q], &f0, &rights);
        axpy(&mut cross1[i * q..(i + 1) * q], &f1, &rights);
    }
    for i in 0..q {
        let factor: [f64; BLOCK] = std::array::from_fn(|b| rights[b][i]);
        axpy(&mut rest[i * q..=i * q + i], &factor, &rights);
    }
}

/// `out += sum of factor[b] rows[b]`.
#[inline(always)]
fn axpy(out: &mut [f64], factor: &[f64; BLOCK], rows: &[&[f64]; BLOCK]) {
    let n = out.len();
    let (a, b, c, d) = (&rows[0][..n], &rows[1][..n], &rows[2][..n], &rows[3][..n]);
    for j in 0..n {
        out[j] += (factor[0] * a[j] + factor[1] * b[j]) + (factor[2] * c[j] + factor[3] * d[j]);
    }
}
