//! Normal equations from the rows themselves: any likelihood, logistic growth.

use super::{
    Data,
    normal::{Normal, Theta},
};
use crate::likelihood::Family;

/// Normal equations at `theta`, one pass over the rows.
pub(crate) fn normal(
    data: &Data<'_>,
    family: &Family,
    changepoints: &[f64],
    multiplicative: usize,
    theta: &Theta,
) -> Normal {
    let width = data.features.width;
    let (b, d) = theta.free[2..].split_at(multiplicative);
    let mut normal = Normal::zeros(changepoints.len() + 1, width);
    let mut jacobian = vec![0.0; width];
    let mut trend = TrendWalk::new(theta, changepoints, data.cap.is_some());
    let mut start = 0;
    for (segment, &end) in data.segment_ends.iter().enumerate() {
        trend.enter(segment);
        let cross = &mut normal.cross[segment * 2 * width..(segment + 1) * 2 * width];
        let (cross0, cross1) = cross.split_at_mut(width);
        let sums = &mut normal.segments[segment];
        for row in start..end {
            let t = data.t[row];
            let (g, rate) = trend.at(t, data.cap.map(|cap| cap[row]));
            let (x, z) = data.features.row(row).split_at(multiplicative);
            let factor = 1.0 + x.iter().zip(b).map(|(x, b)| x * b).sum::<f64>();
            let eta = g * factor + z.iter().zip(d).map(|(z, d)| z * d).sum::<f64>();
            let weight = data.weight.map_or(1.0, |w| w[row]);
            if weight == 0.0 {
                continue;
            }
            let piece = family.piece(eta, data.y[row], data.exposure.map_or(1.0, |e| e[row]));
            let (slope, curvature) = (weight * piece.slope, weight * piece.curvature);
            normal.loss += weight * piece.loss;
            // A row's derivatives: `along` and `along t` for its segment, `jacobian` for the features.
            let along = rate * factor;
            let squared = curvature * along * along;
            for (sum, value) in
                sums.iter_mut().zip([squared, squared * t, squared * t * t, slope * along, slope * along * t])
            {
                *sum += value;
            }
            for (out, x) in jacobian.iter_mut().zip(x) {
                *out = g * x;
            }
            jacobian[multiplicative..].copy_from_slice(z);
            for i in 0..width {
                let weighted = curvature * jacobian[i];
                cross0[i] += weighted * along;
                cross1[i] += weighted * along * t;
                normal.gradient[i] += slope * jacobian[i];
                for (out, other) in normal.hessian[i * width..=i * width + i].iter_mut().zip(&jacobian) {
                    *out += weighted * other;
                }
            }
        }
        start = end;
    }
    normal
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
