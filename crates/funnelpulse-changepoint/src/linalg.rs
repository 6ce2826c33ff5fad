//! The little linear algebra that costs need.

/// Eigenvalues and eigenvectors (columns) of a symmetric `d x d` matrix by Jacobi's rotations:
/// slow for large `d`, accurate for the few columns there are.
pub(crate) fn symmetric_eigen(mut a: Vec<f64>, d: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; d * d];
    for i in 0..d {
        vectors[i * d + i] = 1.0;
    }
    for _ in 0..60 {
        let off: f64 = (0..d).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * d + j].powi(2)).sum();
        let diagonal: f64 = (0..d).map(|i| a[i * d + i].powi(2)).sum();
        if off <= 1e-30 * diagonal {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                if a[p * d + q] == 0.0 {
                    continue;
                }
                let theta = (a[q * d + q] - a[p * d + p]) / (2.0 * a[p * d + q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                let rotate = |m: &mut [f64], x: usize, y: usize| {
                    let (u, v) = (m[x], m[y]);
                    m[x] = c * u - s * v;
                    m[y] = s * u + c * v;
                };
                for k in 0..d {
                    rotate(&mut a, k * d + p, k * d + q);
                    rotate(&mut vectors, k * d + p, k * d + q);
                }
                for k in 0..d {
                    rotate(&mut a, p * d + k, q * d + k);
                }
            }
        }
    }
    ((0..d).map(|i| a[i * d + i]).collect(), vectors)
}

/// Solves `a x = b` for a symmetric positive semidefinite `a` (lower triangle used) in place by
/// Cholesky's decomposition; directions without information get the coefficient zero. Returns
/// `b' x`, the sum of squares that a regression with these normal equations explains.
pub(crate) fn explained(a: &mut [f64], b: &mut [f64], d: usize) -> f64 {
    let mut explained = 0.0;
    for i in 0..d {
        let scale = a[i * d + i];
        for j in 0..i {
            let dot: f64 = (0..j).map(|k| a[i * d + k] * a[j * d + k]).sum();
            let pivot = a[j * d + j];
            a[i * d + j] = if pivot > 0.0 { (a[i * d + j] - dot) / pivot } else { 0.0 };
        }
        let pivot = scale - (0..i).map(|k| a[i * d + k].powi(2)).sum::<f64>();
        let informative = pivot > 1e-10 * scale;
        a[i * d + i] = if informative { pivot.sqrt() } else { 0.0 };
        let dot: f64 = (0..i).map(|k| a[i * d + k] * b[k]).sum();
        b[i] = if informative { (b[i] - dot) / a[i * d + i] } else { 0.0 };
        explained += b[i] * b[i];
    }
    explained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 2.0];
        let (values, v) = symmetric_eigen(a.to_vec(), 3);
        for i in 0..3 {
            for j in 0..3 {
                let back: f64 = (0..3).map(|k| values[k] * v[i * 3 + k] * v[j * 3 + k]).sum();
                assert!((back - a[i * 3 + j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn explains_what_a_regression_does() {
        // y = 2 x exactly; the third column repeats the second.
        let (x, y) = ([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]);
        let sum = |f: fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(*x, *y)).sum::<f64>();
        let (s1, sx, sxx, sy, sxy) = (3.0, sum(|x, _| x), sum(|x, _| x * x), sum(|_, y| y), sum(|x, y| x * y));
        let mut a = [s1, 0.0, 0.0, sx, sxx, 0.0, sx, sxx, sxx];
        assert!((explained(&mut a, &mut [sy, sxy, sxy], 3) - sum(|_, y| y * y)).abs() < 1e-9);
    }
}
