//! Decomposition of a change by stages of a chain.

use std::sync::Arc;

use serde::Serialize;

/// Methods of splitting a change of a product among its factors. Both sum exactly to the change and
/// neither depends on the order of the factors.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Link, decompose};
///
/// // Both factors halve: 20 becomes 5, and each has half of the change.
/// let links = [Link::new("visits", 50.0, 100.0), Link::new("rate", 0.1, 0.2)];
/// for attribution in [Attribution::Lmdi, Attribution::Shapley] {
///     let visits = &decompose(&links, attribution)?.stages[0];
///     assert!((visits.contribution + 7.5).abs() < 1e-9);
/// }
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// LMDI-I (Ang 2005, "The LMDI approach to decomposition analysis"): the logarithmic mean of
    /// both totals times the logarithm of the factor's ratio. Where a total is zero the limit is
    /// taken: the factors that are zero share the change equally, all others get nothing.
    #[default]
    Lmdi,
    /// Shapley (1953): the mean over all orders in which the factors could have changed.
    Shapley,
}

/// One factor of a product.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Link, decompose};
///
/// // A fifth below the expected value, with a noise of a tenth: two standard deviations.
/// let visits = Link { noise: 0.1, ..Link::new("visits", 80.0, 100.0) };
/// assert_eq!(decompose(&[visits], Attribution::Lmdi)?.stages[0].z(), -2.0);
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: Arc<str>,
    /// Its value as observed, finite and 0 or more.
    pub observed: f64,
    /// Its value as expected, finite and 0 or more.
    pub expected: f64,
    /// Relative standard deviation of the observed value by chance alone, 0 where unknown.
    pub noise: f64,
}

impl Link {
    /// A factor of unknown noise.
    pub fn new(name: impl Into<Arc<str>>, observed: f64, expected: f64) -> Self {
        Self { name: name.into(), observed, expected, noise: 0.0 }
    }
}

/// A factor and its part in the change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: Arc<str>,
    /// Its value as observed.
    pub observed: f64,
    /// Its value as expected.
    pub expected: f64,
    /// Its part in the change of the total, in the unit of the total.
    pub contribution: f64,
    /// Relative standard deviation of the observed value by chance alone, 0 where unknown.
    pub noise: f64,
}

impl Stage {
    /// Standard deviations from expected to observed; infinite where a change has no known noise or
    /// nothing was expected.
    ///
    /// ```
    /// use funnelpulse_analytics::{Attribution, Link, decompose};
    ///
    /// // The noise is not known.
    /// let parts = decompose(&[Link::new("visits", 80.0, 100.0)], Attribution::Lmdi)?;
    /// assert_eq!(parts.stages[0].z(), f64::NEG_INFINITY);
    /// # Ok::<(), funnelpulse_analytics::StageError>(())
    /// ```
    pub fn z(&self) -> f64 {
        match (self.observed - self.expected) / self.expected {
            _ if self.observed == self.expected => 0.0,
            relative if relative.is_infinite() => relative,
            relative => relative / self.noise,
        }
    }
}

/// Errors of a decomposition.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Link, decompose};
///
/// let error = decompose(&[Link::new("visits", -1.0, 2.0)], Attribution::Lmdi).unwrap_err();
/// assert_eq!(error.to_string(), "visits = -1 can't be decomposed (finite and 0 or more)");
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum StageError {
    /// A factor or total that is negative or not finite.
    #[error("{name} = {value} can't be decomposed (finite and 0 or more)")]
    Value {
        /// Whose.
        name: Arc<str>,
        /// The value.
        value: f64,
    },
    /// Too few or too many factors.
    #[error("{found} factors can't be decomposed (1 to 16)")]
    Length {
        /// The number.
        found: usize,
    },
}

