//! Pruned exact linear time.

use super::{Grid, Partition, backtrack};
use crate::{
    ChangepointError,
    cost::{Cost, Sweeper},
    error::check_penalty,
};

/// PELT (Killick, Fearnhead & Eckley 2012): the segmentation with the lowest cost plus a penalty
/// per segment, among all with segments of at least `min_size` rows and breaks at multiples of
/// `jump`.
///
/// **Exact for `min_size > 1` too.** A start that a later one beats at some end can only be dropped
/// once a segment from the later one is long enough, `min_size` rows further on; ruptures and
/// others drop it at once and may miss the optimum.
///
/// Fewer than `2 * min_size` rows give no break. A penalty of zero takes every break that lowers
/// the cost. Time is linear when breaks keep coming, quadratic at worst.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::Pelt};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((90, 1), |(i, _)| (i / 30) as f64 + 0.1 * (i % 3) as f64);
/// let found = Pelt::new(5, 1)?.search(&CostL2::new(values.view())?, 1.0)?;
/// assert_eq!(found.breaks, [30, 60]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pelt {
    min_size: usize,
    jump: usize,
}

impl Default for Pelt {
    /// Every segmentation is allowed.
    fn default() -> Self {
        Self { min_size: 1, jump: 1 }
    }
}

impl Pelt {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`; both at least one.
    pub fn new(min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        crate::error::check_positive("min_size", min_size)?;
        crate::error::check_positive("jump", jump)?;
        Ok(Self { min_size, jump })
    }

    /// The optimal segmentation.
    pub fn search<C: Cost + ?Sized>(&self, cost: &C, penalty: f64) -> Result<Partition, ChangepointError> {
        check_penalty(penalty)?;
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        let n = cost.len();
        let mut best = vec![f64::INFINITY; n + 1];
        best[0] = 0.0;
        let mut last_start = vec![0; n + 1];
        let mut sweeper = Sweeper::new(cost);
        // Starts that may yet be part of an optimum, and the end from which on each can't be.
        let (mut starts, mut dead_from) = (vec![0], vec![usize::MAX]);
        let mut waiting = grid.splits(0, n).peekable();
        let mut costs = Vec::new();
        for end in grid.ends() {
            while let Some(start) = waiting.next_if(|start| start + grid.min_size <= end) {
                starts.push(start);
                dead_from.push(usize::MAX);
            }
            sweeper.costs(&starts, end, &mut costs);
            let (mut least, mut from) = (f64::INFINITY, 0);
            for (&start, cost) in starts.iter().zip(&mut costs) {
                *cost += best[start];
                if *cost < least {
                    (least, from) = (*cost, start);
                }
            }
            least += penalty;
            (best[end], last_start[end]) = (least, from);
            if !cost.is_subadditive() {
                continue;
            }
            let mut kept = 0;
            for i in 0..starts.len() {
                if costs[i] > least && dead_from[i] == usize::MAX {
                    dead_from[i] = end + grid.min_size;
                }
                if dead_from[i] > end + 1 {
                    (starts[kept], dead_from[kept]) = (starts[i], dead_from[i]);
                    kept += 1;
                }
            }
            starts.truncate(kept);
            dead_from.truncate(kept);
        }
        let breaks = backtrack(&last_start, n);
        Ok(Partition { cost: best[n] - penalty * (breaks.len() + 1) as f64, breaks })
    }
}
