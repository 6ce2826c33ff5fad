//! Results of a localisation.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::Serialize;

use super::{Found, Leaves, table::Coded};
use crate::short;

/// Attribute values that together select leaves; empty selects all.
///
/// ```
/// use funnelpulse_analytics::Combination;
///
/// let mobile = Combination { pairs: vec![("device".into(), Some("mobile".into()))] };
/// assert_eq!(mobile.to_string(), "device = mobile");
/// assert_eq!(Combination::default().to_string(), "everywhere");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Combination {
    /// Attribute and value, `None` for a missing one, in the order of the attributes.
    pub pairs: Vec<(Arc<str>, Option<Arc<str>>)>,
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pairs.is_empty() {
            return f.write_str("everywhere");
        }
        for (i, (attribute, value)) in self.pairs.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{attribute} = {}", value.as_deref().unwrap_or("(none)"))?;
        }
        Ok(())
    }
}

/// A combination that explains part of an incident.
///
/// ```
/// use funnelpulse_analytics::{Cause, Combination};
///
/// let cause = Cause {
///     combination: Combination::default(),
///     observed: 4.0,
///     expected: 40.0,
///     factor: 0.1,
///     evidence: 25.0,
///     leaves: 3,
/// };
/// assert_eq!(cause.difference(), -36.0);
/// assert_eq!(cause.to_string(), "everywhere: 4 instead of 40");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The combination.
    pub combination: Combination,
    /// The observed sum.
    pub observed: f64,
    /// The expected sum.
    pub expected: f64,
    /// The common factor of its leaves, after those of the causes before it.
    pub factor: f64,
    /// Log likelihood ratio less the cost of naming the combination, in nats.
    pub evidence: f64,
    /// Number of leaves it selects.
    pub leaves: usize,
}

impl Cause {
    /// `observed - expected`.
    pub fn difference(&self) -> f64 {
        self.observed - self.expected
    }
}

/// `device = mobile: 84 instead of 400`
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} instead of {}", self.combination, short(self.observed), short(self.expected))
    }
}

/// The result of [`Localizer::localize`](crate::Localizer::localize).
///
/// ```
/// use funnelpulse_analytics::{Leaves, LocalizeConfig, Localizer};
///
/// let mut leaves = Leaves::new(["device"]);
/// leaves.push(&[Some("mobile")], 5.0, 100.0)?;
/// leaves.push(&[Some("desktop")], 100.0, 100.0)?;
/// leaves.push(&[Some("tablet")], 100.0, 100.0)?;
/// let found = Localizer::new(LocalizeConfig::default())?.localize(&leaves);
/// assert_eq!(found.to_string(), "device = mobile: 5 instead of 100, 100 % of the change");
/// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Localization {
    /// The causes, strongest first.
    pub causes: Vec<Cause>,
    /// The sum over all leaves of what was observed.
    pub observed: f64,
    /// The sum over all leaves of what was expected.
    pub expected: f64,
    /// `observed - expected` of the leaves below any cause, each counted once.
    pub explained: f64,
    /// Leaves left out because a number is missing, infinite or negative.
    pub skipped: usize,
}

impl Localization {
    /// The explained part of `observed - expected`: 1 when causes account for all of it, above 1
    /// when other leaves went the other way, `None` when there is no difference.
    ///
    /// ```
    /// use funnelpulse_analytics::Localization;
    ///
    /// let found = Localization {
    ///     observed: 50.0,
    ///     expected: 100.0,
    ///     explained: -40.0,
    ///     ..Localization::default()
    /// };
    /// assert_eq!(found.explained_share(), Some(0.8));
    /// ```
    pub fn explained_share(&self) -> Option<f64> {
        let share = self.explained / (self.observed - self.expected);
        share.is_finite().then_some(share)
    }
}

/// `device = mobile: 84 instead of 400, 98 % of the change`; causes are separated by `;`.
impl fmt::Display for Localization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.causes.is_empty() {
            return f.write_str("no part of it stands out");
        }
        let named: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        f.write_str(&named.join("; "))?;
        let share = 100.0 * self.explained_share().unwrap_or(f64::NAN);
        // Causes of opposite sign have shares above 100 %, which are not informative.
        if (0.5..100.5).contains(&share) && !self.causes.iter().any(|c| c.combination.pairs.is_empty()) {
            write!(f, ", {share:.0} % of the change")?;
        }
        Ok(())
    }
}

pub(super) fn describe(leaves: &Leaves, coded: &Coded, found: &[Found]) -> Localization {
    let sum = |values: &[f64], members: &[u32]| members.iter().map(|i| values[*i as usize]).sum::<f64>();
    let cause = |(best, factor): &Found| {
        let first = best.members[0] as usize;
        let pair = |a: &usize| (leaves.attributes()[*a].clone(), leaves.value(*a, coded.codes[*a][first]));
        Cause {
            combination: Combination { pairs: best.attributes.iter().map(pair).collect() },
            observed: sum(&coded.observed, &best.members),
            expected: sum(&coded.expected, &best.members),
            factor: *factor,
            evidence: best.evidence,
            leaves: best.members.len(),
        }
    };
    let below: BTreeSet<u32> = found.iter().flat_map(|(best, _)| best.members.iter().copied()).collect();
    let below: Vec<u32> = below.into_iter().collect();
    Localization {
        causes: found.iter().map(cause).collect(),
        observed: coded.observed.iter().sum(),
        expected: coded.expected.iter().sum(),
        explained: sum(&coded.observed, &below) - sum(&coded.expected, &below),
        skipped: coded.skipped,
    }
}