/// A change of a product, split exactly among its factors.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Link, decompose};
///
/// let links = [Link::new("visits", 50.0, 100.0), Link::new("rate", 0.2, 0.2)];
/// let parts = decompose(&links, Attribution::Lmdi)?;
/// assert_eq!((parts.expected, parts.observed, parts.change()), (20.0, 10.0, -10.0));
/// assert_eq!(parts.stages[1].contribution, 0.0);
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decomposition {
    /// The factors in the order of the chain.
    pub stages: Vec<Stage>,
    /// The total as observed.
    pub observed: f64,
    /// The total as expected.
    pub expected: f64,
    /// Levels that were left out because they are missing or contradict those after them; the
    /// factors on both sides of one are joined.
    pub missing: Vec<Arc<str>>,
}

impl Decomposition {
    /// `observed - expected`, which is the sum of all contributions.
    pub fn change(&self) -> f64 {
        self.observed - self.expected
    }

    /// The stage with the largest contribution in either direction, of those that are two standard
    /// deviations off or more. `None` when nothing changed beyond its noise.
    ///
    /// ```
    /// use funnelpulse_analytics::{Attribution, Link, decompose};
    ///
    /// let links = [Link::new("visits", 50.0, 100.0), Link::new("rate", 0.2, 0.2)];
    /// let parts = decompose(&links, Attribution::Lmdi)?;
    /// assert_eq!(&*parts.broken_stage().unwrap().name, "visits");
    /// let unchanged = decompose(&links[1..], Attribution::Lmdi)?;
    /// assert!(unchanged.broken_stage().is_none());
    /// # Ok::<(), funnelpulse_analytics::StageError>(())
    /// ```
    pub fn broken_stage(&self) -> Option<&Stage> {
        let least = 1e-9 * self.observed.max(self.expected);
        let changed = self.stages.iter().filter(|s| s.contribution.abs() > least && s.z().abs() >= 2.0);
        // Of equals the first: what comes later in a funnel follows from what is before.
        changed.reduce(|most, s| if s.contribution.abs() > most.contribution.abs() * (1.0 + 1e-9) { s } else { most })
    }
}

/// Splits the change of a product among its factors, 1 to 16 of them.
///
/// An error for another number of factors, and for values that are negative or not finite.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Link, decompose};
///
/// let links = [Link::new("requests", 90.0, 100.0), Link::new("success rate", 0.5, 1.0)];
/// let parts = decompose(&links, Attribution::Shapley)?;
/// assert_eq!(parts.change(), -55.0);
/// assert_eq!(parts.stages[0].contribution + parts.stages[1].contribution, -55.0);
/// assert_eq!(&*parts.broken_stage().unwrap().name, "success rate");
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
pub fn decompose(links: &[Link], attribution: Attribution) -> Result<Decomposition, StageError> {
    if !(1..=16).contains(&links.len()) {
        return Err(StageError::Length { found: links.len() });
    }
    for link in links {
        for value in [link.observed, link.expected] {
            check(&link.name, value)?;
        }
    }
    let observed: Vec<f64> = links.iter().map(|l| l.observed).collect();
    let expected: Vec<f64> = links.iter().map(|l| l.expected).collect();
    let (total, reference): (f64, f64) = (observed.iter().product(), expected.iter().product());
    check("the observed total", total)?;
    check("the expected total", reference)?;
    let contributions = match attribution {
        Attribution::Lmdi => lmdi(&observed, &expected),
        Attribution::Shapley => shapley(&observed, &expected),
    };
    let stage = |(link, contribution): (&Link, f64)| Stage {
        name: link.name.clone(),
        observed: link.observed,
        expected: link.expected,
        contribution,
        noise: link.noise,
    };
    let stages: Vec<Stage> = links.iter().zip(contributions).map(stage).collect();
    for stage in &stages {
        if !stage.contribution.is_finite() {
            return Err(StageError::Value { name: stage.name.clone(), value: stage.contribution });
        }
    }
    Ok(Decomposition { stages, observed: total, expected: reference, missing: Vec::new() })
}

fn check(name: &str, value: f64) -> Result<(), StageError> {
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(StageError::Value { name: name.into(), value }) }
}

