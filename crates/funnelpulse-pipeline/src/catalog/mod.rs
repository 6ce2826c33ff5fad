//! Everything that is known of a detector by its name.

mod alone;
mod built_in;
mod context;

use std::{fmt, sync::Arc};

use funnelpulse_config::Section;
use funnelpulse_core::{
    AnomalyType, AnyDetector, FittedDetector, FittedPanelDetector, Funnel, PersistentModel, Registry,
};

pub use alone::{RawScores, TrainedOn};
pub use context::{BuildContext, ColumnNames};

use crate::{Config, PipelineError, Scope};

/// The result of building a detector.
///
/// ```
/// use funnelpulse_pipeline::{Built, Catalog, Config};
///
/// let catalog = Catalog::default();
/// let built = catalog.get("zscore").unwrap().build(&Config::default())?;
/// assert!(matches!(built, Built::Detector(_)));
/// # Ok::<(), funnelpulse_pipeline::PipelineError>(())
/// ```
#[derive(Clone, Debug)]
pub enum Built {
    /// A detector.
    Detector(AnyDetector),
    /// The input has nothing for it to look at; the reason in words.
    NotApplicable(String),
}

impl From<AnyDetector> for Built {
    fn from(detector: AnyDetector) -> Self {
        Self::Detector(detector)
    }
}

