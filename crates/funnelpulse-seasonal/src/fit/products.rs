//! Sums of products of features, several rows and columns at a time.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use super::normal::Normal;

/// Rows whose products are added together: their loads and stores are shared.
const BLOCK: usize = 4;
/// Columns that are added together; rows are padded with zeros to whole numbers of them.
const LANES: usize = 8;

type Vector = [f64; LANES];

/// Some rows of the jacobian, to be multiplied with each other, and the sums of their products.
pub(super) struct Products {
    width: usize,
    /// Vectors of a row.
    stride: usize,
    rows: usize,
    /// Rows of the jacobian, one after the other.
    jacobian: [Vec<Vector>; BLOCK],
    curvature: [f64; BLOCK],
    along: [f64; BLOCK],
    t: [f64; BLOCK],
    /// Curvature over `x x`, all of it.
    square: Vec<Vector>,
    /// Curvature over `1 x`, then `t x`, of the segment in work.
    cross: [Vec<Vector>; 2],
}

impl Products {
    pub(super) fn new(width: usize) -> Self {
        let stride = width.div_ceil(LANES);
        let zeros = || vec![[0.0; LANES]; stride];
        Self {
            width,
            stride,
            rows: 0,
            jacobian: std::array::from_fn(|_| zeros()),
            curvature: [0.0; BLOCK],
            along: [0.0; BLOCK],
            t: [0.0; BLOCK],
            square: vec![[0.0; LANES]; width * stride],
            cross: [zeros(), zeros()],
        }
    }

    /// Takes a row; `g` times its first `multiplicative` features, the others as they are.
    #[inline(always)]
    pub(super) fn push(&mut self, features: &[f64], multiplicative: usize, g: f64, curvature: f64, along: f64, t: f64) {
        let at = self.rows;
        let own = &mut self.jacobian[at].as_flattened_mut()[..self.width];
        own.copy_from_slice(features);
        own[..multiplicative].iter_mut().for_each(|x| *x *= g);
        (self.curvature[at], self.along[at], self.t[at]) = (curvature, along, t);
        self.rows += 1;
        if self.rows == BLOCK {
            self.add();
        }
    }

    /// Adds the products of its rows and forgets them.
    #[inline(always)]
    fn add(&mut self) {
        // Rows that are missing count for nothing.
        self.curvature[self.rows..].fill(0.0);
        self.rows = 0;
        let stride = self.stride;
        let [a, b, c, d] = &self.jacobian;
        let rows = [&a[..stride], &b[..stride], &c[..stride], &d[..stride]];
        let (mut along, mut along_t) = ([0.0; BLOCK], [0.0; BLOCK]);
        for row in 0..BLOCK {
            along[row] = self.curvature[row] * self.along[row];
            along_t[row] = along[row] * self.t[row];
        }
        let [cross, cross_t] = &mut self.cross;
        axpy(cross, along, rows);
        axpy(cross_t, along_t, rows);
        for i in 0..self.width {
            let (at, lane) = (i / LANES, i % LANES);
            let mut factor = self.curvature;
            for row in 0..BLOCK {
                factor[row] *= rows[row][at][lane];
            }
            axpy(&mut self.square[i * stride..(i + 1) * stride], factor, rows);
        }
    }

    /// Adds the sums of the segment in work to the normal equations.
    #[inline(always)]
    pub(super) fn end_segment(&mut self, normal: &mut Normal, segment: usize) {
        self.add();
        let width = self.width;
        let out = &mut normal.cross[segment * 2 * width..(segment + 1) * 2 * width];
        for (out, sums) in out.chunks_exact_mut(width.max(1)).zip(&mut self.cross) {
            out.iter_mut().zip(sums.as_flattened()).for_each(|(out, sum)| *out += sum);
            sums.fill([0.0; LANES]);
        }
    }

    /// Adds the sums over all segments.
    pub(super) fn end(&mut self, normal: &mut Normal) {
        let (width, padded) = (self.width, self.stride * LANES);
        for i in 0..width {
            let (out, sums) = (&mut normal.hessian[i * width..], &self.square.as_flattened()[i * padded..]);
            out[..=i].iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
    }
}

/// `out += sum of factor[b] rows[b]`.
#[inline(always)]
fn axpy(out: &mut [Vector], factor: [f64; BLOCK], rows: [&[Vector]; BLOCK]) {
    let n = out.len();
    let (a, b, c, d) = (&rows[0][..n], &rows[1][..n], &rows[2][..n], &rows[3][..n]);
    for j in 0..n {
        for k in 0..LANES {
            out[j][k] += (factor[0] * a[j][k] + factor[1] * b[j][k]) + (factor[2] * c[j][k] + factor[3] * d[j][k]);
        }
    }
}
