//! Standard normal deviates of sums (Wilson and Hilferty 1931).

use super::calibrate::normal_quantile;
use crate::grid::{REVENUE, VALUE};

/// Sums are taken as gamma distributed with at least this shape: below, the cube root is no longer
/// nearly normal.
const LEAST_SHAPE: f64 = 0.25;
/// Fewer expected counts are taken for so many: one count where a hundredth is expected is no more
/// than a rare count.
const LEAST_EXPECTED: f64 = 0.3;
/// Revenue beyond this many standard deviations counts by its logarithm: single orders can be large.
const REVENUE_LIMIT: f64 = 3.0;

/// Deviates above this are never those of no count.
const ORDINARY: f64 = -1.5;

/// The deviate of an observed sum of which `expected` is expected, with variance
/// `dispersion * expected + relative * expected^2`.
pub(crate) fn deviate(observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    let expected = expected.max(LEAST_EXPECTED);
    let shape = (expected / (dispersion + relative * expected)).max(LEAST_SHAPE);
    let deviate = 3.0 * shape.sqrt() * (cube_root(observed / expected) - 1.0 + 1.0 / (9.0 * shape));
    if deviate < ORDINARY { deviate.max(deviate_of_none(expected, dispersion, relative)) } else { deviate }
}

/// The deviate of no count at all, below which none can be: half of its probability in a Poisson distribution of
/// clumps whose rate varies.
fn deviate_of_none(expected: f64, dispersion: f64, relative: f64) -> f64 {
    let extra = dispersion - 1.0;
    let clumps = if extra > 1e-3 { expected * extra.ln_1p() / extra } else { expected };
    let ln_none = if relative > 1e-6 { -(relative * clumps).ln_1p() / relative } else { -clumps };
    normal_quantile(0.5 * ln_none.exp())
}

/// The cube root of what is not negative. By logarithms: `cbrt` of some targets takes ten times as
/// long, and this is called for every window.
fn cube_root(value: f64) -> f64 {
    if value > 0.0 { (value.ln() / 3.0).exp() } else { 0.0 }
}

/// The deviate of a step; NaN for the value of no order. Of revenue large deviates say less.
pub(crate) fn step_deviate(step: usize, observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    if step == VALUE {
        let variance = dispersion * expected + relative * expected * expected;
        return if expected > 0.0 { (observed - expected) / variance.sqrt() } else { f64::NAN };
    }
    if step != REVENUE {
        return deviate(observed, expected, dispersion, relative);
    }
    if expected <= 0.0 {
        return 0.0;
    }
    let deviate = deviate(observed, expected, dispersion, relative);
    if deviate > REVENUE_LIMIT { REVENUE_LIMIT + (deviate - REVENUE_LIMIT).ln_1p() } else { deviate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_of_poisson_sums_are_normal() {
        // P(X >= 130 | 100) is .0023 and P(X <= 70) is .0009: between them with half a count.
        assert!((deviate(129.5, 100.0, 1.0, 0.0) - 2.83).abs() < 0.1);
        assert!((deviate(70.5, 100.0, 1.0, 0.0) + 3.1).abs() < 0.25);
        assert!(deviate(0.0, 0.001, 1.0, 0.0).abs() < 1.2);
        assert!(deviate(1.0, 0.001, 1.0, 0.0) < 2.5);
    }

    #[test]
    fn deviates_rise_with_what_is_observed() {
        for expected in [0.01, 0.5, 3.0, 40.0, 1e6] {
            let of = |x: f64| deviate(x * expected, expected, 1.4, 0.05);
            assert!((1..200).all(|i| of(f64::from(i) * 0.1) > of(f64::from(i - 1) * 0.1)), "{expected}");
        }
    }
}
