//! Localisation of an incident: the attribute combinations that explain it.

mod baseline;
mod cause;
mod config;
mod likelihood;
mod search;
mod table;

pub use baseline::History;
pub use cause::{Cause, Combination, Localization};
pub use config::{LocalizeConfig, LocalizeError};
pub use table::Leaves;

use likelihood::Evidence;
use search::Best;
use table::Coded;

/// A cause with its factor.
type Found = (Best, f64);

/// Finds the attribute combinations that explain why a measure left its expectation.
///
/// The leaves of a cube (say brand x device x price band) come with what was observed and what was
/// expected. A *cause* is a combination such as `device = mobile, brand = runail`; it multiplies
/// the expectation of every leaf below it by one factor, the ripple effect of Squeeze (Li et al.
/// 2019, section 3.2). Its evidence is the log likelihood ratio of that model against "as
/// expected", where a leaf is negative binomial around its mean: counting noise, and on top of it
/// the [`dispersion`](LocalizeConfig::dispersion) by which leaves hit by the same cause differ.
/// Through that term a huge leaf can't outvote all others, a normal leaf below a combination is
/// evidence against it, and leaves with next to no data are neutral. The length of the description,
/// attribute by attribute, is subtracted from the evidence (minimum description length, Rissanen
/// 1978), so that the shortest description wins when a longer one explains no more. Where nothing
/// is found at that tolerance, and the leaves as a whole scatter less, their own scatter is the
/// tolerance of a second look: the loss of a fifth in ten leaves shows where all others are within
/// a few percent.
///
/// The best combination is found exactly by branch and bound, its effect is taken into the
/// expectations, and the search goes on while there is another one of weight. The same is done from
/// "everything changed by one factor" on, and what explains more is reported. It's a spatial scan
/// statistic (Kulldorff 1997) over a lattice of attributes; Adtributor (Bhagwan et al. 2014) and
/// `RiskLoc` (Kalander 2022) answer the same question by rules of thumb. Cost: leaves x sets of
/// attributes that branch and bound leaves over, some milliseconds for thousands of leaves.
///
/// It answers where, given that something happened; it's no detector: asked about an ordinary hour
/// it names whatever small part of it stands out.
///
/// ```
/// use funnelpulse_analytics::{Leaves, LocalizeConfig, Localizer};
///
/// let mut leaves = Leaves::new(["device", "country"]);
/// for device in ["mobile", "desktop", "tablet"] {
///     for country in ["de", "fr", "it", "es"] {
///         let observed = if device == "mobile" { 21.0 } else { 98.0 };
///         leaves.push(&[Some(device), Some(country)], observed, 100.0)?;
///     }
/// }
/// let found = Localizer::new(LocalizeConfig::default())?.localize(&leaves);
/// assert_eq!(found.causes.len(), 1);
/// assert_eq!(found.causes[0].combination.to_string(), "device = mobile");
/// assert_eq!((found.causes[0].observed, found.causes[0].expected), (84.0, 400.0));
/// # Ok::<(), funnelpulse_analytics::LocalizeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Localizer {
    config: LocalizeConfig,
}

impl TryFrom<LocalizeConfig> for Localizer {
    type Error = LocalizeError;

    fn try_from(config: LocalizeConfig) -> Result<Self, LocalizeError> {
        Self::new(config)
    }
}

impl Localizer {
    /// A localizer with these settings. An error names the setting, its value and the allowed
    /// range.
    pub fn new(config: LocalizeConfig) -> Result<Self, LocalizeError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The causes, strongest first; none when the leaves are as expected.
    ///
    /// Leaves without a usable number don't count, see [`Localization::skipped`]. The order in
    /// which leaves were added makes no difference except for the last bits of sums.
    pub fn localize(&self, leaves: &Leaves) -> Localization {
        let coded = leaves.coded(self.config.unit);
        let evidence = Evidence::new(&coded, self.config.dispersion);
        let mut found = self.causes(&coded, &evidence);
        if found.is_empty() {
            if let Some(sharper) = evidence.with_scatter_of_leaves() {
                found = self.causes(&coded, &sharper);
            }
        }
        cause::describe(leaves, &coded, &found)
    }

    fn causes(&self, coded: &Coded, evidence: &Evidence) -> Vec<Found> {
        let mut found = self.explain(coded, evidence.clone(), Vec::new());
        // Weighed before any correction: "everything doubled, and half of it halved" is no answer.
        let total: f64 = found.iter().map(|(best, _)| best.evidence).sum();
        if let Some(all) = search::everywhere(evidence, coded.observed.len()).filter(|all| all.evidence > total) {
            let mut rest = evidence.clone();
            let factor = rest.apply(&all.members, all.grid_index);
            found = self.explain(coded, rest, vec![(all, factor)]);
        }
        let weight = self.config.min_share * found.first().map_or(0.0, |(first, _)| first.evidence);
        found.retain(|(best, _)| best.evidence >= weight.max(self.config.min_evidence));
        found
    }

    /// Adds causes to `found`, one by one, while there is another one.
    fn explain(&self, coded: &Coded, mut evidence: Evidence, mut found: Vec<Found>) -> Vec<Found> {
        while found.len() < self.config.max_causes {
            let Some(best) = search::best(coded, &evidence, self.config.max_attributes, self.config.min_evidence)
            else {
                break;
            };
            // The same leaves a second time would only correct the factor of the first.
            let known = found.iter().any(|(other, _)| other.members == best.members);
            if best.evidence < self.config.min_evidence || known {
                break;
            }
            let factor = evidence.apply(&best.members, best.grid_index);
            found.push((best, factor));
        }
        found
    }
}

#[cfg(test)]
mod tests;
