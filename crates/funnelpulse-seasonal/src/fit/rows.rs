//! Normal equations from the rows themselves: any likelihood, logistic growth.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use std::ops::Range;

use super::{
    Data,
    cholesky::dot,
    normal::{Normal, Theta},
};
use crate::likelihood::Family;

/// Rows whose products are added together: their loads and stores are shared.
const BLOCK: usize = 4;

/// The model that rows are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a> {
    pub(crate) family: &'a Family,
    pub(crate) changepoints: &'a [f64],
    pub(crate) multiplicative: usize,
}

/// Normal equations at `theta` of some of the rows, one pass over them.
pub(crate) fn normal(data: &Data<'_>, model: Model<'_>, theta: &Theta, rows: Range<usize>) -> Normal {
    let mut normal = Normal::zeros(model.changepoints.len() + 1, data.features.width);
    pass::<true>(&mut normal, data, model, theta, rows);
    normal
}

/// Adds loss and slopes at `theta` of some of the rows: a fraction of the work, the curvature stays
/// what it is.
pub(crate) fn add_slopes(normal: &mut Normal, data: &Data<'_>, model: Model<'_>, theta: &Theta, rows: Range<usize>) {
    pass::<false>(normal, data, model, theta, rows);
}

fn pass<const CURVATURE: bool>(
    normal: &mut Normal,
    data: &Data<'_>,
    model: Model<'_>,
    theta: &Theta,
    rows: Range<usize>,
) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || add_rows::<CURVATURE>(normal, data, model, theta, rows),
    );
}

#[inline(always)]
fn add_rows<const CURVATURE: bool>(
    normal: &mut Normal,
    data: &Data<'_>,
    model: Model<'_>,
    theta: &Theta,
    rows: Range<usize>,
) {
    let Model { family, changepoints, multiplicative } = model;
    let width = data.features.width;
    let (b, d) = theta.free[2..].split_at(multiplicative);
    let mut trend = TrendWalk::new(theta, changepoints, data.cap.is_some());
    let mut block = Products::new(width);
    let mut start = rows.start;
    for (segment, &end) in data.segment_ends.iter().enumerate() {
        trend.enter(segment);
        let end = end.min(rows.end);
        for row in start..end {
            let weight = data.weight.map_or(1.0, |w| w[row]);
            if weight == 0.0 {
                continue;
            }
            let t = data.t[row];
            let (g, rate) = trend.at(t, data.cap.map(|cap| cap[row]));
            let features = data.features.row(row);
            let (x, z) = features.split_at(multiplicative);
            let factor = if b.is_empty() { 1.0 } else { 1.0 + dot(x, b) };
            let piece = family.piece(g * factor + dot(z, d), data.y[row], data.exposure.map_or(1.0, |e| e[row]));
            let (slope, curvature) = (weight * piece.slope, weight * piece.curvature);
            normal.loss += weight * piece.loss;
            // A row's derivatives: `along` and `along t` for its segment, the jacobian for the features.
            let along = rate * factor;
            let sums = &mut normal.segments[segment];
            sums[3] += slope * along;
            sums[4] += slope * along * t;
            add_features(&mut normal.gradient, features, multiplicative, g, slope);
            if CURVATURE {
                let squared = curvature * along * along;
                sums[0] += squared;
                sums[1] += squared * t;
                sums[2] += squared * t * t;
                if block.push(features, multiplicative, g, curvature, along, t) {
                    block.add_to(normal, segment);
                }
            }
        }
        if CURVATURE {
            block.add_to(normal, segment);
        }
        start = start.max(end);
    }
}

/// Adds `slope` times a row of the jacobian: `g x` for multiplicative features, `z` for the others.
#[inline(always)]
fn add_features(out: &mut [f64], features: &[f64], multiplicative: usize, g: f64, slope: f64) {
    let (out_x, out_z) = out.split_at_mut(multiplicative);
    let (x, z) = features.split_at(multiplicative);
    out_x.iter_mut().zip(x).for_each(|(out, x)| *out += slope * g * x);
    out_z.iter_mut().zip(z).for_each(|(out, z)| *out += slope * z);
}

