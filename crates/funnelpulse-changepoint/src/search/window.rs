//! A window that slides along.

use super::{Grid, Partition, Stop};
use crate::{ChangepointError, cost::Cost, error::check_positive};

/// Sliding window (Basseville & Nikiforov 1993): compares the `width / 2` rows before each row with
/// those after it, and takes the highest peaks of the gain that are at least half a window apart.
/// `O(n)` costs, and nothing but neighbouring rows counts.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::{Stop, WindowSearch}};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0, 6.0][i / 20]);
/// let cost = CostL2::new(values.view())?;
/// assert_eq!(WindowSearch::new(20, 1)?.search(&cost, Stop::Gain(2.0))?.breaks, [20, 40]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSearch {
    width: usize,
    jump: usize,
}

impl WindowSearch {
    /// Windows of `width` rows (2 or more), breaks at multiples of `jump` (1 or more).
    pub fn new(width: usize, jump: usize) -> Result<Self, ChangepointError> {
        if width < 2 {
            return Err(ChangepointError::config("width", width, "2 or more"));
        }
        check_positive("jump", jump)?;
        Ok(Self { width, jump })
    }

    /// The breaks up to the stop. Rows with less than half a window on either side are none.
    pub fn search<C: Cost + ?Sized>(&self, cost: &C, stop: Stop) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        let half = (self.width / 2).max(cost.min_size());
        let grid = Grid::of(cost, half, self.jump)?;
        let mut peaks: Vec<(usize, f64)> = grid
            .splits(0, cost.len())
            .map(|at| {
                let whole = cost.cost(at - half, at + half);
                (at, whole - cost.cost(at - half, at) - cost.cost(at, at + half))
            })
            .collect();
        // The highest first; of equal ones the first in time.
        peaks.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut breaks: Vec<usize> = Vec::new();
        for (at, gain) in peaks {
            if !stop.goes_on(breaks.len(), gain) {
                break;
            }
            if breaks.iter().all(|b| b.abs_diff(at) >= half) {
                breaks.push(at);
            }
        }
        breaks.sort_unstable();
        Ok(Partition::at(cost, breaks))
    }

    /// The breaks that `Window` of ruptures finds. Candidates are the rows whose gain is above that of all
    /// others within half a window (of `2 * min_size` rows if that is wider), where the first row follows the last
    /// one; they are taken from the highest on, the later of equal ones first. A [`Stop::Gain`] looks at what a break
    /// takes off the cost of the whole partition.
    ///
    /// ```
    /// use funnelpulse_changepoint::{cost::CostL2, search::{Stop, WindowSearch}};
    /// use ndarray::Array2;
    ///
    /// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0, 6.0][i / 20]);
    /// let cost = CostL2::new(values.view())?;
    /// assert_eq!(WindowSearch::new(20, 1)?.search_isolated(&cost, 2, Stop::Gain(2.0))?.breaks, [20, 40]);
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn search_isolated<C: Cost + ?Sized>(
        &self,
        cost: &C,
        min_size: usize,
        stop: Stop,
    ) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        let half = self.width / 2;
        if half < cost.min_size() {
            return Err(ChangepointError::config("width", self.width, "twice the rows that the cost needs, or more"));
        }
        let reach = (self.width.max(2 * min_size) / (2 * self.jump)).max(1);
        let rows = (0..cost.len()).step_by(self.jump).filter(|at| *at >= half && at + half < cost.len());
        let gains: Vec<(f64, usize)> = rows
            .map(|at| {
                let whole = cost.cost(at - half, at + half);
                (whole - cost.cost(at - half, at) - cost.cost(at, at + half), at)
            })
            .collect();
        let mut peaks = isolated(&gains, reach);
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let mut found = Partition::at(cost, Vec::new());
        for (_, at) in peaks {
            let mut breaks = found.breaks.clone();
            breaks.insert(breaks.partition_point(|b| *b < at), at);
            let next = Partition::at(cost, breaks);
            if !stop.goes_on(found.breaks.len(), found.cost - next.cost) {
                break;
            }
            found = next;
        }
        Ok(found)
    }
}

/// The gains that are above all others up to `reach` places before and after, in a circle.
fn isolated(gains: &[(f64, usize)], reach: usize) -> Vec<(f64, usize)> {
    let n = gains.len();
    let is_above = |k: usize, shift: usize| {
        let (before, after) = ((k + n - shift % n) % n, (k + shift) % n);
        gains[k].0 > gains[before].0 && gains[k].0 > gains[after].0
    };
    (0..n).filter(|&k| (1..=reach).all(|shift| is_above(k, shift))).map(|k| gains[k]).collect()
}
