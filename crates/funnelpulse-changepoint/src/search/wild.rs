//! Binary segmentation over random intervals.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{
    Grid, Partition, Stop,
    binseg::{Split, best_split},
};
use crate::{ChangepointError, cost::Cost, error::check_positive};

/// Which of the breaks that random intervals propose comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one that lowers its interval's cost most: wild binary segmentation (Fryzlewicz 2014).
    Largest,
    /// The one with the shortest interval among those with enough gain: narrowest over threshold
    /// (Baranowski, Chen & Fryzlewicz 2019). A narrow interval holds one break only, so that costs
    /// which assume a single one, a trend's for instance, put it right. Needs [`Stop::Gain`].
    Narrowest,
}

/// Wild binary segmentation and narrowest over threshold: the best breaks of many random
/// intervals and of all rows; taking one closes the intervals around it.
///
/// ```
/// use funnelpulse_changepoint::{cost::CostL2, search::{Choice, Stop, WildBinseg}};
/// use ndarray::Array2;
///
/// // A short bump that binary segmentation has to find with both ends at once.
/// let values = Array2::from_shape_fn((300, 1), |(i, _)| if (140..160).contains(&i) { 1.0 } else { 0.0 });
/// let cost = CostL2::new(values.view())?;
/// let wild = WildBinseg::new(2, 1, 500, 42)?;
/// assert_eq!(wild.search(&cost, Choice::Largest, Stop::Breaks(2))?.breaks, [140, 160]);
/// assert_eq!(wild.search(&cost, Choice::Narrowest, Stop::Gain(2.0))?.breaks, [140, 160]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WildBinseg {
    min_size: usize,
    jump: usize,
    intervals: usize,
    seed: u64,
}

impl WildBinseg {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`, `intervals` random
    /// intervals (1 or more).
    pub fn new(min_size: usize, jump: usize, intervals: usize, seed: u64) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        check_positive("intervals", intervals)?;
        Ok(Self { min_size, jump, intervals, seed })
    }

    /// The breaks up to the stop.
    pub fn search<C: Cost + ?Sized>(
        &self,
        cost: &C,
        choice: Choice,
        stop: Stop,
    ) -> Result<Partition, ChangepointError> {
        let stop = stop.check()?;
        if choice == Choice::Narrowest && matches!(stop, Stop::Breaks(_)) {
            return Err(ChangepointError::config("stop", "a number of breaks", "a least gain, for the narrowest"));
        }
        let grid = Grid::of(cost, self.min_size, self.jump)?;
        let n = cost.len();
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let mut splits: Vec<Split> = best_split(cost, grid, 0, n).into_iter().collect();
        for _ in 0..self.intervals {
            let (a, b) = (rng.random_range(0..=n), rng.random_range(0..=n));
            splits.extend(best_split(cost, grid, a.min(b), a.max(b)));
        }
        let mut breaks: Vec<usize> = Vec::new();
        loop {
            // A break must leave both of its segments long enough.
            splits.retain(|s| breaks.iter().all(|&b| b <= s.start || b >= s.end));
            let enough = splits.iter().filter(|s| {
                let before = breaks.iter().copied().filter(|&b| b <= s.at).max().unwrap_or(0);
                let after = breaks.iter().copied().filter(|&b| b > s.at).min().unwrap_or(n);
                stop.goes_on(breaks.len(), s.gain) && s.at - before >= grid.min_size && after - s.at >= grid.min_size
            });
            let next = match choice {
                Choice::Largest => enough.max_by(|a, b| a.gain.total_cmp(&b.gain)),
                Choice::Narrowest => {
                    enough.min_by(|a, b| (a.end - a.start).cmp(&(b.end - b.start)).then(b.gain.total_cmp(&a.gain)))
                }
            };
            let Some(&Split { start, at, end, .. }) = next else { break };
            breaks.push(at);
            // The two sides of the break are intervals of their own.
            splits.extend(best_split(cost, grid, start, at));
            splits.extend(best_split(cost, grid, at, end));
        }
        breaks.sort_unstable();
        Ok(Partition::at(cost, breaks))
    }
}
