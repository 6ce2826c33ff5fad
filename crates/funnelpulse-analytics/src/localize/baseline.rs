//! Expected values of leaves, from their past.

use std::{collections::BTreeMap, sync::Arc};

use super::{Leaves, LocalizeError};

/// The sums of one leaf in one period.
type Sums = (f64, f64);

/// The values of a leaf's attributes.
type Place = Vec<Option<Arc<str>>>;

/// The past of a cube, from which each leaf's expectation at some moment is made.
///
/// Periods are any integers that grow with time (seconds, hours, row numbers). Only those before
/// the moment in question count, and of these only the *calm* ones, whose total is within a quarter
/// of the median plus three median absolute deviations: an earlier burst of the same incident
/// doesn't hide it.
///
/// **Additive**: the mean over the calm periods; a leaf without a row has zero in that period, and
/// zero now if it has no row now: an outage is seen.
///
/// **Ratio**: the observed denominator times the leaf's ratio over the calm periods, pulled
/// towards the overall ratio as if one more numerator event had been seen at it.
///
/// ```
/// use funnelpulse_analytics::{History, LocalizeConfig, Localizer};
///
/// let mut history = History::ratio(["page"]);
/// for minute in 0..10 {
///     history.push(minute, &[Some("home")], 10.0, 1000.0)?;
///     history.push(minute, &[Some("pay")], if minute == 9 { 100.0 } else { 2.0 }, 500.0)?;
/// }
/// let found = Localizer::new(LocalizeConfig::default())?.localize(&history.leaves_at(9));
/// assert_eq!(found.causes[0].combination.to_string(), "page = pay");
/// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    attributes: Vec<Arc<str>>,
    ratio: bool,
    periods: BTreeMap<i64, BTreeMap<Place, Sums>>,
    added: usize,
}

impl History {
    /// No history yet, of an additive measure.
    ///
    /// ```
    /// use funnelpulse_analytics::History;
    ///
    /// let mut history = History::additive(["page"]);
    /// history.push(0, &[Some("home")], 10.0, 1.0)?;
    /// // No row in period 1: an outage.
    /// assert_eq!(history.leaves_at(1).totals(), (0.0, 10.0));
    /// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
    /// ```
    pub fn additive<S: Into<Arc<str>>>(attributes: impl IntoIterator<Item = S>) -> Self {
        let attributes = attributes.into_iter().map(Into::into).collect();
        Self { attributes, ratio: false, periods: BTreeMap::new(), added: 0 }
    }

    /// No history yet, of a ratio.
    pub fn ratio<S: Into<Arc<str>>>(attributes: impl IntoIterator<Item = S>) -> Self {
        Self { ratio: true, ..Self::additive(attributes) }
    }

    /// Adds a row: an additive measure's `value` (the denominator isn't looked at), or a ratio's
    /// numerator and denominator. Rows of the same leaf and period are summed; rows with a missing,
    /// infinite or negative number are left out.
    pub fn push(
        &mut self,
        period: i64,
        values: &[Option<&str>],
        value: f64,
        denominator: f64,
    ) -> Result<(), LocalizeError> {
        if values.len() != self.attributes.len() {
            let (row, found, expected) = (self.added, values.len(), self.attributes.len());
            return Err(LocalizeError::Width { row, found, expected });
        }
        self.added += 1;
        let denominator = if self.ratio { denominator } else { 1.0 };
        if [value, denominator].iter().all(|v| v.is_finite() && *v >= 0.0) {
            let place = values.iter().map(|v| v.map(Arc::from)).collect();
            let sums = self.periods.entry(period).or_default().entry(place).or_default();
            sums.0 += value;
            sums.1 += denominator;
        }
        Ok(())
    }

    /// The leaves at `period` against their past. Without any past every leaf was expected to be
    /// zero (additive) or like all others (ratio).
    ///
    /// ```
    /// use funnelpulse_analytics::History;
    ///
    /// let mut history = History::additive(["page"]);
    /// for (period, views) in [(0, 8.0), (1, 12.0), (2, 30.0)] {
    ///     history.push(period, &[Some("home")], views, 1.0)?;
    /// }
    /// // The mean of 8 and 12 is expected.
    /// assert_eq!(history.leaves_at(2).totals(), (30.0, 10.0));
    /// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
    /// ```
    pub fn leaves_at(&self, period: i64) -> Leaves {
        let past: Vec<_> = self.periods.range(..period).map(|(_, leaves)| leaves).collect();
        let calm = self.calm(&past);
        let mut known: BTreeMap<&[Option<Arc<str>>], (Sums, Sums)> = BTreeMap::new();
        for leaves in &calm {
            for (place, sums) in *leaves {
                let leaf = known.entry(place).or_default();
                leaf.0.0 += sums.0;
                leaf.0.1 += sums.1;
            }
        }
        for (place, sums) in self.periods.get(&period).into_iter().flatten() {
            known.entry(place).or_default().1 = *sums;
        }
        let total = |which: fn(&(Sums, Sums)) -> Sums| {
            known.values().map(which).fold((0.0, 0.0), |sum, leaf| (sum.0 + leaf.0, sum.1 + leaf.1))
        };
        let before = total(|leaf| leaf.0);
        let reference = if before.1 > 0.0 { before } else { total(|leaf| leaf.1) };
        let overall = if reference.1 > 0.0 { reference.0 / reference.1 } else { 0.0 };
        let mut result = Leaves::new(self.attributes.iter().cloned());
        for (place, (before, now)) in &known {
            let expected = match (self.ratio, overall > 0.0) {
                (false, _) => before.0 / calm.len().max(1) as f64,
                (true, false) => 0.0,
                (true, true) => now.1 * (before.0 + 1.0) / (before.1 + 1.0 / overall),
            };
            let place: Vec<Option<&str>> = place.iter().map(Option::as_deref).collect();
            result.push(&place, now.0, expected).expect("a leaf of the history has all attributes");
        }
        result
    }

    fn calm<'a, L>(&self, past: &[&'a BTreeMap<L, Sums>]) -> Vec<&'a BTreeMap<L, Sums>> {
        let level = |leaves: &BTreeMap<L, Sums>| {
            let (value, denominator) = leaves.values().fold((0.0, 0.0), |sum, l| (sum.0 + l.0, sum.1 + l.1));
            if self.ratio { value / denominator } else { value }
        };
        let levels: Vec<f64> = past.iter().map(|leaves| level(leaves)).collect();
        let Some(median) = crate::median(levels.clone()) else { return past.to_vec() };
        let spread = crate::median(levels.iter().map(|l| (l - median).abs()).collect()).unwrap_or(0.0);
        let margin = 0.25 * median + 3.0 * 1.4826 * spread;
        past.iter().zip(levels).filter(|(_, level)| (level - median).abs() <= margin).map(|(p, _)| *p).collect()
    }
}