/// Some rows of the jacobian, to be multiplied with each other.
struct Products {
    width: usize,
    rows: usize,
    /// Rows of the jacobian, one after the other.
    jacobian: Vec<f64>,
    curvature: [f64; BLOCK],
    along: [f64; BLOCK],
    t: [f64; BLOCK],
}

impl Products {
    fn new(width: usize) -> Self {
        let zeros = [0.0; BLOCK];
        Self { width, rows: 0, jacobian: vec![0.0; BLOCK * width], curvature: zeros, along: zeros, t: zeros }
    }

    /// Takes a row; true if it is full.
    #[inline(always)]
    fn push(&mut self, features: &[f64], multiplicative: usize, g: f64, curvature: f64, along: f64, t: f64) -> bool {
        let at = self.rows;
        let own = &mut self.jacobian[at * self.width..(at + 1) * self.width];
        own.copy_from_slice(features);
        own[..multiplicative].iter_mut().for_each(|x| *x *= g);
        (self.curvature[at], self.along[at], self.t[at]) = (curvature, along, t);
        self.rows += 1;
        self.rows == BLOCK
    }

    /// Adds the products of its rows and forgets them.
    #[inline(always)]
    fn add_to(&mut self, normal: &mut Normal, segment: usize) {
        let width = self.width;
        let cross = &mut normal.cross[segment * 2 * width..(segment + 1) * 2 * width];
        // Rows that are missing count for nothing.
        self.curvature[self.rows..].fill(0.0);
        let (cross0, cross1) = cross.split_at_mut(width);
        let rows: [&[f64]; BLOCK] = std::array::from_fn(|b| &self.jacobian[b * width..(b + 1) * width]);
        let along: [f64; BLOCK] = std::array::from_fn(|b| self.curvature[b] * self.along[b]);
        axpy(cross0, &along, &rows);
        axpy(cross1, &std::array::from_fn(|b| along[b] * self.t[b]), &rows);
        for i in 0..width {
            let factor = std::array::from_fn(|b| self.curvature[b] * rows[b][i]);
            axpy(&mut normal.hessian[i * width..=i * width + i], &factor, &rows);
        }
        self.rows = 0;
    }
}

/// `out += sum of factor[b] rows[b]`.
#[inline(always)]
pub(super) fn axpy(out: &mut [f64], factor: &[f64; BLOCK], rows: &[&[f64]; BLOCK]) {
    let n = out.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for j in 0..n {
        out[j] += (factor[0] * a[j] + factor[1] * b[j]) + (factor[2] * c[j] + factor[3] * d[j]);
    }
}

/// The trend along ascending times, segment by segment.
pub(crate) struct TrendWalk<'a> {
    theta: &'a Theta,
    changepoints: &'a [f64],
    logistic: bool,
    segment: usize,
    intercept: f64,
    slope: f64,
}

impl<'a> TrendWalk<'a> {
    pub(crate) fn new(theta: &'a Theta, changepoints: &'a [f64], logistic: bool) -> Self {
        let (m, k) = (theta.free[0], theta.free[1]);
        let intercept = if logistic { -k * m } else { m };
        Self { theta, changepoints, logistic, segment: 0, intercept, slope: k }
    }

    /// Goes forward to a segment.
    pub(crate) fn enter(&mut self, segment: usize) {
        while self.segment < segment {
            let bend = self.theta.bends[self.segment];
            self.intercept -= bend * self.changepoints[self.segment];
            self.slope += bend;
            self.segment += 1;
        }
    }

    /// Goes forward to the segment of a time.
    pub(crate) fn enter_at(&mut self, t: f64) {
        while self.changepoints.get(self.segment).is_some_and(|s| t >= *s) {
            self.enter(self.segment + 1);
        }
    }

    /// The trend and its derivative with respect to `intercept + slope t`.
    pub(crate) fn at(&self, t: f64, cap: Option<f64>) -> (f64, f64) {
        let line = self.intercept + self.slope * t;
        match cap {
            Some(cap) if self.logistic => {
                let share = 1.0 / (1.0 + (-line).exp());
                (cap * share, cap * share * (1.0 - share))
            }
            _ => (line, 1.0),
        }
    }
}
