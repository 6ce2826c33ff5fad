//! Binary segmentation.

use super::{Grid, Partition, Stop};
use crate::{ChangepointError, cost::Cost, error::check_positive};

/// Binary segmentation (Scott & Knott 1974): takes the best single break, then the best in either
/// part, and so on. Fast, not optimal: a short segment between two equal ones may hide.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::{Binseg, Stop}};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((60, 1), |(i, _)| [0.0, 5.0, 6.0][i / 20]);
/// let cost = CostL2::new(values.view())?;
/// assert_eq!(Binseg::new(2, 1)?.search(&cost, Stop::Breaks(1))?.breaks, [20]);
/// assert_eq!(Binseg::new(2, 1)?.search(&cost, Stop::Gain(4.0))?.breaks, [20, 40]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binseg {
    min_size: usize,
    jump: usize,
}

impl Binseg {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`; both at least one.
    pub fn new(min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        Ok(Self { min_size, jump })
    }

    /// The breaks up to the stop.
    pub fn search<C: Cost + ?Sized>(&self, cost: &C, stop: Stop) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        let mut breaks: Vec<usize> = Vec::new();
        let mut open: Vec<Split> = best_split(cost, grid, 0, cost.len()).into_iter().collect();
        while let Some(i) = (0..open.len()).max_by(|&a, &b| open[a].gain.total_cmp(&open[b].gain)) {
            if !stop.goes_on(breaks.len(), open[i].gain) {
                break;
            }
            let Split { start, at, end, .. } = open.swap_remove(i);
            breaks.push(at);
            open.extend(best_split(cost, grid, start, at));
            open.extend(best_split(cost, grid, at, end));
        }
        breaks.sort_unstable();
        Ok(Partition::at(cost, breaks))
    }
}

/// The best break within a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) start: usize,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) gain: f64,
}

/// The break that lowers the cost of `start..end` most, if there is room for one.
pub(super) fn best_split<C: Cost + ?Sized>(cost: &C, grid: Grid, start: usize, end: usize) -> Option<Split> {
    let splits: Vec<usize> = grid.splits(start, end).collect();
    if splits.is_empty() {
        return None;
    }
    let mut costs = Vec::new();
    cost.split_costs(start, end, &splits, &mut costs);
    let (at, least) = splits.into_iter().zip(costs).min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Split { start, at, end, gain: cost.cost(start, end) - least })
}
