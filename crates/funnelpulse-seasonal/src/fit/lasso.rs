//! The quadratic programme of a step: least squares with an absolute-value penalty.

use super::cholesky::{backward, dot, factorize, forward};

/// Minimises `x' Q x / 2 - r' x + lambda |x|_1` from `x` on, which keeps exact zeros.
///
/// An active-set search in the manner of the feature-sign algorithm (Lee, Battle, Raina & Ng,
/// NIPS 2006): with the signs held, the minimum is a linear system; a coordinate that would
/// change its sign on the way stops at zero and leaves; of the coordinates at zero the one whose
/// gradient exceeds `lambda` the most enters. The objective falls with every step.
pub(super) fn minimize(q: &[f64], r: &[f64], lambda: f64, x: &mut [f64]) {
    let n = x.len();
    let mut active: Vec<usize> = (0..n).filter(|&j| x[j] != 0.0).collect();
    let mut sign: Vec<f64> = x.iter().map(|v| v.signum()).collect();
    let mut banned = vec![false; n];
    let (mut matrix, mut target) = (Vec::new(), Vec::new());
    // Every pass adds or removes a coordinate; the bound only guards against cycling by rounding.
    for _ in 0..20 * n + 20 {
        let mut settled = true;
        if !active.is_empty() {
            let m = active.len();
            matrix.clear();
            matrix.extend(active.iter().flat_map(|&i| active.iter().map(move |&j| q[i * n + j])));
            target.clear();
            target.extend(active.iter().map(|&i| r[i] - lambda * sign[i]));
            if factorize(&mut matrix, m).is_err() {
                // The last column to enter depends linearly on the others: it stays out.
                let last = active.pop().expect("the active set is not empty");
                banned[last] = true;
                x[last] = 0.0;
                continue;
            }
            forward(&matrix, m, &mut target);
            backward(&matrix, m, &mut target);
            let mut step = 1.0;
            let mut leaves = None;
            for (place, (&j, &goal)) in active.iter().zip(&target).enumerate() {
                if goal * sign[j] <= 0.0 {
                    let reach = x[j] / (x[j] - goal);
                    let reach = if reach.is_finite() { reach.max(0.0) } else { 0.0 };
                    if leaves.is_none() || reach < step {
                        (step, leaves) = (reach, Some(place));
                    }
                }
            }
            for (&j, &goal) in active.iter().zip(&target) {
                x[j] += step * (goal - x[j]);
            }
            if let Some(place) = leaves {
                x[active[place]] = 0.0;
                active.remove(place);
                settled = false;
            }
        }
        if !settled {
            continue;
        }
        let gradient = |j: usize| r[j] - dot(&q[j * n..(j + 1) * n], x);
        let outside = (0..n).filter(|&j| x[j] == 0.0 && !banned[j]).map(|j| (j, gradient(j)));
        let Some((enters, slope)) = outside.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())) else { return };
        if slope.abs() <= lambda * (1.0 + 1e-9) || slope.is_nan() {
            return;
        }
        active.retain(|&j| x[j] != 0.0);
        active.push(enters);
        sign[enters] = slope.signum();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn meets_the_optimality_conditions(
            roots in prop::collection::vec(-1.0..1.0f64, 36),
            r in prop::collection::vec(-3.0..3.0f64, 6),
            lambda in 0.01..2.0f64,
        ) {
            let n = 6;
            let mut q = vec![0.0; 36];
            for i in 0..n {
                for j in 0..n {
                    q[i * n + j] = dot(&roots[i * n..(i + 1) * n], &roots[j * n..(j + 1) * n]);
                }
                q[i * n + i] += 0.05;
            }
            let mut x = vec![0.0; n];
            minimize(&q, &r, lambda, &mut x);
            for j in 0..n {
                let slope = r[j] - dot(&q[j * n..(j + 1) * n], &x);
                if x[j] == 0.0 {
                    prop_assert!(slope.abs() <= lambda * (1.0 + 1e-6));
                } else {
                    prop_assert!((slope - lambda * x[j].signum()).abs() < 1e-6);
                }
            }
            let solution = x.clone();
            minimize(&q, &r, lambda, &mut x);
            prop_assert!(x.iter().zip(&solution).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
}