fn lmdi(observed: &[f64], expected: &[f64]) -> Vec<f64> {
    let (total, reference): (f64, f64) = (observed.iter().product(), expected.iter().product());
    if total == 0.0 || reference == 0.0 {
        let change = total - reference;
        let vanished = if total == 0.0 { observed } else { expected };
        let zeros = vanished.iter().filter(|v| **v == 0.0).count().max(1) as f64;
        return vanished.iter().map(|v| if *v == 0.0 { change / zeros } else { 0.0 }).collect();
    }
    let logs: Vec<f64> = observed.iter().zip(expected).map(|(o, e)| (o / e).ln()).collect();
    let all: f64 = logs.iter().sum();
    let mean = if all == 0.0 { reference } else { reference * all.exp_m1() / all };
    logs.iter().map(|log| if *log == 0.0 { 0.0 } else { mean * log }).collect()
}

fn shapley(observed: &[f64], expected: &[f64]) -> Vec<f64> {
    let n = observed.len();
    // Of n factors, orders in which exactly `size` others have changed before a given one.
    let mut weight = vec![1.0 / n as f64; n];
    for size in 1..n {
        weight[size] = weight[size - 1] * size as f64 / (n - size) as f64;
    }
    let product = |changed: usize, without: usize| -> f64 {
        let factor = |k: usize| if changed >> k & 1 == 1 { observed[k] } else { expected[k] };
        (0..n).filter(|k| *k != without).map(factor).product()
    };
    let part = |k: usize| {
        let others = (0..1usize << n).filter(|set| set >> k & 1 == 0);
        let sum: f64 = others.map(|set| weight[set.count_ones() as usize] * product(set, k)).sum();
        (observed[k] - expected[k]) * sum
    };
    (0..n).map(part).collect()
}

/// One level of a chain such as a funnel: a total, and the name of its ratio to the level before.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Level, decompose_levels};
///
/// let views = Level::new("views", "traffic", 1000.0, 1000.0);
/// let purchases = Level::new("purchases", "conversion", 10.0, 50.0);
/// let parts = decompose_levels(&[views, purchases], Attribution::Lmdi)?;
/// assert_eq!((&*parts.stages[1].name, parts.stages[1].observed), ("conversion", 0.01));
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The total, for example `purchases`.
    pub name: Arc<str>,
    /// Its ratio to the level before, for example `purchase_rate`; for the first level its name.
    pub rate: Arc<str>,
    /// The total as observed, NaN when missing.
    pub observed: f64,
    /// The total as expected, NaN when missing.
    pub expected: f64,
}

impl Level {
    /// A level.
    pub fn new(name: impl Into<Arc<str>>, rate: impl Into<Arc<str>>, observed: f64, expected: f64) -> Self {
        Self { name: name.into(), rate: rate.into(), observed, expected }
    }
}

/// Splits the change of the last level among the first level and the ratios between neighbours.
///
/// - A level that is missing (NaN, negative), or zero although a later one is not (purchases
///   without views: its tracking is down), is left out, and its two ratios become one, named `a x
///   b`.
/// - A ratio of nothing to nothing is unknown and taken for unchanged: in an outage without one
///   cart the purchase rate is not to blame.
/// - The last level must be there.
///
/// Noise is what chance does to events that come one by one: Poisson for the first level, binomial
/// for a ratio below one. That of ratios above one, such as order value, takes single orders to
/// scatter as much as their mean.
///
/// ```
/// use funnelpulse_analytics::{Attribution, Level, decompose_levels};
///
/// // The tracking of views is down: its two ratios become one.
/// let views = Level::new("views", "traffic", f64::NAN, 1000.0);
/// let purchases = Level::new("purchases", "conversion", 50.0, 50.0);
/// let parts = decompose_levels(&[views, purchases], Attribution::Lmdi)?;
/// assert_eq!(&*parts.missing[0], "views");
/// assert_eq!(&*parts.stages[0].name, "traffic x conversion");
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
pub fn decompose_levels(levels: &[Level], attribution: Attribution) -> Result<Decomposition, StageError> {
    let Some(last) = levels.last() else { return Err(StageError::Length { found: 0 }) };
    check(&last.name, last.observed)?;
    check(&last.name, last.expected)?;
    let usable = |side: fn(&Level) -> f64, level: &Level, later: &[Level]| {
        let value = side(level);
        value.is_finite() && value >= 0.0 && (value > 0.0 || !later.iter().any(|l| side(l) > 0.0))
    };
    let mut links: Vec<Link> = Vec::new();
    let mut missing = Vec::new();
    let mut before: Option<&Level> = None;
    let mut name = String::new();
    for (i, level) in levels.iter().enumerate() {
        if !name.is_empty() {
            name.push_str(" x ");
        }
        name.push_str(&level.rate);
        let rest = &levels[i + 1..];
        if !usable(|l| l.observed, level, rest) || !usable(|l| l.expected, level, rest) {
            missing.push(level.name.clone());
            continue;
        }
        links.push(link(std::mem::take(&mut name).into(), before, level));
        before = Some(level);
    }
    let result = decompose(&links, attribution)?;
    // The ratios multiply to the totals up to rounding; the totals themselves are what was asked.
    Ok(Decomposition { missing, ..result })
}

