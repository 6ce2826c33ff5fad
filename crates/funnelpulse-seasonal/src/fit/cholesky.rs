//! Cholesky factors of small dense matrices, row-major, in place.

/// A matrix that is not positive definite.
#[derive(Debug)]
pub(super) struct NotPositiveDefinite;

/// Replaces the lower triangle of the `n x n` matrix by its factor `L`.
pub(super) fn factorize(a: &mut [f64], n: usize) -> Result<(), NotPositiveDefinite> {
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..=j * n + j];
            let sum: f64 = dot(&row[..j], &other[..j]);
            row[j] = (row[j] - sum) / other[j];
        }
        let square = dot(&row[..i], &row[..i]);
        let pivot = row[i] - square;
        // Below rounding of the diagonal the pivot is noise.
        if pivot.is_nan() || pivot <= row[i].abs() * 1e-14 {
            return Err(NotPositiveDefinite);
        }
        row[i] = pivot.sqrt();
    }
    Ok(())
}

/// Solves `L x = b` in place.
pub(super) fn forward(l: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        let row = &l[i * n..=i * n + i];
        b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
    }
}

/// Solves `L' x = b` in place.
pub(super) fn backward(l: &[f64], n: usize, b: &mut [f64]) {
    for i in (0..n).rev() {
        b[i] /= l[i * n + i];
        let x = b[i];
        for (value, l) in b[..i].iter_mut().zip(&l[i * n..i * n + i]) {
            *value -= l * x;
        }
    }
}

/// Inner product in four lanes.
#[inline(always)]
#[allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // By index: iterators are not always inlined into code for vector registers.
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let whole = n - n % 4;
    let mut lanes = [0.0; 4];
    let mut i = 0;
    while i < whole {
        let (x, y) = (&a[i..i + 4], &b[i..i + 4]);
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
        i += 4;
    }
    let mut tail = 0.0;
    for i in whole..n {
        tail += a[i] * b[i];
    }
    (lanes[0] + lanes[1] + lanes[2] + lanes[3]) + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves() {
        let a = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let mut l = a;
        factorize(&mut l, 3).unwrap();
        let mut x = [1.0, -2.0, 0.5];
        forward(&l, 3, &mut x);
        backward(&l, 3, &mut x);
        for (row, b) in a.chunks_exact(3).zip([1.0, -2.0, 0.5]) {
            assert!((dot(row, &x) - b).abs() < 1e-14);
        }
        assert!(factorize(&mut [1.0, 0.0, 1.0, 1.0], 2).is_err());
    }
}
