//! A fixed number of breaks.

use super::{Grid, Partition};
use crate::{
    ChangepointError,
    cost::{Cost, Sweeper},
    error::check_positive,
};

/// Dynamic programming over ends (Bellman 1961; Jackson et al. 2005): the segmentation with the
/// lowest cost among all with the given number of breaks. `O(breaks n^2)` time,
/// `O(breaks n)` memory.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::Dynp};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((60, 1), |(i, _)| if (20..45).contains(&i) { 1.0 } else { 0.0 });
/// assert_eq!(Dynp::new(2, 1)?.search(&CostL2::new(values.view())?, 2)?.breaks, [20, 45]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynp {
    min_size: usize,
    jump: usize,
}

impl Dynp {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`; both at least one.
    pub fn new(min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        Ok(Self { min_size, jump })
    }

    /// The optimal segmentation with exactly `breaks` breaks; an error where there is no room.
    pub fn search<C: Cost + ?Sized>(&self, cost: &C, breaks: usize) -> Result<Partition, ChangepointError> {
        let found = self.path(cost, breaks)?.pop().filter(|last| last.breaks.len() == breaks);
        let needed = breaks.saturating_add(1).saturating_mul(self.min_size.max(cost.min_size()));
        found.ok_or(ChangepointError::TooShort { rows: cost.len(), needed, segments: breaks.saturating_add(1) })
    }

    /// The optimal segmentations with 0 to `most` breaks, as far as there is room.
    pub fn path<C: Cost + ?Sized>(&self, cost: &C, most: usize) -> Result<Vec<Partition>, ChangepointError> {
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        let n = cost.len();
        let ends: Vec<usize> = grid.ends().collect();
        let most = most.min(n / grid.min_size);
        // Layer k: lowest cost of the rows before an end in k + 1 segments, and where the last starts.
        let mut layers = vec![vec![(f64::INFINITY, 0); n + 1]; most + 1];
        let mut sweeper = Sweeper::new(cost);
        let (mut starts, mut costs) = (vec![0], Vec::new());
        let mut waiting = grid.splits(0, n).peekable();
        for &end in &ends {
            while let Some(start) = waiting.next_if(|start| start + grid.min_size <= end) {
                starts.push(start);
            }
            sweeper.costs(&starts, end, &mut costs);
            layers[0][end] = (costs[0], 0);
            for k in 1..=most {
                let (before, now) = layers.split_at_mut(k);
                for (&start, cost) in starts.iter().zip(&costs).skip(1) {
                    let total = before[k - 1][start].0 + cost;
                    if total < now[0][end].0 {
                        now[0][end] = (total, start);
                    }
                }
            }
        }
        let partition = |breaks: usize| {
            let mut partition = Partition { cost: layers[breaks][n].0, breaks: Vec::with_capacity(breaks) };
            let mut end = n;
            for layer in layers[1..=breaks].iter().rev() {
                end = layer[end].1;
                partition.breaks.push(end);
            }
            partition.breaks.reverse();
            partition
        };
        Ok((0..=most).filter(|&k| layers[k][n].0.is_finite()).map(partition).collect())
    }
}
