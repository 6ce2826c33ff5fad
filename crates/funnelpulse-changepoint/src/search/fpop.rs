//! Functional pruning.

use ndarray::{ArrayView1, ArrayView2};

use super::{Grid, Partition, backtrack};
use crate::{
    ChangepointError,
    cost::{Signal, running_exposure},
    error::{check_penalty, check_positive},
};

/// FPOP (Maidstone, Hocking, Rigaill & Fearnhead 2017): the same optimum as [`Pelt`](super::Pelt)
/// for one column and the L2 or Poisson cost, in time that hardly grows faster than the number of
/// rows, breaks or not.
///
/// For each level that the last segment may have, it keeps the best start of that segment; a start
/// that is best for no level is dropped. With `min_size` above one a start comes in that many rows
/// late, which keeps the recursion exact.
///
/// ```
/// use funnelpulse_changepoint::search::Fpop;
/// use ndarray::Array1;
///
/// let values = Array1::from_shape_fn(100_000, |i| (i / 40_000) as f64 + (i % 7) as f64 / 10.0);
/// assert_eq!(Fpop::new(24, 1)?.l2(values.view(), 10.0)?.breaks, [40_000, 80_000]);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fpop {
    min_size: usize,
    jump: usize,
}

impl Fpop {
    /// Segments of at least `min_size` rows, breaks at multiples of `jump`; both at least one.
    pub fn new(min_size: usize, jump: usize) -> Result<Self, ChangepointError> {
        check_positive("min_size", min_size)?;
        check_positive("jump", jump)?;
        Ok(Self { min_size, jump })
    }

    /// The optimum for [`CostL2`](crate::cost::CostL2) of one column.
    pub fn l2(&self, values: ArrayView1<'_, f64>, penalty: f64) -> Result<Partition, ChangepointError> {
        check_penalty(penalty)?;
        let grid = Grid::new(values.len(), self.min_size, self.jump)?;
        let signal = Signal::new(column(values))?.center();
        let ends = signal.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let (mut sums, mut squares) = (Vec::with_capacity(signal.n + 1), Vec::with_capacity(signal.n + 1));
        let (mut sum, mut square) = (0.0, 0.0);
        for value in std::iter::once(&0.0).chain(&signal.values) {
            sum += value;
            square += value * value;
            sums.push(sum);
            squares.push(square);
        }
        Ok(search(&Squares { sums, squares }, ends, grid, penalty))
    }

    /// The optimum for [`CostPoisson`](crate::cost::CostPoisson) of one column of counts, with
    /// exposures if given. Rates below 1e-12 of the highest are not distinguished.
    pub fn poisson(
        &self,
        counts: ArrayView1<'_, f64>,
        exposure: Option<ArrayView1<'_, f64>>,
        penalty: f64,
    ) -> Result<Partition, ChangepointError> {
        check_penalty(penalty)?;
        let grid = Grid::new(counts.len(), self.min_size, self.jump)?;
        let signal = Signal::nonnegative(column(counts))?;
        let exposure = match exposure {
            Some(exposure) => running_exposure(exposure, signal.n)?,
            None => (0..=signal.n).map(|i| i as f64).collect(),
        };
        let highest = signal.values.iter().zip(exposure.windows(2)).map(|(x, e)| x / (e[1] - e[0])).fold(0.0, f64::max);
        let sums = signal.prefix_sums(1, |row, out| out[0] = row[0]);
        // All zero: every level is as good as another.
        let highest = if highest > 0.0 { highest } else { 1.0 };
        Ok(search(&Rates { sums, exposure }, (1e-12 * highest, highest), grid, penalty))
    }
}

