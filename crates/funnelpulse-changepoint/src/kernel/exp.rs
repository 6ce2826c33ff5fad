//! Rows of kernel values.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::EXPONENTS;
use crate::vector::{exp_neg, exp_neg_lanes};

/// The kernel of two different rows at the squared distance `square`.
#[inline(always)]
pub(super) fn kernel(gamma: f64, square: f64) -> f64 {
    exp_neg((gamma * square).max(EXPONENTS.0).min(EXPONENTS.1))
}

/// The kernel at several squared distances.
#[inline(always)]
pub(super) fn kernel_lanes<const B: usize>(gamma: f64, mut squares: [f64; B]) -> [f64; B] {
    for x in &mut squares {
        let y = gamma * *x;
        // Not `clamp`: the two compile to one instruction each.
        let y = if y > EXPONENTS.0 { y } else { EXPONENTS.0 };
        *x = if y < EXPONENTS.1 { y } else { EXPONENTS.1 };
    }
    exp_neg_lanes(squares)
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
