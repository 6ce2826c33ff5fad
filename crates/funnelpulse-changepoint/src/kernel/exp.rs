//! Rows of kernel values.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::EXPONENTS;
use crate::vector::exp_neg;

/// The kernel of two different rows at the squared distance `square`.
#[inline(always)]
pub(super) fn kernel(gamma: f64, square: f64) -> f64 {
    let x = gamma * square;
    // Not `clamp`: these compile to one instruction each.
    let x = if x > EXPONENTS.0 { x } else { EXPONENTS.0 };
    exp_neg(if x < EXPONENTS.1 { x } else { EXPONENTS.1 })
}

/// Replaces squared distances by the kernel.
pub(super) fn kernel_all(gamma: f64, squares: &mut [f64]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for square in squares.iter_mut() {
                *square = kernel(gamma, *square);
            }
        },
    );
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
                *out = {
                    let x = gamma * square;
                    exp_neg(if x < 700.0 { x } else { 700.0 })
                };
            }
        },
    );
}
