//! The likelihood ratio of a break anywhere, after every row.

use serde::{Deserialize, Serialize};

use crate::{ChangeDirection, ChangepointError};

/// Largest value.
const LARGEST: f64 = 1e100;
/// Counts up to here are exact as floats.
const EXACT: u64 = 1 << 53;
/// Most rows that a saved stream may have seen: on 32-bit targets all that a count can hold.
pub(super) const MOST_ROWS: usize = if usize::BITS < 64 { usize::MAX } else { EXACT as usize };

/// The distribution of the values around the level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FocusFamily {
    /// Normal values with this variance, above 0; the mean changes.
    Normal(f64),
    /// Poisson counts, 0 or more; the rate changes.
    Poisson,
}

/// The best break so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FocusEvidence {
    /// First row of the new level, from zero.
    pub index: usize,
    /// Twice the log of the likelihood ratio of a break there against none; zero or more.
    pub statistic: f64,
    /// Which way the level went.
    pub direction: ChangeDirection,
}

/// `FOCuS` (Romano, Eckley, Fearnhead & Rigaill 2023; Ward, Dilillo, Eckley & Fearnhead 2024): the
/// generalised likelihood ratio test for one break at an unknown row, from one unknown level to
/// another, after every row, exactly as long as there are no more than
/// [`max_candidates`](Self::with_max_candidates).
///
/// The ratio is a convex function of the number and sum of the rows before a break, so that only
/// corners of the convex hull of these points can be best. A step takes time and memory in
/// proportion to their number. **Stationary data** around one level, or a few, keep `O(log n)` on
/// average, as the hull of a random walk does. **A steady slope** keeps every row, and slow waves
/// keep a share of them; there the bound matters.
///
/// A stream can be stopped and continued: serialise it, and deserialising checks what it finds.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Focus {
    family: FocusFamily,
    max_candidates: usize,
    /// Origin of the sums, so that they keep their digits.
    origin: Option<f64>,
    rows: usize,
    sum: f64,
    /// Corners of the hull below and above: rows before a possible break, and their sum.
    lower: Vec<(usize, f64)>,
    upper: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    family: FocusFamily,
    max_candidates: usize,
    origin: Option<f64>,
    rows: usize,
    sum: f64,
    lower: Vec<(usize, f64)>,
    upper: Vec<(usize, f64)>,
}

impl TryFrom<Unchecked> for Focus {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        let fresh = Self::new(u.family).and_then(|f| f.with_max_candidates(u.max_candidates));
        fresh.map_err(|e| e.to_string())?;
        let is_normal = matches!(u.family, FocusFamily::Normal(_));
        let origin = u.origin.is_some() == (is_normal && u.rows > 0) && u.origin.is_none_or(|v| v.abs() <= LARGEST);
        if !(origin && u.rows <= MOST_ROWS && u.sum.is_finite() && (is_normal || u.sum >= 0.0)) {
            return Err("an origin with the first row, at most 2^53 rows, a finite sum (of counts not negative)".into());
        }
        if u.rows == 0 && u.sum != 0.0 || u.lower.len() + u.upper.len() > u.max_candidates {
            return Err("a sum of no rows is zero, and there are at most max_candidates candidates".into());
        }
        for hull in [&u.lower, &u.upper] {
            // The last row may always begin a new level.
            let last = hull.last().map_or(1, |corner| corner.0 + 1) == u.rows.max(1);
            let ascending = hull.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let sums =
                hull.iter().all(|(at, sum)| *at > 0 && sum.is_finite() && (is_normal || (0.0..=u.sum).contains(sum)));
            if !(last && ascending && sums) {
                return Err("candidates have ascending rows up to the last, and finite sums".into());
            }
        }
        let Unchecked { family, max_candidates, origin, rows, sum, lower, upper } = u;
        Ok(Self { family, max_candidates, origin, rows, sum, lower, upper })
    }
}

impl Focus {
    /// Most candidates, unless [set](Self::with_max_candidates).
    pub const MAX_CANDIDATES: usize = 1_000;

