//! Settings for what is not a shop's funnel.

use std::str::FromStr;

use funnelpulse_config::{ConfigError, Layers};

use crate::{Catalog, Config};

/// Settings that belong together, to start from instead of the defaults.
///
/// ```
/// use funnelpulse_pipeline::Preset;
///
/// assert_eq!(Preset::Univariate.as_str(), "univariate");
/// assert_eq!("univariate".parse::<Preset>()?, Preset::Univariate);
/// # Ok::<(), funnelpulse_config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// One column called `value` of any meaning, sampled at any rate: subsequences that nothing
    /// resembles, and values out of the ordinary. Rows are scored in the light of those after them.
    Univariate,
    /// A shop's funnel as the original system judged it: its four detectors, its weights (30, 30, 25 and 15 %) and its
    /// weighted mean of scores with a fixed threshold. Needs a build with the cargo feature `lstm-ae`.
    Original,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 2] = [Self::Univariate, Self::Original];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Univariate => "univariate",
            Self::Original => "original",
        }
    }

    /// The settings, as a layer of a document.
    pub const fn toml(self) -> &'static str {
        match self {
            Self::Univariate => include_str!("../presets/univariate.toml"),
            Self::Original => include_str!("../presets/original.toml"),
        }
    }

    /// Layers over the defaults of these detectors and the settings of the preset.
    ///
    /// # Panics
    /// Never: presets are TOML.
    ///
    /// ```
    /// use funnelpulse_pipeline::{Catalog, Preset};
    ///
    /// let layers = Preset::Univariate.layers(&Catalog::default());
    /// let config = layers.toml("ensemble.threshold = 0.8")?.build()?;
    /// assert_eq!(config.ensemble.threshold, 0.8);
    /// assert_eq!(config.primary_metric(), "value");
    /// # Ok::<(), funnelpulse_config::ConfigError>(())
    /// ```
    pub fn layers(self, catalog: &Catalog) -> Layers<Catalog> {
        let layers = catalog.layers().toml(self.toml()).expect("presets are TOML");
        match self {
            // Without the feature there is no such section.
            Self::Original if cfg!(feature = "lstm-ae") => {
                layers.toml(include_str!("../presets/original-network.toml")).expect("presets are TOML")
            }
            _ => layers,
        }
    }

    /// The settings over the defaults.
    ///
    /// ```
    /// use funnelpulse_pipeline::Preset;
    ///
    /// let config = Preset::Univariate.config()?;
    /// assert_eq!(config.input.metrics[0].name, "value");
    /// assert!(config.pipeline.detectors.contains(&"subsequence".to_owned()));
    /// # Ok::<(), funnelpulse_config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A detector of the preset is not in this build.
    pub fn config(self) -> Result<Config, ConfigError> {
        self.layers(&Catalog::default()).build()
    }
}

impl FromStr for Preset {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|p| p.as_str() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            ConfigError::Value { key: "preset".to_owned(), reason: format!("`{name}` is none (there are: {known})") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "lstm-ae")]
    #[test]
    fn the_original_has_its_four_detectors_weights_and_vote() {
        let config = Preset::Original.config().unwrap();
        assert_eq!(config.pipeline.detectors, ["lstm-ae", "seasonal", "iforest", "changepoint"]);
        let weights: Vec<f64> = config.pipeline.detectors.iter().map(|name| config.ensemble.weights[name]).collect();
        assert_eq!(weights, [0.30, 0.30, 0.25, 0.15]);
        assert_eq!((config.ensemble.voting, config.ensemble.threshold), (funnelpulse_ensemble::Voting::Weighted, 0.5));
        assert_eq!(config.alerts.budget, funnelpulse_core::AlarmBudget::OFF);
    }

    #[test]
    fn presets_are_valid_and_can_be_overridden() {
        for preset in Preset::ALL {
            let config = preset.config().and_then(|config| config.validate(&Catalog::default()));
            match config {
                Err(error) if preset == Preset::Original && cfg!(not(feature = "lstm-ae")) => {
                    assert!(error.to_string().contains("cargo feature `lstm-ae`"), "{error}");
                }
                valid => assert_eq!(valid.err().map(|e| e.to_string()), None),
            }
            assert_eq!(preset.as_str().parse::<Preset>().ok(), Some(preset));
        }
        let metrics = r#"[{ name = "load", kind = "amount" }]"#;
        let config =
            Preset::Univariate.layers(&Catalog::default()).set("input.metrics", metrics).unwrap().build().unwrap();
        assert_eq!(config.primary_metric(), "load");
        assert!("funnel".parse::<Preset>().unwrap_err().to_string().contains("univariate"));
    }
}
