//! Inputs of building an entry of the catalog.

use funnelpulse_config::Settings;

use crate::{Config, PipelineError, matrix::RESIDUAL};

/// The configuration as one entry of the catalog sees it.
///
/// ```
/// use funnelpulse_baseline::{ZScore, ZScoreConfig};
/// use funnelpulse_config::Section;
/// use funnelpulse_core::AnyDetector;
/// use funnelpulse_pipeline::{BuildContext, Catalog, Entry};
///
/// let build = |context: &BuildContext<'_>| {
///     let settings = context.settings::<ZScoreConfig>()?.clone();
///     Ok(AnyDetector::series(ZScore::new(settings)).into())
/// };
/// let section = Section::new("plain", ZScoreConfig::default(), |_| Ok(()));
/// let entry = Entry::new("plain", "z-score with settings of its own", build).section(section);
/// let catalog = Catalog::empty().with(entry);
/// assert!(catalog.get("plain").unwrap().build(&catalog.config()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BuildContext<'a> {
    name: &'static str,
    section: Option<&'static str>,
    config: &'a Config,
}

impl<'a> BuildContext<'a> {
    pub(super) fn new(name: &'static str, section: Option<&'static str>, config: &'a Config) -> Self {
        Self { name, section, config }
    }

    /// The whole configuration.
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// The settings of the detector. An error where the configuration has no such section, or one
    /// of another type.
    pub fn settings<C: Settings>(&self) -> Result<&'a C, PipelineError> {
        let found = self.section.and_then(|section| self.config.detectors.get(section));
        found.ok_or_else(|| PipelineError::Detector {
            detector: self.name.to_owned(),
            reason: "has no section of its type in the configuration",
        })
    }

    /// An error of the detector's settings.
    pub fn invalid(&self, error: impl std::error::Error + Send + Sync + 'static) -> PipelineError {
        PipelineError::Config(funnelpulse_config::ConfigError::invalid(self.section.unwrap_or(self.name), error))
    }
}

/// The columns that detectors may see.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::shop;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_baseline::{ZScore, ZScoreConfig};
/// use funnelpulse_core::AnyDetector;
/// use funnelpulse_pipeline::{BuildContext, Catalog, Entry, Pipeline};
///
/// let build = |_: &BuildContext<'_>| {
///     Ok(AnyDetector::series(ZScore::new(ZScoreConfig::default())).into())
/// };
/// let entry = Entry::new("stored", "z-score of stored metrics", build)
///     .columns(|_, names| names.stored())
///     .runs_by_default(1);
/// let pipeline = Pipeline::builder().catalog(Catalog::empty().with(entry)).build()?;
/// let findings = pipeline.run(&shop(120))?;
/// assert_eq!(findings.detectors()[0].score, "stored_anomaly_score");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnNames {
    pub(crate) stored: Vec<String>,
    pub(crate) metrics: Vec<String>,
    pub(crate) hourly: Vec<String>,
    pub(crate) trailing: Vec<String>,
    pub(crate) engineered: Vec<String>,
}

impl ColumnNames {
    /// Stored metrics.
    pub fn stored(&self) -> Vec<String> {
        self.stored.clone()
    }

    /// Stored metrics, then rates.
    pub fn metrics(&self) -> Vec<String> {
        self.metrics.clone()
    }

    /// Seasonal z-scores of all metrics: of single rows, then added up over windows.
    pub fn residuals(&self) -> Vec<String> {
        [&self.hourly[..], &self.trailing].concat()
    }

    /// Seasonal z-scores of all metrics, added up over windows.
    pub fn trailing_residuals(&self) -> Vec<String> {
        self.trailing.clone()
    }

    /// Seasonal z-scores of these metrics, added up over windows.
    pub fn trailing_residuals_of(&self, metrics: &[String]) -> Vec<String> {
        let is_of = |column: &&String| metrics.iter().any(|m| column.strip_prefix(m.as_str()).is_some_and(is_trailing));
        self.trailing.iter().filter(is_of).cloned().collect()
    }

    /// The columns that a name in `pipeline.columns` stands for: those of a group, or itself.
    ///
    /// | group | columns |
    /// |---|---|
    /// | `@stored` | stored metrics |
    /// | `@metrics` | stored metrics, then rates |
    /// | `@residuals` | seasonal z-scores of single rows, then added up over windows |
    /// | `@trailing_residuals` | seasonal z-scores added up over windows |
    pub(crate) fn resolve(&self, name: &str) -> Vec<String> {
        match name {
            "@stored" => self.stored(),
            "@metrics" => self.metrics(),
            "@residuals" => self.residuals(),
            "@trailing_residuals" => self.trailing_residuals(),
            column => vec![column.to_owned()],
        }
    }

    /// Every column that a detector may see.
    pub fn all(&self) -> Vec<String> {
        [&self.metrics[..], &self.engineered, &self.hourly, &self.trailing].concat()
    }
}

/// Whether what follows a metric's name makes it a column of z-scores added up over a window.
fn is_trailing(rest: &str) -> bool {
    rest.strip_prefix(RESIDUAL).is_some_and(|window| window.starts_with('_'))
}
