//! Normal equations from the rows themselves: any likelihood, logistic growth.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use std::ops::Range;

use super::{
    Data,
    cholesky::dot,
    normal::{Normal, Theta},
    products::Products,
};
use crate::likelihood::{BATCH, Family, Lanes, Pieces};

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
    pulp::Arch::new().dispatch(Pass::<CURVATURE> { normal, data, model, theta, rows });
}

/// One pass over some rows. A type of its own: a closure as large is not inlined into code for the vector
/// registers there are, even where it asks for that.
struct Pass<'a, const CURVATURE: bool> {
    normal: &'a mut Normal,
    data: &'a Data<'a>,
    model: Model<'a>,
    theta: &'a Theta,
    rows: Range<usize>,
}

impl<const CURVATURE: bool> pulp::NullaryFnOnce for Pass<'_, CURVATURE> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        add_rows::<CURVATURE>(self.normal, self.data, self.model, self.theta, self.rows);
    }
}

#[inline(always)]
fn add_rows<const CURVATURE: bool>(
    normal: &mut Normal,
    data: &Data<'_>,
    model: Model<'_>,
    theta: &Theta,
    rows: Range<usize>,
) {
    let mut trend = TrendWalk::new(theta, model.changepoints, data.cap.is_some());
    let mut batch = Batch::new();
    let mut products = Products::new(data.features.width);
    let mut start = rows.start;
    for (segment, &end) in data.segment_ends.iter().enumerate() {
        trend.enter(segment);
        let end = end.min(rows.end);
        while start < end {
            start = batch.fill(start..end, data, model, theta, &trend);
            let Batch { len, eta, y, exposure, pieces, .. } = &mut batch;
            model.family.pieces(*len, eta, y, exposure, pieces);
            batch.add_slopes(normal, data, model.multiplicative, segment);
            if CURVATURE {
                batch.add_curvature(normal, data, model.multiplicative, segment, &mut products);
            }
        }
        if CURVATURE {
            products.end_segment(normal, segment);
        }
    }
    if CURVATURE {
        products.end(normal);
    }
}

/// Some rows of a segment, those without weight left out.
struct Batch {
    len: usize,
    row: [usize; BATCH],
    weight: Lanes,
    t: Lanes,
    /// The trend, and the derivatives by its coefficients: `along`, and `along t`.
    trend: Lanes,
    along: Lanes,
    eta: Lanes,
    y: Lanes,
    exposure: Lanes,
    pieces: Pieces,
}

impl Batch {
    fn new() -> Self {
        let zeros = [0.0; BATCH];
        Self {
            len: 0,
            row: [0; BATCH],
            weight: zeros,
            t: zeros,
            trend: zeros,
            along: zeros,
            eta: zeros,
            y: zeros,
            exposure: zeros,
            pieces: Pieces::ZERO,
        }
    }

    /// Takes rows until it is full or there are no more; returns the row after the last.
    #[inline(always)]
    fn fill(
        &mut self,
        rows: Range<usize>,
        data: &Data<'_>,
        model: Model<'_>,
        theta: &Theta,
        trend: &TrendWalk<'_>,
    ) -> usize {
        let (b, d) = theta.free[2..].split_at(model.multiplicative);
        self.len = 0;
        for row in rows.clone() {
            if self.len == BATCH {
                return row;
            }
            let weight = data.weight.map_or(1.0, |w| w[row]);
            if weight == 0.0 {
                continue;
            }
            let i = self.len;
            self.len += 1;
            let t = data.t[row];
            let (g, rate) = trend.at(t, data.cap.map(|cap| cap[row]));
            let (x, z) = data.features.row(row).split_at(model.multiplicative);
            let factor = if b.is_empty() { 1.0 } else { 1.0 + dot(x, b) };
            (self.row[i], self.weight[i], self.t[i]) = (row, weight, t);
            (self.trend[i], self.along[i]) = (g, rate * factor);
            self.eta[i] = g * factor + dot(z, d);
            (self.y[i], self.exposure[i]) = (data.y[row], data.exposure.map_or(1.0, |e| e[row]));
        }
        rows.end
    }

    /// Adds loss and slopes. A row's derivatives: `along` and `along t` for its segment, the jacobian
    /// for the features.
    #[inline(always)]
    fn add_slopes(&self, normal: &mut Normal, data: &Data<'_>, multiplicative: usize, segment: usize) {
        let sums = &mut normal.segments[segment];
        for i in 0..self.len {
            let slope = self.weight[i] * self.pieces.slope[i];
            normal.loss += self.weight[i] * self.pieces.loss[i];
            sums[3] += slope * self.along[i];
            sums[4] += slope * self.along[i] * self.t[i];
            add_features(&mut normal.gradient, data.features.row(self.row[i]), multiplicative, self.trend[i], slope);
        }
    }

    #[inline(always)]
    fn add_curvature(
        &self,
        normal: &mut Normal,
        data: &Data<'_>,
        multiplicative: usize,
        segment: usize,
        products: &mut Products,
    ) {
        let sums = &mut normal.segments[segment];
        for i in 0..self.len {
            let (along, t) = (self.along[i], self.t[i]);
            let curvature = self.weight[i] * self.pieces.curvature[i];
            let squared = curvature * along * along;
            sums[0] += squared;
            sums[1] += squared * t;
            sums[2] += squared * t * t;
            let features = data.features.row(self.row[i]);
            products.push(features, multiplicative, self.trend[i], curvature, along, t);
        }
    }
}

/// Adds `slope` times a row of the jacobian: `g x` for multiplicative features, `z` for the others.
#[inline(always)]
fn add_features(out: &mut [f64], features: &[f64], multiplicative: usize, g: f64, slope: f64) {
    let n = features.len();
    let out = &mut out[..n];
    for i in 0..multiplicative.min(n) {
        out[i] += slope * g * features[i];
    }
    for i in multiplicative..n {
        out[i] += slope * features[i];
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
