//! Generalised Pareto tail above a threshold.

use serde::{Deserialize, Serialize};

use super::sketch::Point;

/// A shape below this would bound the tail or let it run out of floating-point resolution; scores
/// of future outliers have no bound that we know of.
const MIN_SHAPE: f64 = 0.05;
/// The shape that is taken for granted where the highest scores can't be trusted to show it:
/// between an exponential tail and one without a tenth moment.
const CENSORED_SHAPE: f64 = 0.1;
/// Above this the mean of the tail is fitted by a handful of values.
const MAX_SHAPE: f64 = 0.5;

/// `P(S - u > y | S > u) = (1 + shape * y / scale)^(-1 / shape)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tail {
    scale: f64,
    shape: f64,
}

impl Tail {
    /// Fits the excesses of `points` (ascending, all above `start`) by probability-weighted
    /// moments. Without any, the scale is a hundredth of what there is to go by.
    ///
    /// The highest `censored` scores are only known to lie above the others: then the scale is
    /// the one that puts the right share of the tail below them.
    pub(super) fn fit(points: &[Point], start: f64, spread: f64, censored: u64) -> Self {
        let count: u64 = points.iter().map(|p| p.weight).sum();
        if (1..count).contains(&censored) {
            let mut above = 0;
            let limit = points.iter().rev().find(|p| {
                above += p.weight;
                above > censored
            });
            let excess = limit.map_or(0.0, |p| p.value - start);
            if excess > 0.0 && excess.is_finite() {
                let growth = (count as f64 / censored as f64).powf(CENSORED_SHAPE) - 1.0;
                let scale = (CENSORED_SHAPE * excess / growth).max(f64::MIN_POSITIVE);
                return Self { scale, shape: CENSORED_SHAPE };
            }
        }
        let k = count as f64;
        let (mut mean, mut weighted) = (0.0, 0.0);
        let mut below = 0;
        for point in points {
            let excess = point.value - start;
            // Plotting position of the middle of the point's ranks (Hosking & Wallis, section 3).
            let rank = below as f64 + f64::midpoint(point.weight as f64, 1.0);
            let upper_share = 1.0 - (rank - 0.35) / k;
            mean += excess * point.weight as f64 / k;
            weighted += upper_share * excess * point.weight as f64 / k;
            below += point.weight;
        }
        if mean <= 0.0 || !mean.is_finite() {
            let scale = [spread, start.abs()].into_iter().find(|s| *s > 0.0 && s.is_finite()).unwrap_or(1.0) * 0.01;
            return Self { scale: scale.max(f64::MIN_POSITIVE), shape: MIN_SHAPE };
        }
        let shape = (2.0 - mean / (mean - 2.0 * weighted)).clamp(MIN_SHAPE, MAX_SHAPE);
        let shape = if shape.is_nan() { MIN_SHAPE } else { shape };
        // With the shape given, the mean of the excesses fixes the scale.
        Self { scale: (mean * (1.0 - shape)).max(f64::MIN_POSITIVE), shape }
    }

    pub(super) fn is_valid(self) -> bool {
        self.scale > 0.0 && self.scale.is_finite() && (MIN_SHAPE..=MAX_SHAPE).contains(&self.shape)
    }

    /// `ln P(S - u > excess | S > u)` for an excess of zero or more.
    pub(super) fn ln_survival(self, excess: f64) -> f64 {
        let z = excess / self.scale;
        let ln_base = if z.is_infinite() && excess.is_finite() {
            // excess / scale overflows although its logarithm does not.
            self.shape.ln() + excess.ln() - self.scale.ln()
        } else {
            (self.shape * z).ln_1p()
        };
        -ln_base / self.shape
    }
}
