//! Exact penalised search with the Gaussian kernel in `O(n)` memory.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use ndarray::ArrayView2;

use super::{
    exp::{kernel, kernel_all},
    gamma_of,
};
use crate::{
    ChangepointError,
    cost::Signal,
    error::check_penalty,
    search::{Grid, Partition, backtrack},
};

/// PELT (Killick, Fearnhead & Eckley 2012) for [`CostRbf`](crate::cost::CostRbf): the
/// segmentation of `values` (a row per time) with the lowest sum of costs plus `penalty` per
/// segment, segments of at least `min_size` rows, breaks at multiples of `jump`. `gamma` of `None`
/// is the [median heuristic](super::median_heuristic).
///
/// The same as `Pelt::new(min_size, jump)?.search(&CostRbf::new(values, gamma)?, penalty)` up to
/// rounding, many times faster: kernel values are computed in vector registers for up to eight
/// ends at a time, summed and forgotten. Memory is `O(n)`, time `O(n)` per row at worst.
///
/// ```
/// use funnelpulse_changepoint::kernel::rbf_pelt;
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((200, 1), |(i, _)| (i % 5) as f64 + if i < 120 { 0.0 } else { 9.0 });
/// assert_eq!(rbf_pelt(values.view(), None, 24, 1, 10.0)?.breaks, [120]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
pub fn rbf_pelt(
    values: ArrayView2<'_, f64>,
    gamma: Option<f64>,
    min_size: usize,
    jump: usize,
    penalty: f64,
) -> Result<Partition, ChangepointError> {
    check_penalty(penalty)?;
    let signal = Signal::new(values)?;
    let grid = Grid::new(signal.n, min_size, jump)?;
    let gamma = gamma_of(&signal, gamma)?;
    let search = Search::new(&signal, gamma, grid, penalty);
    // A block must not need the optimum of an end within it.
    Ok(match min_size {
        0..4 => search.run::<1>(),
        4..8 => search.run::<4>(),
        _ => search.run::<8>(),
    })
}

/// Rows whose kernel values are computed at once: what fits the first-level cache.
const CHUNK: usize = 64;

/// A row at which a segment may start.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: usize,
    /// Lowest objective of the rows before it.
    best: f64,
    /// The end from which on it can't be part of an optimum.
    dead_from: usize,
    /// Kernel summed over all pairs (both orders, and the diagonal) from it to the end so far.
    sum: f64,
}

struct Search<'a> {
    signal: &'a Signal,
    gamma: f64,
    grid: Grid,
    penalty: f64,
    /// Lowest objective of the rows before each end.
    best: Vec<f64>,
    last_start: Vec<usize>,
    starts: Vec<Start>,
    /// `1 / length`.
    inverse: Vec<f64>,
    /// Kernel values of up to [`CHUNK`] rows with the new rows.
    buffer: Vec<f64>,
}

impl<'a> Search<'a> {
    fn new(signal: &'a Signal, gamma: f64, grid: Grid, penalty: f64) -> Self {
        let n = signal.n;
        let mut best = vec![f64::INFINITY; n + 1];
        best[0] = 0.0;
        let inverse = (0..=n + 8).map(|length| 1.0 / length as f64).collect();
        let starts = vec![Start { at: 0, best: 0.0, dead_from: usize::MAX, sum: 0.0 }];
        Self {
            signal,
            gamma,
            grid,
            penalty,
            best,
            last_start: vec![0; n + 1],
            starts,
            inverse,
            buffer: vec![0.0; CHUNK * 8],
        }
    }

