//! Searches for the segmentation with the lowest cost.
//!
//! | search | optimum | for |
//! |---|---|---|
//! | [`Pelt`] | exact | a penalty per segment, any cost |
//! | [`Fpop`] | exact, fastest | a penalty per segment, mean or Poisson rate of one column |
//! | [`Dynp`] | exact | a number of breaks |
//! | [`crops`] | exact | all penalties of a range |
//! | [`Binseg`], [`WildBinseg`], [`BottomUp`], [`WindowSearch`] | greedy | a number of breaks or a least gain |

mod binseg;
mod bottom_up;
mod crops;
mod dynp;
mod fpop;
mod pelt;
#[cfg(test)]
mod tests;
mod wild;
mod window;

pub use self::{
    binseg::Binseg,
    bottom_up::BottomUp,
    crops::{PathPoint, crops},
    dynp::Dynp,
    fpop::Fpop,
    pelt::Pelt,
    wild::{Choice, WildBinseg},
    window::WindowSearch,
};
use crate::{ChangepointError, cost::Cost, error::check_penalty, error::check_positive};

/// A segmentation of rows `0..n`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// First row of each segment but the first, ascending.
    pub breaks: Vec<usize>,
    /// Sum of the costs of the segments, without penalties.
    pub cost: f64,
}

impl Partition {
    /// The objective of a penalised search: the cost plus `penalty` per segment.
    pub fn objective(&self, penalty: f64) -> f64 {
        self.cost + penalty * (self.breaks.len() + 1) as f64
    }

    /// The segments as ranges of the rows `0..n`.
    ///
    /// ```
    /// use funnelpulse_changepoint::search::Partition;
    ///
    /// let partition = Partition { breaks: vec![2, 5], cost: 0.0 };
    /// assert_eq!(partition.segments(6).collect::<Vec<_>>(), [0..2, 2..5, 5..6]);
    /// ```
    pub fn segments(&self, n: usize) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.breaks.iter().copied());
        let ends = self.breaks.iter().copied().chain(std::iter::once(n));
        starts.zip(ends).map(|(start, end)| start..end)
    }

    /// The partition at `breaks`, with its cost.
    pub fn at<C: Cost + ?Sized>(cost: &C, breaks: Vec<usize>) -> Self {
        let partition = Self { breaks, cost: 0.0 };
        let total = partition.segments(cost.len()).map(|s| cost.cost(s.start, s.end)).sum();
        Self { cost: total, ..partition }
    }
}

/// When a greedy search is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    /// After this number of breaks (or fewer, where there is no room).
    Breaks(usize),
    /// When no further break lowers the cost by more than this.
    Gain(f64),
}

impl Stop {
    fn check(self) -> Result<Self, ChangepointError> {
        if let Self::Gain(gain) = self {
            check_penalty(gain)?;
        }
        Ok(self)
    }

    /// True if a break that lowers the cost by `gain` is accepted when there are `breaks`.
    fn goes_on(self, breaks: usize, gain: f64) -> bool {
        match self {
            Self::Breaks(most) => breaks < most,
            Self::Gain(least) => gain > least,
        }
    }
}

/// The rows at which segments may start and end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    n: usize,
    pub(crate) min_size: usize,
    jump: usize,
}

impl Grid {
    /// Fails when there are not even rows for one segment.
    pub(crate) fn new(n: usize, min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        if n < min_size {
            return Err(ChangepointError::TooShort { rows: n, needed: min_size, segments: 1 });
        }
        Ok(Self { n, min_size, jump })
    }

    /// For a cost, which may need longer segments.
    pub(crate) fn of<C: Cost + ?Sized>(cost: &C, min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        Self::new(cost.len(), min_size.max(cost.min_size()), jump)
    }

    /// True if a segment may start at `row`, with a segment before it and one after.
    pub(crate) fn is_start(&self, row: usize) -> bool {
        row == 0 || row.is_multiple_of(self.jump) && row >= self.min_size && row + self.min_size <= self.n
    }

    /// True if a segment may end before `row`.
    pub(crate) fn is_end(&self, row: usize) -> bool {
        row == self.n || row > 0 && self.is_start(row)
    }

    /// Rows at which a segment may end, ascending; the last is `n`.
    pub(crate) fn ends(self) -> impl Iterator<Item = usize> {
        self.splits(0, self.n).chain(std::iter::once(self.n))
    }

    /// Rows at which `start..end` may be split, ascending.
    pub(crate) fn splits(self, start: usize, end: usize) -> impl Iterator<Item = usize> {
        let first = (start + self.min_size).next_multiple_of(self.jump);
        let last = end.checked_sub(self.min_size);
        (first..=last.unwrap_or(0)).step_by(self.jump).filter(move |_| last.is_some())
    }
}

/// The breaks from the start of the last segment before each end.
pub(crate) fn backtrack(last_start: &[usize], n: usize) -> Vec<usize> {
    let mut breaks = Vec::new();
    let mut end = n;
    while last_start[end] > 0 {
        end = last_start[end];
        breaks.push(end);
    }
    breaks.reverse();
    breaks
}
