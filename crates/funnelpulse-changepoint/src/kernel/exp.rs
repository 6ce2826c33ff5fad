//! The exponential function on whole rows, written so that compilers turn it into vector code.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::EXPONENTS;

/// `exp(-x)` for `x` in `0..=700`, to a relative error of 1e-14, without a branch.
#[inline(always)]
pub(super) fn exp_neg(x: f64) -> f64 {
    // Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, which then also stands in
    // the lowest bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // Taylor's polynomial for |r| <= ln(2) / 2, highest power but one first.
    const COEFFICIENTS: [f64; 11] = [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let shifted = ROUND - x * std::f64::consts::LOG2_E;
    let n = shifted - ROUND;
    let r = (-x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 39_916_800.0;
    for c in COEFFICIENTS {
        p = p * r + c;
    }
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// The kernel of two different rows at the squared distance `square`.
#[inline(always)]
pub(super) fn kernel(gamma: f64, square: f64) -> f64 {
    exp_neg((gamma * square).max(EXPONENTS.0).min(EXPONENTS.1))
}

/// Kernel of the row `at` with each of the rows `from..from + out.len()`, none of which it is.
/// `values` holds `d` columns, row after row.
pub(crate) fn kernel_row(values: &[f64], d: usize, gamma: f64, at: usize, from: usize, out: &mut [f64]) {
    let own = &values[at * d..][..d];
    let rows = &values[from * d..][..out.len() * d];
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            if d == 1 {
                for (out, v) in out.iter_mut().zip(rows) {
                    let difference = v - own[0];
                    *out = kernel(gamma, difference * difference);
                }
            } else {
                for (out, row) in out.iter_mut().zip(rows.chunks_exact(d)) {
                    let square: f64 = row.iter().zip(own).map(|(a, b)| (a - b) * (a - b)).sum();
                    *out = kernel(gamma, square);
                }
            }
        },
    );
}

/// The plain Gaussian kernel of the row `at` with every row, itself too.
pub(super) fn gaussian_row(values: &[f64], d: usize, gamma: f64, at: usize, out: &mut [f64]) {
    let own = &values[at * d..][..d];
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (out, row) in out.iter_mut().zip(values.chunks_exact(d)) {
                let square: f64 = row.iter().zip(own).map(|(a, b)| (a - b) * (a - b)).sum();
                *out = exp_neg((gamma * square).min(700.0));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for i in 0..100_000 {
            let x = f64::from(i) * 1e-3;
            let (ours, theirs) = (exp_neg(x), (-x).exp());
            assert!((ours / theirs - 1.0).abs() < 1e-14, "{x}: {ours} {theirs}");
        }
    }
}
