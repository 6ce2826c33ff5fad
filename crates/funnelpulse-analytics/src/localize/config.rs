//! Settings and errors of root cause localization.

use serde::{Deserialize, Serialize};

/// Settings of [`Localizer`](crate::Localizer).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalizeConfig {
    /// Squared relative spread of the leaves around a common factor, above 0 to 100: .25 says that
    /// leaves hit by one cause differ by half of their size.
    pub dispersion: f64,
    /// The size of one event in the unit of an additive measure, for example the mean price of an
    /// order where revenue is explained; above 0. Counts have 1. Without it, 1 where all numbers
    /// observed are whole, and otherwise estimated from the scatter of the leaves.
    pub unit: Option<f64>,
    /// Most attributes in one combination, 1 to 16.
    pub max_attributes: usize,
    /// Most causes of one incident, 1 to 100.
    pub max_causes: usize,
    /// The least evidence of a cause in nats, 0 or more: 5 is odds of 150 to 1.
    pub min_evidence: f64,
    /// The least evidence of a further cause, as a share of that of the first; 0 to 1.
    pub min_share: f64,
}

/// The defaults, of which single settings can be replaced.
///
/// ```
/// use funnelpulse_analytics::{LocalizeConfig, Localizer};
///
/// let config = LocalizeConfig { max_causes: 1, max_attributes: 2, ..LocalizeConfig::default() };
/// assert!(Localizer::new(config).is_ok());
/// ```
impl Default for LocalizeConfig {
    fn default() -> Self {
        Self { dispersion: 0.25, unit: None, max_attributes: 4, max_causes: 5, min_evidence: 5.0, min_share: 0.2 }
    }
}

/// Errors of a localisation.
///
/// ```
/// use funnelpulse_analytics::LocalizeConfig;
///
/// let config = LocalizeConfig { dispersion: 0.0, ..LocalizeConfig::default() };
/// let error = config.validate().unwrap_err();
/// assert_eq!(error.to_string(), "dispersion = 0 is out of range (above 0 to 100)");
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LocalizeError {
    /// A setting out of its range.
    #[error("{name} = {value} is out of range ({allowed})")]
    Field {
        /// The field.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A leaf with too few or too many attribute values.
    #[error("leaf {row} has {found} attribute values ({expected} expected)")]
    Width {
        /// The leaf, counted from 0 in the order they were added.
        row: usize,
        /// Its number of values.
        found: usize,
        /// The number of attributes.
        expected: usize,
    },
}

impl LocalizeConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), LocalizeError> {
        let check = |ok: bool, name, value, allowed| {
            if ok { Ok(()) } else { Err(LocalizeError::Field { name, value, allowed }) }
        };
        let Self { dispersion, unit, max_attributes, max_causes, min_evidence, min_share } = *self;
        check(dispersion > 0.0 && dispersion <= 100.0, "dispersion", dispersion, "above 0 to 100")?;
        let unit = unit.unwrap_or(1.0);
        check(unit > 0.0 && unit.is_finite(), "unit", unit, "above 0")?;
        check((1..=16).contains(&max_attributes), "max_attributes", max_attributes as f64, "1 to 16")?;
        check((1..=100).contains(&max_causes), "max_causes", max_causes as f64, "1 to 100")?;
        check(min_evidence >= 0.0, "min_evidence", min_evidence, "0 or more")?;
        check((0.0..=1.0).contains(&min_share), "min_share", min_share, "0 to 1")
    }
}