fn link(name: Arc<str>, before: Option<&Level>, level: &Level) -> Link {
    let Some(before) = before else {
        return Link { name, observed: level.observed, expected: level.expected, noise: level.expected.powf(-0.5) };
    };
    let (observed, expected) = (level.observed / before.observed, level.expected / before.expected);
    let (observed, expected) = match (observed.is_nan(), expected.is_nan()) {
        (true, true) => (0.0, 0.0),
        (true, false) => (expected, expected),
        (false, true) => (observed, observed),
        (false, false) => (observed, expected),
    };
    let variance = if level.expected < before.expected { 1.0 / expected - 1.0 } else { 1.0 };
    Link { name, observed, expected, noise: (variance / before.observed).sqrt() }
}

/// Totals of a shop's funnel over any time.
///
/// ```
/// use funnelpulse_analytics::{Attribution, FunnelTotals, decompose_funnel};
///
/// let usual = FunnelTotals { views: 100.0, carts: 20.0, purchases: 5.0, revenue: 100.0 };
/// let outage = FunnelTotals { purchases: 0.0, revenue: 0.0, ..usual };
/// let parts = decompose_funnel(outage, usual, Attribution::Lmdi)?;
/// assert_eq!(&*parts.broken_stage().unwrap().name, "purchase_rate");
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunnelTotals {
    /// Product views.
    pub views: f64,
    /// Products put into a cart.
    pub carts: f64,
    /// Purchases.
    pub purchases: f64,
    /// Revenue.
    pub revenue: f64,
}

/// Splits the change of revenue into `views`, `cart_rate`, `purchase_rate` and `order_value`; see
/// [`decompose_levels`] for zeros and missing totals.
///
/// ```
/// use funnelpulse_analytics::{Attribution, FunnelTotals, decompose_funnel};
///
/// // Carts as always, next to no purchases.
/// let observed = FunnelTotals { views: 4100.0, carts: 610.0, purchases: 9.0, revenue: 45.0 };
/// let expected = FunnelTotals { views: 4000.0, carts: 600.0, purchases: 200.0, revenue: 1000.0 };
/// let parts = decompose_funnel(observed, expected, Attribution::Lmdi)?;
/// assert_eq!(&*parts.broken_stage().unwrap().name, "purchase_rate");
/// let sum: f64 = parts.stages.iter().map(|s| s.contribution).sum();
/// assert!((sum + 955.0).abs() < 1e-9);
/// # Ok::<(), funnelpulse_analytics::StageError>(())
/// ```
pub fn decompose_funnel(
    observed: FunnelTotals,
    expected: FunnelTotals,
    attribution: Attribution,
) -> Result<Decomposition, StageError> {
    let levels = [
        Level::new("views", "views", observed.views, expected.views),
        Level::new("carts", "cart_rate", observed.carts, expected.carts),
        Level::new("purchases", "purchase_rate", observed.purchases, expected.purchases),
        Level::new("revenue", "order_value", observed.revenue, expected.revenue),
    ];
    decompose_levels(&levels, attribution)
}

#[cfg(test)]
mod tests;
