//! Standard normal deviates of sums (Wilson and Hilferty 1931).
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::{WindowSums, calibrate::normal_quantile};
use crate::grid::{REVENUE, VALUE};

/// Sums are taken as gamma distributed with at least this shape: below, the cube root is no longer
/// nearly normal.
const LEAST_SHAPE: f64 = 0.25;
/// Fewer expected counts are taken for so many: one count where a hundredth is expected is no more
/// than a rare count.
const LEAST_EXPECTED: f64 = 0.3;
/// Revenue beyond this many standard deviations counts by its logarithm: single orders can be large.
const REVENUE_LIMIT: f64 = 3.0;

/// Deviates above this are those of ordinary counts,
const ORDINARY: f64 = -1.5;
/// and of so many clumps even few are many.
const MANY: f64 = 30.0;
/// Part of the cube root's rise that is left where the other deviate is as high as those of ordinary counts.
const LEAST_RISE: f64 = 0.001;

/// The deviate of an observed sum of which `expected` is expected, with variance
/// `dispersion * expected + relative * expected^2`.
pub(crate) fn deviate(observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    let deviate = of_gamma(observed, expected, dispersion, relative);
    if deviate >= ORDINARY { deviate } else { at_least_of_few(deviate, observed, expected, dispersion, relative) }
}

/// The deviate of a sum that is gamma distributed.
#[inline(always)]
fn of_gamma(observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    let expected = expected.max(LEAST_EXPECTED);
    let shape = (expected / (dispersion + relative * expected)).max(LEAST_SHAPE);
    3.0 * shape.sqrt() * (cube_root(observed / expected) - 1.0 + 1.0 / (9.0 * shape))
}

/// A low deviate, or that of few clumps where it is higher.
#[cold]
fn at_least_of_few(deviate: f64, observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    let expected = expected.max(LEAST_EXPECTED);
    let clumps = clumps(expected, dispersion);
    if clumps >= MANY {
        return deviate;
    }
    // Never above the deviates that are left as they are, so that more counts never have a smaller deviate.
    let most = ORDINARY - LEAST_RISE * (ORDINARY - deviate);
    deviate.max(of_few(observed / expected, clumps, relative)).min(most)
}

/// The number of clumps in which so many counts come (a Poisson number of clumps of logarithmic sizes).
fn clumps(expected: f64, dispersion: f64) -> f64 {
    let extra = dispersion - 1.0;
    if extra > 1e-3 { expected * extra.ln_1p() / extra } else { expected }
}

/// The deviate of few clumps, as a share of those that are expected: the cube root takes them for rarer than they
/// are. That of none is known: half of its probability in a Poisson distribution whose rate varies. From there it
/// rises as that of Poisson counts does, which are gamma distributed in reverse: P(X <= x | m) = P(gamma(x + 1) > m).
fn of_few(share: f64, clumps: f64, relative: f64) -> f64 {
    let ln_none = if relative > 1e-6 { -(relative * clumps).ln_1p() / relative } else { -clumps };
    let poisson = |count: f64| {
        let shape = count + 1.0;
        -3.0 * shape.sqrt() * (cube_root(clumps / shape) - 1.0 + 1.0 / (9.0 * shape))
    };
    normal_quantile(0.5 * ln_none.exp()) + poisson(share * clumps) - poisson(0.0)
}

/// The cube root of what is not negative, to 1e-14: a third of the exponent, within 4 %, and two steps of Halley's
/// method, each of which cubes the error. This is called for every window, and `cbrt` takes several times as long.
#[inline(always)]
fn cube_root(value: f64) -> f64 {
    /// Two thirds of the exponent's offset, and what makes the largest error least.
    const OFFSET: u64 = 0x2A9F_7893_782D_A1CE;
    /// A third of the upper half of a number's bits, as a product: vector instructions have no quotients of integers.
    const THIRD: u64 = 0x5555_5556;
    let step = |root: f64| {
        let cube = root * root * root;
        root * (cube + 2.0 * value) / (2.0 * cube + value)
    };
    let third = ((value.to_bits() >> 32) * THIRD) & 0xFFFF_FFFF_0000_0000;
    let root = step(step(f64::from_bits(third + OFFSET)));
    if value > 0.0 { root } else { 0.0 }
}

/// The deviate of a step; NaN for the value of no order. Of revenue large deviates say less.
pub(crate) fn step_deviate(step: usize, observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    if step == VALUE {
        return of_value(observed, expected, dispersion, relative);
    }
    limited(step, deviate(observed, expected, dispersion, relative), expected)
}

/// The same of many sums, whose expected values have a further relative variance each, or none of them. NaN stays NaN.
pub(crate) fn step_deviates(step: usize, sums: &WindowSums, dispersion: f64, relative: f64, into: &mut [f64]) {
    let WindowSums { observed, expected, uncertainty } = sums;
    if step == VALUE {
        each(sums, relative, into, |x, m, relative| of_value(x, m, dispersion, relative));
        return;
    }
    each(sums, relative, into, |x, m, relative| of_gamma(x, m, dispersion, relative));
    // What is rarer than that, one by one.
    for (at, deviate) in into.iter_mut().enumerate() {
        if *deviate < ORDINARY {
            let relative = relative + uncertainty.get(at).unwrap_or(&0.0);
            *deviate = at_least_of_few(*deviate, observed[at], expected[at], dispersion, relative);
        }
        if step == REVENUE && !deviate.is_nan() {
            *deviate = limited(step, *deviate, expected[at]);
        }
    }
}

