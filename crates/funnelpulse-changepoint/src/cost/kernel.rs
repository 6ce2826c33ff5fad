//! Change of distribution, by a Gaussian kernel.

use ndarray::ArrayView2;

use super::{Cost, Signal, Sweep};
use crate::{
    ChangepointError,
    kernel::{gamma_of, kernel_row},
};

/// Celisse et al. (2018): the scatter of a segment in the feature space of a Gaussian kernel,
/// `sum_i k(i, i) - sum_ij k(i, j) / L`, as ruptures' `CostRbf` defines it: `k = exp(-x)` with
/// `x = gamma |y_i - y_j|^2` kept within 0.01 to 100 off the diagonal, and 1 on it.
///
/// There is no Gram matrix: memory is `O(n)`. A single segment takes `O(L^2)` time, a sweep over
/// ascending ends `O(n)` per row. [`rbf_pelt`](crate::kernel::rbf_pelt) is the fast exact search.
///
/// The bounds on `x` make the kernel not quite positive definite. So splitting may in principle
/// cost a little more than it saves, which PELT's pruning rules out; in no test did it matter.
///
/// ```
/// use funnelpulse_changepoint::cost::{Cost, CostRbf};
/// use ndarray::array;
///
/// let cost = CostRbf::new(array![[0.0], [1.0]].view(), Some(0.5))?;
/// assert!((cost.cost(0, 2) - (2.0 - (2.0 + 2.0 * (-0.5f64).exp()) / 2.0)).abs() < 1e-14);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CostRbf {
    signal: Signal,
    gamma: f64,
}

impl CostRbf {
    /// The cost of `values`, a row per time, with `gamma` or that of the
    /// [median heuristic](crate::kernel::median_heuristic).
    pub fn new(values: ArrayView2<'_, f64>, gamma: Option<f64>) -> Result<Self, ChangepointError> {
        let signal = Signal::new(values)?;
        let gamma = gamma_of(&signal, gamma)?;
        Ok(Self { signal, gamma })
    }

    /// One over the squared width of the kernel.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    fn row(&self, at: usize, from: usize, out: &mut [f64]) {
        kernel_row(&self.signal.values, self.signal.d, self.gamma, at, from, out);
    }
}

impl Cost for CostRbf {
    fn len(&self) -> usize {
        self.signal.n
    }

    fn cost(&self, start: usize, end: usize) -> f64 {
        let mut row = vec![0.0; end - start];
        let mut sum = 0.0;
        for i in start + 1..end {
            let row = &mut row[..i - start];
            self.row(i, start, row);
            sum += row.iter().sum::<f64>();
        }
        let length = (end - start) as f64;
        length - (length + 2.0 * sum) / length
    }

    fn sweep(&self) -> Option<Box<dyn Sweep + '_>> {
        Some(Box::new(KernelSweep { cost: self, end: 0, sums: vec![0.0; self.len()], row: vec![0.0; self.len()] }))
    }

    fn split_costs(&self, start: usize, end: usize, splits: &[usize], out: &mut Vec<f64>) {
        let length = end - start;
        let (mut row, mut left, mut right) = (vec![0.0; length], vec![0.0; length + 1], vec![0.0; length + 1]);
        for i in 1..length {
            self.row(start + i, start, &mut row[..i]);
            left[i + 1] = left[i] + row[..i].iter().sum::<f64>();
            // Every pair counts for the parts that start at or before its first row.
            for (right, k) in right.iter_mut().zip(&row[..i]) {
                *right += k;
            }
        }
        for i in (0..length).rev() {
            right[i] += right[i + 1];
        }
        let cost = |sum: f64, length: usize| {
            let length = length as f64;
            length - (length + 2.0 * sum) / length
        };
        out.clear();
        out.extend(splits.iter().map(|&s| cost(left[s - start], s - start) + cost(right[s - start], end - s)));
    }
}

struct KernelSweep<'a> {
    cost: &'a CostRbf,
    end: usize,
    /// For each start, the sum of the kernel over the pairs of different rows up to `end`.
    sums: Vec<f64>,
    row: Vec<f64>,
}

impl Sweep for KernelSweep<'_> {
    fn costs(&mut self, starts: &[usize], end: usize, out: &mut Vec<f64>) {
        let first = starts.first().copied().unwrap_or(end);
        for at in self.end..end {
            let row = &mut self.row[..at - first.min(at)];
            self.cost.row(at, first.min(at), row);
            let mut sum = 0.0;
            for (k, total) in row.iter().zip(&mut self.sums[first.min(at)..at]).rev() {
                sum += k;
                *total += sum;
            }
        }
        self.end = end;
        out.clear();
        out.extend(starts.iter().map(|&start| {
            let length = (end - start) as f64;
            length - (length + 2.0 * self.sums[start]) / length
        }));
    }
}