    /// Checks the variance.
    pub fn new(family: FocusFamily) -> Result<Self, ChangepointError> {
        if let FocusFamily::Normal(variance) = family
            && !(variance > 0.0 && variance.is_finite())
        {
            return Err(ChangepointError::config("variance", variance, "above 0, finite"));
        }
        let (lower, upper) = (Vec::new(), Vec::new());
        Ok(Self { family, max_candidates: Self::MAX_CANDIDATES, origin: None, rows: 0, sum: 0.0, lower, upper })
    }

    /// Keeps at most this many candidates, 8 or more (1,000 unless set), which bounds the time of a
    /// step and the memory.
    ///
    /// **What is lost.** Above the bound the corner that sticks out least goes (the smallest
    /// triangle with its neighbours, never the newest), and a break at its row is then named at a
    /// neighbouring candidate, with a lower statistic. Those left lie evenly on a steady slope, so
    /// that after `n` rows the best break is found to within about `n / max_candidates` rows; on
    /// 10,000 rows of one, the statistic was within 0.1 % with 100 candidates.
    ///
    /// ```
    /// use funnelpulse_changepoint::online::{Focus, FocusFamily};
    ///
    /// let mut focus = Focus::new(FocusFamily::Normal(1.0))?.with_max_candidates(50)?;
    /// for i in 0..1_000 {
    ///     focus.update(0.01 * f64::from(i))?;
    ///     assert!(focus.candidates() <= 50);
    /// }
    /// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
    /// ```
    pub fn with_max_candidates(mut self, max_candidates: usize) -> Result<Self, ChangepointError> {
        if max_candidates < 8 {
            return Err(ChangepointError::config("max_candidates", max_candidates, "8 or more"));
        }
        self.max_candidates = max_candidates;
        self.thin();
        Ok(self)
    }

    /// Takes the next value in and returns the best break up to it; `None` for the first row.
    /// A value that is not finite, beyond 1e100, or a negative count is an error and changes
    /// nothing.
    pub fn update(&mut self, value: f64) -> Result<Option<FocusEvidence>, ChangepointError> {
        let right = value.abs() <= LARGEST && (value >= 0.0 || self.family != FocusFamily::Poisson);
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
            self.thin();
        }
        self.rows += 1;
        self.sum += value;
        Ok(self.evidence())
    }

    /// Drops candidates above the bound.
    fn thin(&mut self) {
        while self.candidates() > self.max_candidates {
            let hull = if self.lower.len() > self.upper.len() { &mut self.lower } else { &mut self.upper };
            // The longer hull has five corners at least, so three in a row are there.
            let area = |at: usize| turn(hull[at - 1], hull[at], hull[at + 1], 1.0).abs();
            let flattest = (1..hull.len() - 1).min_by(|a, b| area(*a).total_cmp(&area(*b)));
            hull.remove(flattest.unwrap_or(0));
        }
    }

    /// The best break up to the last row.
    pub fn evidence(&self) -> Option<FocusEvidence> {
        let corners = self.lower.iter().chain(&self.upper);
        let best = corners.map(|&(at, sum)| (at, sum, self.statistic(at, sum))).max_by(|a, b| a.2.total_cmp(&b.2));
        best.map(|(at, sum, statistic)| {
            let (before, after) = (sum / at as f64, (self.sum - sum) / (self.rows - at) as f64);
            let direction = if after >= before { ChangeDirection::Increase } else { ChangeDirection::Decrease };
            FocusEvidence { index: at, statistic, direction }
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
        let (lower, upper) = (Vec::new(), Vec::new());
        *self = Self { lower, upper, origin: None, rows: 0, sum: 0.0, ..*self };
    }
}

/// Adds a point to the right of a hull (Andrew 1979); `side` is 1 for the lower one.
fn push(hull: &mut Vec<(usize, f64)>, point: (usize, f64), side: f64) {
    while let [.., a, b] = hull[..] {
        if turn(a, b, point, side) > 0.0 {
            break;
        }
        hull.pop();
    }
    hull.push(point);
}

/// Twice the area of a triangle, positive if a hull of this side has a corner at `b`.
fn turn(a: (usize, f64), b: (usize, f64), c: (usize, f64), side: f64) -> f64 {
    let (run_ab, run_bc) = ((b.0 - a.0) as f64, (c.0 - b.0) as f64);
    side * ((c.1 - b.1) * run_ab - (b.1 - a.1) * run_bc)
}
