//! The Gaussian kernel by inducing points.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use ndarray::ArrayView2;

use super::gamma_of;
use crate::{
    ChangepointError,
    cost::{Cost, Signal},
};

/// The kernel cost by inducing points: an incomplete Cholesky decomposition of the Gram matrix
/// (Fine & Scheinberg 2001) gives every row a few coordinates whose inner products are the kernel,
/// up to a known error. A segment then costs as much time as there are coordinates, whatever its
/// length.
///
/// **Error.** Inner products are within [`tolerance`](Self::tolerance) of the Gaussian kernel for
/// every pair of rows, so a segment of `L` rows costs within `tolerance * L` of the exact one.
/// The exact [`CostRbf`](crate::cost::CostRbf) also keeps exponents above 0.01, which this one
/// doesn't: for pairs closer than that the kernels differ by up to .00995 more.
///
/// ```
/// use funnelpulse_changepoint::{kernel::InducingKernel, search::Pelt};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((20_000, 1), |(i, _)| ((i * 7) % 11) as f64 + (i / 5_000 * 20) as f64);
/// let cost = InducingKernel::new(values.view(), Some(0.01), 1e-6)?;
/// assert!(cost.rank() < 64 && cost.tolerance() <= 1e-6);
/// assert_eq!(Pelt::new(24, 1)?.search(&cost, 10.0)?.breaks, [5_000, 10_000, 15_000]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct InducingKernel {
    n: usize,
    gamma: f64,
    tolerance: f64,
    rank: usize,
    /// Coordinates padded to a whole number of vector registers.
    width: usize,
    /// Running sums of coordinates, a row per end.
    sums: Vec<f64>,
}

/// Coordinates come in multiples of this.
const LANES: usize = 4;
/// Most inducing points.
const MAX_RANK: usize = 1_024;

impl InducingKernel {
    /// Decomposes the kernel of `values`, a row per time, until no pair is off by more than
    /// `tolerance` (1e-12 to 0.5) or there are 1,024 inducing points.
    /// `gamma` of `None` is the [median heuristic](super::median_heuristic), which for two columns or
    /// more takes `O(n^2)` time, longer than all the rest: give `gamma` for long series of several
    /// columns.
    pub fn new(values: ArrayView2<'_, f64>, gamma: Option<f64>, tolerance: f64) -> Result<Self, ChangepointError> {
        if !(1e-12..=0.5).contains(&tolerance) {
            return Err(ChangepointError::config("tolerance", tolerance, "1e-12 to 0.5"));
        }
        let signal = Signal::new(values)?;
        let gamma = gamma_of(&signal, gamma)?;
        let (columns, tolerance) = decompose(&signal, gamma, tolerance);
        let (n, rank) = (signal.n, columns.len());
        let width = rank.next_multiple_of(LANES);
        let mut sums = vec![0.0; (n + 1) * width];
        for i in 0..n {
            for (j, column) in columns.iter().enumerate() {
                sums[(i + 1) * width + j] = sums[i * width + j] + column[i];
            }
        }
        Ok(Self { n, gamma, tolerance, rank, width, sums })
    }

    /// Number of inducing points.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Largest error of the kernel of any two rows.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// One over the squared width of the kernel.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    #[inline(always)]
    fn segment(&self, start: usize, to: &[f64], length: f64) -> f64 {
        let from = &self.sums[start * self.width..][..self.width];
        let mut lanes = [0.0; LANES];
        for (a, b) in from.chunks_exact(LANES).zip(to.chunks_exact(LANES)) {
            for l in 0..LANES {
                lanes[l] += (b[l] - a[l]) * (b[l] - a[l]);
            }
        }
        length - lanes.iter().sum::<f64>() / length
    }
}

impl Cost for InducingKernel {
    fn len(&self) -> usize {
        self.n
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        self.segment(start, &self.sums[end * self.width..][..self.width], (end - start) as f64)
    }

    fn costs(&self, starts: &[usize], end: usize, out: &mut Vec<f64>) {
        out.clear();
        let to = &self.sums[end * self.width..][..self.width];
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || out.extend(starts.iter().map(|&start| self.segment(start, to, (end - start) as f64))),
        );
    }
}

/// Coordinates of the rows, an array per coordinate, and the largest diagonal of what is left of
/// the Gram matrix. What is left is positive semidefinite, so no entry of it is larger.
fn decompose(signal: &Signal, gamma: f64, tolerance: f64) -> (Vec<Vec<f64>>, f64) {
    let (n, d) = (signal.n, signal.d);
    let mut left = vec![1.0_f64; n];
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut row = vec![0.0; n];
    loop {
        let (pivot, &largest) = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("a signal has rows");
        if largest <= tolerance || columns.len() == MAX_RANK {
            return (columns, largest.max(0.0));
        }
        super::exp::gaussian_row(&signal.values, d, gamma, pivot, &mut row);
        for column in &columns {
            let own = column[pivot];
            for (row, c) in row.iter_mut().zip(column) {
                *row -= own * c;
            }
        }
        let root = largest.sqrt();
        let column: Vec<f64> = row.iter().map(|v| v / root).collect();
        for (left, c) in left.iter_mut().zip(&column) {
            *left -= c * c;
        }
        left[pivot] = 0.0;
        columns.push(column);
    }
}