fn column(values: ArrayView1<'_, f64>) -> ArrayView2<'_, f64> {
    values.insert_axis(ndarray::Axis(1))
}

/// A family of cost functions of a level.
trait Family {
    /// What the running sums before row `at` hold, beside the best objective before it: the value
    /// that is compared is `base + sum * g(level) - weight * h(level)`.
    fn start(&self, at: usize, best: f64) -> Piece;
    /// Cost of the rows from the start of `piece` to `end` at their own best level, and the best
    /// objective before them.
    fn least(&self, piece: &Piece, end: usize) -> f64;
    /// `new - old` at a level, a concave function of it.
    fn difference(new: &Piece, old: &Piece, level: f64) -> f64;
    /// The place of the largest difference.
    fn peak(new: &Piece, old: &Piece) -> f64;
    /// Where the difference is zero below (`side` -1) or above (1) its peak, where it is positive;
    /// it is negative at `from`.
    fn root(new: &Piece, old: &Piece, from: f64, side: f64) -> f64;
}

/// Levels `low..high` for which the last segment best starts at row `at`.
#[derive(Clone, Copy, Debug)]
struct Piece {
    low: f64,
    high: f64,
    at: usize,
    base: f64,
    sum: f64,
    weight: f64,
}

struct Squares {
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Family for Squares {
    #[inline]
    fn start(&self, at: usize, best: f64) -> Piece {
        let base = best - self.squares[at];
        Piece { low: 0.0, high: 0.0, at, base, sum: self.sums[at], weight: at as f64 }
    }

    #[inline]
    fn least(&self, piece: &Piece, end: usize) -> f64 {
        let sum = self.sums[end] - piece.sum;
        piece.base + self.squares[end] - sum * sum / (end as f64 - piece.weight)
    }

    #[inline]
    fn difference(new: &Piece, old: &Piece, level: f64) -> f64 {
        (new.base - old.base) + (2.0 * (new.sum - old.sum) - (new.weight - old.weight) * level) * level
    }

    #[inline]
    fn peak(new: &Piece, old: &Piece) -> f64 {
        (new.sum - old.sum) / (new.weight - old.weight)
    }

    #[inline]
    fn root(new: &Piece, old: &Piece, _: f64, side: f64) -> f64 {
        let (peak, weight) = (Self::peak(new, old), new.weight - old.weight);
        peak + side * (peak * peak + (new.base - old.base) / weight).max(0.0).sqrt()
    }
}

struct Rates {
    sums: Vec<f64>,
    exposure: Vec<f64>,
}

impl Family for Rates {
    fn start(&self, at: usize, best: f64) -> Piece {
        let (sum, weight) = (self.sums[at], self.exposure[at]);
        Piece { low: 0.0, high: 0.0, at, base: best + 2.0 * sum, sum, weight }
    }

    fn least(&self, piece: &Piece, end: usize) -> f64 {
        let (sum, exposure) = (self.sums[end] - piece.sum, self.exposure[end] - piece.weight);
        let cost = if sum > 0.0 { -2.0 * sum * (sum / exposure).ln() } else { 0.0 };
        piece.base - 2.0 * piece.sum + cost
    }

    fn difference(new: &Piece, old: &Piece, level: f64) -> f64 {
        (new.base - old.base) + 2.0 * (new.sum - old.sum) * level.ln() - 2.0 * (new.weight - old.weight) * level
    }

    fn peak(new: &Piece, old: &Piece) -> f64 {
        (new.sum - old.sum) / (new.weight - old.weight)
    }

    /// Newton's method on a concave function, from where it is negative, never passes the root.
    fn root(new: &Piece, old: &Piece, from: f64, _: f64) -> f64 {
        let mut level = from;
        for _ in 0..60 {
            let slope = 2.0 * (new.sum - old.sum) / level - 2.0 * (new.weight - old.weight);
            let step = Self::difference(new, old, level) / slope;
            let next = level - step;
            if next <= 0.0 || next.is_nan() || (next - level).abs() <= 1e-15 * level {
                break;
            }
            level = next;
        }
        level
    }
}

fn search<F: Family>(family: &F, levels: (f64, f64), grid: Grid, penalty: f64) -> Partition {
    let mut found: Vec<(usize, usize, f64)> = Vec::new();
    let mut pieces = vec![Piece { low: levels.0, high: levels.1, ..family.start(0, 0.0) }];
    let mut rebuilt = Vec::new();
    // Ends whose optimum is known, and that are to become starts.
    let mut waiting = 0;
    for end in grid.ends() {
        while let Some(&(at, _, objective)) = found.get(waiting).filter(|(at, _, _)| at + grid.min_size <= end) {
            insert::<F>(&mut pieces, &mut rebuilt, family.start(at, objective));
            waiting += 1;
        }
        let (mut least, mut from) = (f64::INFINITY, 0);
        for piece in &pieces {
            let objective = family.least(piece, end);
            if objective < least {
                (least, from) = (objective, piece.at);
            }
        }
        found.push((end, from, least + penalty));
    }
    let mut last_start = vec![0; found.last().map_or(0, |f| f.0) + 1];
    for &(end, from, _) in &found {
        last_start[end] = from;
    }
    let (n, objective) = found.last().map_or((0, 0.0), |f| (f.0, f.2));
    let breaks = backtrack(&last_start, n);
    Partition { cost: objective - penalty * (breaks.len() + 1) as f64, breaks }
}

/// Gives the new start the levels for which it is better.
#[inline]
fn insert<F: Family>(pieces: &mut Vec<Piece>, rebuilt: &mut Vec<Piece>, new: Piece) {
    let wins =
        |piece: &Piece| F::difference(&new, piece, piece.low) < 0.0 || F::difference(&new, piece, piece.high) < 0.0;
    // A concave function that is positive at both ends of an interval is positive within.
    let Some(first) = pieces.iter().position(wins) else { return };
    rebuilt.clear();
    for old in &pieces[first..] {
        let (at_low, at_high) = (F::difference(&new, old, old.low), F::difference(&new, old, old.high));
        if at_low >= 0.0 && at_high >= 0.0 {
            rebuilt.push(*old);
            continue;
        }
        let peak = F::peak(&new, old).clamp(old.low, old.high);
        let mut kept = *old;
        if F::difference(&new, old, peak) > 0.0 {
            if at_low < 0.0 {
                kept.low = F::root(&new, old, old.low, -1.0).clamp(old.low, peak);
            }
            if at_high < 0.0 {
                kept.high = F::root(&new, old, old.high, 1.0).clamp(peak, old.high);
            }
        } else {
            kept.high = kept.low;
        }
        if kept.low < kept.high {
            give(rebuilt, new, old.low, kept.low);
            rebuilt.push(kept);
            give(rebuilt, new, kept.high, old.high);
        } else {
            // At most a point would be left of the old one, as where both are equally good there.
            give(rebuilt, new, old.low, old.high);
        }
    }
    pieces.truncate(first);
    pieces.append(rebuilt);
}

/// Adds `low..high` to the levels of the new start, joined with those just below.
#[inline]
fn give(pieces: &mut Vec<Piece>, new: Piece, low: f64, high: f64) {
    if high <= low {
        return;
    }
    match pieces.last_mut() {
        Some(last) if last.at == new.at => last.high = high,
        _ => pieces.push(Piece { low, high, ..new }),
    }
}
