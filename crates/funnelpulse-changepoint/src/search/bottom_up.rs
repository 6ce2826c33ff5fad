//! Merging from below.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Grid, Partition, Stop};
use crate::{ChangepointError, cost::Cost, error::check_positive};

/// Bottom-up segmentation (Keogh et al. 2001): starts from many short segments and merges the pair
/// whose union costs least more, until no pair is cheap enough.
///
/// [`Stop::Breaks`] merges down to that many breaks; [`Stop::Gain`] merges while a break is worth
/// no more than the gain.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::{BottomUp, Stop}};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0, 6.0][i / 20]);
/// let cost = CostL2::new(values.view())?;
/// assert_eq!(BottomUp::new(2, 5)?.search(&cost, Stop::Breaks(1))?.breaks, [20]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BottomUp {
    min_size: usize,
    jump: usize,
}

impl BottomUp {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`; both at least one.
    pub fn new(min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        Ok(Self { min_size, jump })
    }

    /// The breaks that are left.
    pub fn search<C: Cost + ?Sized>(&self, cost: &C, stop: Stop) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        let n = cost.len();
        // The shortest segments allowed, one after another.
        let mut bounds = vec![0];
        for end in grid.splits(0, n) {
            if end - bounds[bounds.len() - 1] >= grid.min_size {
                bounds.push(end);
            }
        }
        bounds.push(n);
        Ok(merge(cost, bounds, stop))
    }

    /// The breaks that ruptures leaves: as [`search`](Self::search), but the first segments come from
    /// halving the longest one, at the break that is nearest to its middle, until it can't be halved.
    ///
    /// ```
    /// use funnelpulse_changepoint::{cost::CostL2, search::{BottomUp, Stop}};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0][i / 30]);
    /// let cost = CostL2::new(values.view())?;
    /// assert_eq!(BottomUp::new(2, 5)?.search_halved(&cost, Stop::Breaks(1))?.breaks, [30]);
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn search_halved<C: Cost + ?Sized>(&self, cost: &C, stop: Stop) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        // The longest one on top, of equal ones the first.
        let mut segments = BinaryHeap::from([(cost.len(), Reverse(0))]);
        while let Some(&(length, Reverse(start))) = segments.peek() {
            let end = start + length;
            // Twice the distance from the middle, in whole numbers.
            let Some(at) = grid.splits(start, end).min_by_key(|at| (2 * at).abs_diff(start + end)) else { break };
            segments.pop();
            segments.extend([(at - start, Reverse(start)), (end - at, Reverse(at))]);
        }
        let mut bounds: Vec<usize> = segments.into_iter().map(|(_, Reverse(start))| start).collect();
        bounds.push(cost.len());
        bounds.sort_unstable();
        Ok(merge(cost, bounds, stop))
    }
}

/// Merges neighbours, always those whose merging costs least, until the stop.
fn merge<C: Cost + ?Sized>(cost: &C, mut bounds: Vec<usize>, stop: Stop) -> Partition {
    let increase = |bounds: &[usize], i: usize| {
        let (start, at, end) = (bounds[i - 1], bounds[i], bounds[i + 1]);
        cost.cost(start, end) - cost.cost(start, at) - cost.cost(at, end)
    };
    let mut increases: Vec<f64> = (1..bounds.len() - 1).map(|i| increase(&bounds, i)).collect();
    while let Some(i) = (0..increases.len()).min_by(|&a, &b| increases[a].total_cmp(&increases[b])) {
        let done = match stop {
            Stop::Breaks(most) => increases.len() <= most,
            Stop::Gain(gain) => increases[i] > gain,
        };
        if done {
            break;
        }
        bounds.remove(i + 1);
        increases.remove(i);
        let neighbours = i.saturating_sub(1)..(i + 1).min(increases.len());
        for neighbour in neighbours {
            increases[neighbour] = increase(&bounds, neighbour + 1);
        }
    }
    Partition::at(cost, bounds[1..bounds.len() - 1].to_vec())
}