/// Fills in the deviate of every sum, on the vector instructions that there are.
#[inline(always)]
fn each(sums: &WindowSums, relative: f64, into: &mut [f64], deviate: impl Fn(f64, f64, f64) -> f64) {
    let WindowSums { observed, expected, uncertainty } = sums;
    let is_observed = |x: &f64, deviate: f64| if x.is_nan() { f64::NAN } else { deviate };
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let each = into.iter_mut().zip(observed).zip(expected);
            if uncertainty.is_empty() {
                each.for_each(|((z, x), m)| *z = is_observed(x, deviate(*x, *m, relative)));
            } else {
                let each = each.zip(uncertainty);
                each.for_each(|(((z, x), m), more)| *z = is_observed(x, deviate(*x, *m, relative + more)));
            }
        },
    );
}

/// The deviate of order values.
#[inline(always)]
fn of_value(observed: f64, expected: f64, dispersion: f64, relative: f64) -> f64 {
    let variance = dispersion * expected + relative * expected * expected;
    if expected > 0.0 { (observed - expected) / variance.sqrt() } else { f64::NAN }
}

/// A deviate of a step, of which large ones of revenue say less.
fn limited(step: usize, deviate: f64, expected: f64) -> f64 {
    match step {
        REVENUE if expected <= 0.0 => 0.0,
        REVENUE if deviate > REVENUE_LIMIT => REVENUE_LIMIT + (deviate - REVENUE_LIMIT).ln_1p(),
        _ => deviate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::LANES;

    #[test]
    fn cube_roots_are_exact_enough() {
        for exponent in -400..400 {
            let value = 1.37_f64.powi(exponent);
            assert!((cube_root(value) / value.cbrt() - 1.0).abs() < 3e-14, "{value}");
        }
        assert_eq!(cube_root(0.0), 0.0);
    }

    #[test]
    fn deviates_of_many_are_those_of_each() {
        let number = |at: usize, scale: f64| ((at * 7919 % 1009) as f64 / 1009.0).powi(4) * scale;
        let observed: Vec<f64> = (0..5000).map(|at| if at % 31 == 0 { f64::NAN } else { number(at, 900.0) }).collect();
        let expected: Vec<f64> = (0..5000).map(|at| if at % 17 == 0 { 0.0 } else { number(at + 3, 700.0) }).collect();
        for uncertainty in [vec![], (0..5000).map(|at| number(at + 5, 0.3)).collect::<Vec<f64>>()] {
            let sums = WindowSums { observed: observed.clone(), expected: expected.clone(), uncertainty };
            for step in 0..LANES {
                let mut all = vec![0.0; observed.len()];
                step_deviates(step, &sums, 1.7, 0.02, &mut all);
                for (at, deviate) in all.iter().enumerate() {
                    let relative = 0.02 + sums.uncertainty.get(at).unwrap_or(&0.0);
                    let one = step_deviate(step, observed[at], expected[at], 1.7, relative);
                    let is_same =
                        if observed[at].is_nan() { deviate.is_nan() } else { deviate.to_bits() == one.to_bits() };
                    assert!(is_same || deviate.is_nan() && one.is_nan(), "step {step}, {at}: {deviate}, {one}");
                }
            }
        }
    }

    #[test]
    fn deviates_of_poisson_sums_are_normal() {
        // P(X >= 130 | 100) is .0023 and P(X <= 70) is .0009: between them with half a count.
        assert!((deviate(129.5, 100.0, 1.0, 0.0) - 2.83).abs() < 0.1);
        assert!((deviate(70.5, 100.0, 1.0, 0.0) + 3.1).abs() < 0.25);
        assert!(deviate(0.0, 0.001, 1.0, 0.0).abs() < 1.2);
        assert!(deviate(1.0, 0.001, 1.0, 0.0) < 2.5);
    }

    #[test]
    fn no_count_is_as_rare_as_it_is() {
        // Poisson: half of exp(-5), which is 2.7 standard deviations; clumps of four: half of exp(-8 ln 4 / 3).
        assert!((deviate(0.0, 5.0, 1.0, 0.0) - normal_quantile(0.5 * (-5.0_f64).exp())).abs() < 1e-9);
        let clumps = (-8.0 * 4.0_f64.ln() / 3.0).exp();
        assert!((deviate(0.0, 8.0, 4.0, 0.0) - normal_quantile(0.5 * clumps)).abs() < 1e-9);
        // Many are as surely missing as before, and a rate that varies makes none more likely.
        assert!(deviate(0.0, 400.0, 1.0, 0.0) < -20.0);
        assert!(deviate(0.0, 8.0, 1.0, 0.5) > deviate(0.0, 8.0, 1.0, 0.0));
        // P(X < 1 | 12) and half of P(1): .000043.
        assert!((deviate(1.0, 12.0, 1.0, 0.0) + 3.93).abs() < 0.2, "{}", deviate(1.0, 12.0, 1.0, 0.0));
    }

    #[test]
    fn deviates_rise_with_what_is_observed() {
        for expected in [0.01, 0.5, 3.0, 40.0, 1e6] {
            let of = |x: f64| deviate(x * expected, expected, 1.4, 0.05);
            assert!((1..200).all(|i| of(f64::from(i) * 0.1) > of(f64::from(i - 1) * 0.1)), "{expected}");
        }
    }
}