type Build = dyn Fn(&BuildContext<'_>) -> Result<Built, PipelineError> + Send + Sync;
type DefaultColumns = dyn Fn(&Config, &ColumnNames) -> Vec<String> + Send + Sync;
type FunnelOf = dyn Fn(&Config) -> Option<Funnel> + Send + Sync;

/// One detector of a [`Catalog`]: its name and everything that goes with it.
///
/// Two parts are needed, the name and how it is built; the others have defaults.
/// `examples/own-detector` registers one from outside the workspace.
///
/// ```
/// use funnelpulse_baseline::{ZScore, ZScoreConfig, ZScoreModel};
/// use funnelpulse_core::AnyDetector;
/// use funnelpulse_pipeline::{BuildContext, Catalog, Entry, Scope};
///
/// let build = |_: &BuildContext<'_>| {
///     Ok(AnyDetector::series(ZScore::new(ZScoreConfig::default())).into())
/// };
/// let entry = Entry::new("plain", "z-score without settings", build)
///     .scope(Scope::Pooled)
///     .weight(0.2)
///     .model::<ZScoreModel>();
/// let catalog = Catalog::default().with(entry);
/// assert_eq!(catalog.default_weights()["plain"], 0.2);
/// ```
#[derive(Clone)]
pub struct Entry {
    name: &'static str,
    summary: &'static str,
    section: Option<Section>,
    build: Arc<Build>,
    columns: Arc<DefaultColumns>,
    scope: Scope,
    weight: f64,
    default_position: Option<u8>,
    score_column: String,
    expected_column: Option<String>,
    is_original: bool,
    anomaly_type: Option<AnomalyType>,
    funnel: Option<Arc<FunnelOf>>,
    register: Vec<fn(Registry) -> Registry>,
}

impl Entry {
    /// A detector called `name`. By default it sees the residuals of all metrics, has one model per
    /// series, a weight of 0.3 and no settings, and runs only where a configuration names it.
    pub fn new(
        name: &'static str,
        summary: &'static str,
        build: impl Fn(&BuildContext<'_>) -> Result<Built, PipelineError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            summary,
            section: None,
            build: Arc::new(build),
            columns: Arc::new(|_, names| names.residuals()),
            scope: Scope::PerSeries,
            weight: 0.3,
            default_position: None,
            score_column: format!("{}_anomaly_score", name.replace('-', "_")),
            expected_column: None,
            is_original: false,
            anomaly_type: None,
            funnel: None,
            register: Vec::new(),
        }
    }

    /// Its settings as a section of the configuration.
    pub fn section(mut self, section: Section) -> Self {
        self.section = Some(section);
        self
    }

    /// The columns it sees unless `pipeline.columns` names others.
    pub fn columns(mut self, columns: impl Fn(&Config, &ColumnNames) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.columns = Arc::new(columns);
        self
    }

    /// One model per series, or one of all of them, unless `pipeline.scope` is configured.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Its weight in the ensemble unless `ensemble.weights` are configured.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// It runs unless `pipeline.detectors` are configured, at this position among the others that
    /// do.
    pub fn runs_by_default(mut self, position: u8) -> Self {
        self.default_position = Some(position);
        self
    }

    /// The columns of its scores, and of what it expects of the primary metric, in the output
    /// table.
    ///
    /// ```
    /// use funnelpulse_core::AnyDetector;
    /// use funnelpulse_pipeline::{BuildContext, Catalog, Entry, Pipeline};
    /// # use funnelpulse_baseline::{ZScore, ZScoreConfig};
    ///
    /// let build = |_: &BuildContext<'_>| {
    ///     Ok(AnyDetector::series(ZScore::new(ZScoreConfig::default())).into())
    /// };
    /// let entry = Entry::new("plain", "z-score without settings", build)
    ///     .output_columns("z_score", None)
    ///     .runs_by_default(1);
    /// let catalog = Catalog::empty().with(entry);
    /// assert_eq!(catalog.default_names(), ["plain"]);
    /// assert!(Pipeline::builder().catalog(catalog).build().is_ok());
    /// ```
    pub fn output_columns(mut self, score: &str, expected: Option<&str>) -> Self {
        score.clone_into(&mut self.score_column);
        self.expected_column = expected.map(str::to_owned);
        self
    }

    /// Its columns stand in the output table even if it did not run: one of the original system's
    /// four.
    pub fn original(mut self) -> Self {
        self.is_original = true;
        self
    }

    /// The type of the anomalies in which its score is the highest; by default the type follows
    /// from the value.
    pub fn anomaly_type(mut self, anomaly_type: AnomalyType) -> Self {
        self.anomaly_type = Some(anomaly_type);
        self
    }

    /// The steps of the funnel that it would look at in an input.
    pub fn funnel(mut self, funnel: impl Fn(&Config) -> Option<Funnel> + Send + Sync + 'static) -> Self {
        self.funnel = Some(Arc::new(funnel));
        self
    }

    /// Models of this type can be loaded.
    pub fn model<M: PersistentModel + FittedDetector>(mut self) -> Self {
        self.register.push(Registry::with::<M>);
        self
    }

    /// Models of all series of this type can be loaded.
    pub fn panel_model<M: PersistentModel + FittedPanelDetector>(mut self) -> Self {
        self.register.push(Registry::with_panel::<M>);
        self
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One line of documentation.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// The name of its section in the configuration.
    pub fn section_name(&self) -> Option<&'static str> {
        self.section.as_ref().map(Section::name)
    }

    /// Builds the detector for a configuration.
    pub fn build(&self, config: &Config) -> Result<Built, PipelineError> {
        (self.build)(&BuildContext::new(self.name, self.section_name(), config))
    }

    pub(crate) fn default_columns(&self, config: &Config, names: &ColumnNames) -> Vec<String> {
        (self.columns)(config, names)
    }

    pub(crate) fn default_scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn finds(&self) -> Option<AnomalyType> {
        self.anomaly_type
    }

    pub(crate) fn output(&self) -> funnelpulse_analytics::DetectorColumns {
        funnelpulse_analytics::DetectorColumns {
            detector: self.name.to_owned(),
            score: self.score_column.clone(),
            expected: self.expected_column.clone(),
            always: self.is_original,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// The detectors that a program knows. `Default` has every detector of this build.
///
/// The pipeline, the configuration, the output table, saved models and the command line read it; no
/// other place knows a detector by its name.
///
/// ```
/// use funnelpulse_pipeline::Catalog;
///
/// let catalog = Catalog::default();
/// let config = catalog.layers().toml("[zscore]\nrobust = false")?.build()?;
/// assert!(config.pipeline.detectors.iter().all(|name| catalog.get(name).is_some()));
/// # Ok::<(), funnelpulse_config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
    sections: Vec<Section>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { entries: built_in::entries(), sections: Vec::new() }
    }
}

impl Catalog {
    /// A catalog without any detector.
    pub fn empty() -> Self {
        Self { entries: Vec::new(), sections: Vec::new() }
    }

    /// Adds a detector; one of the same name is replaced.
    ///
    /// ```
    /// use funnelpulse_pipeline::{Catalog, Entry};
    ///
    /// // Replaces the detector of that name by one with another weight.
    /// let entry = Catalog::default().get("zscore").unwrap().clone().weight(0.9);
    /// let catalog = Catalog::default().with(entry);
    /// assert_eq!(catalog.default_weights()["zscore"], 0.9);
    /// assert_eq!(catalog.names().count(), Catalog::default().names().count());
    /// ```
    pub fn with(mut self, entry: Entry) -> Self {
        match self.entries.iter_mut().find(|e| e.name == entry.name) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        self
    }

    /// Adds a section that is no detector's: settings of the program around the pipeline, such as
    /// the reading of tables. They stand beside those of the detectors in [`Config::detectors`].
    ///
    /// ```
    /// use funnelpulse_baseline::ZScoreConfig;
    /// use funnelpulse_config::Section;
    /// use funnelpulse_pipeline::Catalog;
    ///
    /// let section = Section::new("report", ZScoreConfig::default(), |_| Ok(()));
    /// let catalog = Catalog::empty().with_section(section);
    /// assert!(catalog.config().detectors.get::<ZScoreConfig>("report").is_some());
    /// ```
    pub fn with_section(mut self, section: Section) -> Self {
        self.sections.retain(|s| s.name() != section.name());
        self.sections.push(section);
        self
    }

    /// The same detectors with the defaults of their own crates, for use without a pipeline: a
    /// catalog may have others, chosen for what a pipeline shows them.
    pub fn with_plain_defaults(mut self) -> Self {
        for entry in &mut self.entries {
            entry.section = entry.section.take().map(Section::with_plain_default);
        }
        self
    }

    /// The detectors, in the order of their columns in the output table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The detector called `name`.
    ///
    /// ```
    /// use funnelpulse_pipeline::Catalog;
    ///
    /// let catalog = Catalog::default();
    /// assert_eq!(catalog.get("zscore").unwrap().section_name(), Some("zscore"));
    /// assert!(catalog.get("oracle").is_none());
    /// ```
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// The names of all detectors.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries.iter().map(|e| e.name)
    }

    /// The names of those that run unless others are configured.
    ///
    /// ```
    /// use funnelpulse_pipeline::Catalog;
    ///
    /// let catalog = Catalog::default();
    /// assert_eq!(catalog.default_names(), catalog.config().pipeline.detectors);
    /// ```
    pub fn default_names(&self) -> Vec<String> {
        let mut running: Vec<&Entry> = self.entries.iter().filter(|e| e.default_position.is_some()).collect();
        running.sort_by_key(|e| e.default_position);
        running.into_iter().map(|e| e.name.to_owned()).collect()
    }

    /// Their default weights.
    pub fn default_weights(&self) -> std::collections::BTreeMap<String, f64> {
        self.entries.iter().map(|e| (e.name.to_owned(), e.weight)).collect()
    }

    /// The sections that detectors, and the program around them, contribute to the configuration.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.entries.iter().filter_map(|e| e.section.as_ref()).chain(&self.sections)
    }

    /// The models that can be loaded.
    ///
    /// ```
    /// use funnelpulse_pipeline::Catalog;
    ///
    /// let registry = Catalog::default().registry();
    /// assert!(registry.kinds().any(|kind| kind == "zscore"));
    /// ```
    pub fn registry(&self) -> Registry {
        self.entries.iter().flat_map(|e| &e.register).fold(Registry::new(), |registry, register| register(registry))
    }

    /// The steps of the funnel in an input, as the first detector that looks at one sees it;
    /// without such a detector as the names of the metrics say.
    ///
    /// ```
    /// use funnelpulse_pipeline::{Catalog, Config};
    ///
    /// let funnel = Catalog::default().funnel(&Config::default());
    /// assert_eq!(funnel.traffic.as_deref(), Some("views"));
    /// ```
    pub fn funnel(&self, config: &Config) -> Funnel {
        let of_detector = self.entries.iter().filter_map(|e| e.funnel.as_ref()).find_map(|funnel| funnel(config));
        of_detector.or_else(|| config.funnel()).unwrap_or_default()
    }
}