    fn run<const B: usize>(mut self) -> Partition {
        let n = self.signal.n;
        let mut objectives = Vec::new();
        for first in (0..n).step_by(B) {
            objectives.clear();
            objectives.resize(self.starts.len(), [0.0; B]);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    self.add_rows::<B>(first, &mut objectives);
                    self.choose::<B>(first, &objectives);
                },
            );
            self.open::<B>(first);
        }
        let breaks = backtrack(&self.last_start, n);
        Partition { cost: self.best[n] - self.penalty * (breaks.len() + 1) as f64, breaks }
    }

    /// Adds rows `first..first + B` to every start, and notes the objectives of the segmentations
    /// whose last segment runs from there to after each of them. Past the last row there are copies
    /// of it, whose objectives are not used.
    #[inline(always)]
    fn add_rows<const B: usize>(&mut self, first: usize, objectives: &mut [[f64; B]]) {
        let (n, d, gamma) = (self.signal.n, self.signal.d, self.gamma);
        let values = &self.signal.values[..];
        let row = |l: usize, c: usize| values[(first + l).min(n - 1) * d + c];
        // Kernel of each new row with the new rows before it.
        let mut sums = [0.0; B];
        for (l, sum) in sums.iter_mut().enumerate() {
            for m in 0..l {
                let square: f64 = (0..d).map(|c| (row(l, c) - row(m, c)).powi(2)).sum();
                *sum += kernel(gamma, square);
            }
        }
        let own: [f64; B] = std::array::from_fn(|l| row(l, 0));
        let lowest = self.starts[0].at;
        // Rows before `from` are still to be summed; those from `low` on are in the buffer.
        let (mut from, mut low) = (first, first);
        for (start, objectives) in self.starts.iter_mut().zip(objectives).rev() {
            while from > start.at {
                if from == low {
                    low = from.saturating_sub(CHUNK).max(lowest);
                    let rows = &values[low * d..from * d];
                    let squares = &mut self.buffer[..(from - low) * B];
                    for (squares, value) in squares.chunks_exact_mut(B).zip(rows.chunks_exact(d)) {
                        for l in 0..B {
                            let difference = value[0] - own[l];
                            squares[l] = difference * difference;
                        }
                        for (c, value) in value.iter().enumerate().skip(1) {
                            for (l, square) in squares.iter_mut().enumerate() {
                                let difference = value - row(l, c);
                                *square += difference * difference;
                            }
                        }
                    }
                    kernel_all(gamma, squares);
                }
                from -= 1;
                let kernels = &self.buffer[(from - low) * B..][..B];
                for l in 0..B {
                    sums[l] += kernels[l];
                }
            }
            let length = first - start.at;
            let inverse = &self.inverse[length + 1..length + 1 + B];
            let mut sum = start.sum;
            let mut totals = [0.0; B];
            for l in 0..B {
                sum += 2.0 * sums[l] + 1.0;
                totals[l] = sum;
            }
            start.sum = sum;
            let base = start.best + length as f64;
            for l in 0..B {
                objectives[l] = base + (l + 1) as f64 - totals[l] * inverse[l];
            }
        }
    }

    /// Finds the best last segment for the ends after each row of the block, and starts that are
    /// beaten for good.
    #[inline(always)]
    fn choose<const B: usize>(&mut self, first: usize, objectives: &[[f64; B]]) {
        let (n, min_size) = (self.signal.n, self.grid.min_size);
        // Starts from which every end of the block is far enough; the few others after them.
        let far = self.starts.partition_point(|start| start.at + min_size <= first + 1);
        let (mut least, mut from) = ([f64::INFINITY; B], [0_u64; B]);
        for (i, objectives) in objectives[..far].iter().enumerate() {
            for l in 0..B {
                let better = objectives[l] < least[l];
                from[l] = if better { i as u64 } else { from[l] };
                least[l] = if better { objectives[l] } else { least[l] };
            }
        }
        for (i, (start, objectives)) in self.starts.iter().zip(objectives).enumerate().skip(far) {
            for l in 0..B {
                if start.at + min_size <= first + l + 1 && objectives[l] < least[l] {
                    (least[l], from[l]) = (objectives[l], i as u64);
                }
            }
        }
        // Only ends at which a segment may start can beat a start.
        let mut limits = [f64::INFINITY; B];
        for l in 0..B.min(n - first) {
            let end = first + l + 1;
            if self.grid.is_end(end) {
                let objective = least[l] + self.penalty;
                (self.best[end], self.last_start[end]) = (objective, self.starts[from[l] as usize].at);
                limits[l] = objective;
            }
        }
        // A start that is too near to an end for a segment may be beaten there all the same, so it
        // is left to later blocks. All deaths of a block count from its end on.
        let dead_from = first + B + min_size;
        for (start, objectives) in self.starts[..far].iter_mut().zip(objectives) {
            let mut beaten = false;
            for l in 0..B {
                beaten |= objectives[l] > limits[l];
            }
            if beaten && start.dead_from == usize::MAX {
                start.dead_from = dead_from;
            }
        }
    }

    /// Drops the starts that are beaten for all later ends, and opens those at the new ends.
    fn open<const B: usize>(&mut self, first: usize) {
        let next = (first + B).min(self.signal.n);
        self.starts.retain(|start| start.dead_from > next + 1);
        for at in (first + 1..=next).filter(|&at| self.grid.is_start(at)) {
            let mut sum = (next - at) as f64;
            for i in at + 1..next {
                let mut row = [0.0; 8];
                super::kernel_row(&self.signal.values, self.signal.d, self.gamma, i, at, &mut row[..i - at]);
                sum += 2.0 * row[..i - at].iter().sum::<f64>();
            }
            self.starts.push(Start { at, best: self.best[at], dead_from: usize::MAX, sum });
        }
    }
}
