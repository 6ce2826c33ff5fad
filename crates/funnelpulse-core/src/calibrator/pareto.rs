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

#[cfg(test)]
mod tests {
    use super::*;

    /// Points at `start` and these excesses above it, with these weights.
    fn points(start: f64, excesses: &[(f64, u64)]) -> Vec<Point> {
        excesses.iter().map(|&(excess, weight)| Point { value: start + excess, weight }).collect()
    }

    fn assert_tail(tail: Tail, scale: f64, shape: f64) {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b;
        assert!(close(tail.scale, scale) && close(tail.shape, shape), "{tail:?}, expected {scale} and {shape}");
    }

    #[test]
    fn weighted_moments_give_scale_and_shape() {
        // Excesses 1 and 9 at the upper shares .675 and .175: a0 = 5, a1 = (.675 + 1.575) / 2 = 1.125,
        // shape 2 - a0 / (a0 - 2 a1) = 2 - 20 / 11, scale a0 (1 - shape).
        assert_tail(Tail::fit(&points(10.0, &[(1.0, 1), (9.0, 1)]), 10.0, 1.0, 0), 45.0 / 11.0, 2.0 / 11.0);
        // A weight of three is three scores: a0 = 4, a1 = (3 * .5875 + 13 * .0875) / 4 = .725.
        for points in [points(10.0, &[(1.0, 3), (13.0, 1)]), points(10.0, &[(1.0, 1), (1.0, 1), (1.0, 1), (13.0, 1)])] {
            assert_tail(Tail::fit(&points, 10.0, 1.0, 0), 116.0 / 51.0, 22.0 / 51.0);
        }
    }

    #[test]
    fn the_shape_stays_within_its_range() {
        // A tail that ends, and one that a single value makes infinitely heavy: the mean, 1 and 1/4, holds.
        assert_tail(Tail::fit(&points(-3.0, &[(1.0, 2)]), -3.0, 1.0, 0), 0.95, MIN_SHAPE);
        assert_tail(Tail::fit(&points(-3.0, &[(0.0, 3), (1.0, 1)]), -3.0, 1.0, 0), 0.125, MAX_SHAPE);
    }

    #[test]
    fn without_excesses_the_scale_is_a_hundredth_of_what_there_is() {
        assert_tail(Tail::fit(&[], 7.0, 4.0, 0), 0.04, MIN_SHAPE);
        assert_tail(Tail::fit(&[], -3.0, 0.0, 0), 0.03, MIN_SHAPE);
        assert_tail(Tail::fit(&[], -3.0, f64::INFINITY, 0), 0.03, MIN_SHAPE);
        assert_tail(Tail::fit(&[], 0.0, 0.0, 0), 0.01, MIN_SHAPE);
    }

    #[test]
    fn censored_scores_count_but_their_height_does_not() {
        // The highest of 1,024 is censored: (1 + .1 * 5 / scale)^-10 = 1 / 1024, so that the scale is .5.
        for height in [6.0, 1e9] {
            assert_tail(Tail::fit(&points(40.0, &[(5.0, 1023), (height, 1)]), 40.0, 1.0, 1), 0.5, CENSORED_SHAPE);
        }
        // A quarter of the tail lies above the third of four.
        let tail = Tail::fit(&points(-2.0, &[(1.0, 1), (2.0, 1), (3.0, 1), (50.0, 1)]), -2.0, 1.0, 1);
        assert!((tail.ln_survival(3.0) - 0.25f64.ln()).abs() < 1e-12);
        // With all of them censored there is nothing to go by but their heights.
        let all = points(10.0, &[(1.0, 1), (9.0, 1)]);
        assert_eq!(Tail::fit(&all, 10.0, 1.0, 2), Tail::fit(&all, 10.0, 1.0, 0));
    }

    #[test]
    fn excesses_beyond_the_range_of_numbers_leave_a_valid_tail() {
        let far = [Point { value: f64::MAX / 2.0, weight: 1 }, Point { value: f64::MAX, weight: 1 }];
        for censored in [0, 1] {
            let tail = Tail::fit(&far, f64::MIN, f64::INFINITY, censored);
            assert!(tail.is_valid(), "{tail:?}");
            assert_tail(tail, f64::MAX * 0.01, MIN_SHAPE);
        }
    }

    #[test]
    fn the_survival_function_is_that_of_the_formula() {
        let tail = Tail { scale: 2.0, shape: 0.5 };
        assert_eq!(tail.ln_survival(0.0), 0.0);
        // (1 + 4 * .5 / 2)^-2 = 1 / 4.
        assert!((tail.ln_survival(4.0) - 0.25f64.ln()).abs() < 1e-15);
        assert_eq!(tail.ln_survival(f64::INFINITY), f64::NEG_INFINITY);
        // (.5 * 10^400)^-2, which only its logarithm can hold.
        let narrow = Tail { scale: 1e-100, shape: 0.5 };
        let expected = -2.0 * (0.5f64.ln() + 400.0 * std::f64::consts::LN_10);
        assert!((narrow.ln_survival(1e300) - expected).abs() < 1e-9);
    }

    #[test]
    fn only_scales_and_shapes_of_a_fit_are_valid() {
        let valid = |scale, shape| Tail { scale, shape }.is_valid();
        assert!(valid(1.0, MIN_SHAPE) && valid(1.0, MAX_SHAPE));
        assert!(!valid(1.0, 0.04) && !valid(1.0, 0.51) && !valid(1.0, f64::NAN));
        assert!(!valid(0.0, 0.1) && !valid(-1.0, 0.1) && !valid(f64::INFINITY, 0.1) && !valid(f64::NAN, 0.1));
    }
}
