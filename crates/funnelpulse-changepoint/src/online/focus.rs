//! The likelihood ratio of a break anywhere, after every row.

use crate::{ChangepointError, Direction};

/// What follows the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FocusFamily {
    /// Normal values with this variance, above 0; the mean changes.
    Normal(f64),
    /// Poisson counts, 0 or more; the rate changes.
    Poisson,
}

/// The best break so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// First row of the new level, from zero.
    pub index: usize,
    /// Twice the log of the likelihood ratio of a break there against none; zero or more.
    pub statistic: f64,
    /// Which way the level went.
    pub direction: Direction,
}

/// `FOCuS` (Romano, Eckley, Fearnhead & Rigaill 2023; Ward, Dilillo, Eckley & Fearnhead 2024): the
/// generalised likelihood ratio test for one break at an unknown row, from one unknown level to
/// another, after every row, exactly.
///
/// The ratio is a convex function of the number and sum of the rows before a break, so that only
/// corners of the convex hull of these points can be best, and a hull of a random walk has
/// `O(log n)` corners. A step takes `O(log n)` time and memory on average.
///
/// ```
/// use funnelpulse_changepoint::online::{Focus, FocusFamily};
///
/// let mut focus = Focus::new(FocusFamily::Normal(1.0))?;
/// let mut found = None;
/// for i in 0..400 {
///     let noise = ((i * 7919) % 13) as f64 / 4.0 - 1.5;
///     let evidence = focus.update(noise + if i < 300 { 0.0 } else { 3.0 })?;
///     found = found.or(evidence.filter(|e| e.statistic > 30.0).map(|e| (i, e.index)));
/// }
/// let (seen, index) = found.expect("a change of three standard deviations is seen");
/// assert!(index.abs_diff(300) < 3 && seen < 310);
/// assert!(focus.candidates() < 60);
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Focus {
    family: FocusFamily,
    /// Where sums count from, so that they keep their digits.
    origin: Option<f64>,
    rows: usize,
    sum: f64,
    /// Corners of the hull below and above: rows before a possible break, and their sum.
    lower: Vec<(usize, f64)>,
    upper: Vec<(usize, f64)>,
}

impl Focus {
    /// Checks the variance.
    pub fn new(family: FocusFamily) -> Result<Self, ChangepointError> {
        if let FocusFamily::Normal(variance) = family
            && !(variance > 0.0 && variance.is_finite())
        {
            return Err(ChangepointError::config("variance", variance, "above 0, finite"));
        }
        Ok(Self { family, origin: None, rows: 0, sum: 0.0, lower: Vec::new(), upper: Vec::new() })
    }

    /// Takes the next value in and returns the best break up to it; `None` for the first row.
    /// A value that is not finite, beyond 1e100, or a negative count is an error and changes
    /// nothing.
    pub fn update(&mut self, value: f64) -> Result<Option<Evidence>, ChangepointError> {
        let right = value.abs() <= 1e100 && (value >= 0.0 || self.family != FocusFamily::Poisson);
        if !right {
            let allowed = "at most 1e100 either side of zero, counts not negative";
            return Err(ChangepointError::Value { row: self.rows, column: 0, value, allowed });
        }
        let value = match self.family {
            FocusFamily::Normal(_) => value - *self.origin.get_or_insert(value),
            FocusFamily::Poisson => value,
        };
        if self.rows > 0 {
            push(&mut self.lower, (self.rows, self.sum), 1.0);
            push(&mut self.upper, (self.rows, self.sum), -1.0);
        }
        self.rows += 1;
        self.sum += value;
        Ok(self.evidence())
    }

    /// The best break up to the last row.
    pub fn evidence(&self) -> Option<Evidence> {
        let corners = self.lower.iter().chain(&self.upper);
        let best = corners.map(|&(at, sum)| (at, sum, self.statistic(at, sum))).max_by(|a, b| a.2.total_cmp(&b.2));
        best.map(|(at, sum, statistic)| {
            let (before, after) = (sum / at as f64, (self.sum - sum) / (self.rows - at) as f64);
            let direction = if after >= before { Direction::Increase } else { Direction::Decrease };
            Evidence { index: at, statistic, direction }
        })
    }

    fn statistic(&self, at: usize, sum: f64) -> f64 {
        let (before, after, all) = (at as f64, (self.rows - at) as f64, self.rows as f64);
        let statistic = match self.family {
            FocusFamily::Normal(variance) => {
                let difference = (self.sum - sum) / after - sum / before;
                difference * difference * before * after / all / variance
            }
            FocusFamily::Poisson => {
                let term = |x: f64, n: f64| if x > 0.0 { 2.0 * x * (x / n).ln() } else { 0.0 };
                term(sum, before) + term(self.sum - sum, after) - term(self.sum, all)
            }
        };
        statistic.max(0.0)
    }

    /// Number of rows that may still be the best break.
    pub fn candidates(&self) -> usize {
        self.lower.len() + self.upper.len()
    }

    /// Number of rows seen.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Forgets all rows, for a fresh start after a break.
    pub fn reset(&mut self) {
        *self = Self { lower: Vec::new(), upper: Vec::new(), origin: None, rows: 0, sum: 0.0, family: self.family };
    }
}

/// Adds a point to the right of a hull (Andrew 1979); `side` is 1 for the lower one.
fn push(hull: &mut Vec<(usize, f64)>, point: (usize, f64), side: f64) {
    while let [.., a, b] = hull[..] {
        let (run_ab, run_bc) = ((b.0 - a.0) as f64, (point.0 - b.0) as f64);
        // The corner b stays if the hull turns there.
        if side * ((point.1 - b.1) * run_ab - (b.1 - a.1) * run_bc) > 0.0 {
            break;
        }
        hull.pop();
    }
    hull.push(point);
}
