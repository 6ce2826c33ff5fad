//! The whole configuration.

use funnelpulse_analytics::{AlertConfig, ImpactConfig};
use funnelpulse_config::{ConfigError, Layers, Section, Sections, Shape, read_value, settings};
use funnelpulse_core::Funnel;
use funnelpulse_ensemble::{Ensemble, EnsembleConfig};
use funnelpulse_features::{EventSpec, FeatureConfig, FeatureEngineer, MetricKind, PanelSpec};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{Catalog, PipelineConfig, PipelineError};

/// Everything that can be set. `Default` is the funnel of a shop with the detectors of
/// [`Catalog::default`].
///
/// ```
/// use funnelpulse_pipeline::Config;
///
/// let config = Config::default();
/// assert_eq!(config.ensemble.weights["iforest"], 0.25);
/// let read = Config::layers().toml("[ensemble]\nthreshold = 0.6")?.build()?;
/// assert_eq!(read.ensemble.threshold, 0.6);
/// assert_eq!(read.detectors, config.detectors);
/// # Ok::<(), funnelpulse_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The hourly table: time, keys and metrics.
    pub input: PanelSpec,
    /// Raw events: where their parts are found.
    pub events: EventSpec,
    /// Engineered columns.
    pub features: FeatureConfig,
    /// The detectors that run, their columns and their training.
    pub pipeline: PipelineConfig,
    /// The settings of each detector, and other sections of the catalog.
    pub detectors: Sections,
    /// Weights, votes, thresholds, severities.
    pub ensemble: EnsembleConfig,
    /// The metrics of conversions and of revenue.
    pub impact: ImpactConfig,
    /// Alerts.
    pub alerts: AlertConfig,
}

/// The sections that are no detector's.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct House {
    /// The hourly table: time, keys and metrics.
    input: PanelSpec,
    /// Raw events: where their parts are found.
    events: EventSpec,
    /// Engineered columns.
    features: FeatureConfig,
    /// The detectors that run, their columns and their training.
    pipeline: PipelineConfig,
    /// Weights, votes, thresholds, severities.
    ensemble: EnsembleConfig,
    /// The metrics of conversions and of revenue.
    impact: ImpactConfig,
    /// Alerts.
    alerts: AlertConfig,
}

impl Default for Config {
    fn default() -> Self {
        Catalog::default().config()
    }
}

impl Serialize for Config {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.input)?;
        map.serialize_entry("events", &self.events)?;
        map.serialize_entry("features", &self.features)?;
        map.serialize_entry("pipeline", &self.pipeline)?;
        for (name, section) in self.detectors.iter() {
            map.serialize_entry(name, &section)?;
        }
        map.serialize_entry("ensemble", &self.ensemble)?;
        map.serialize_entry("impact", &self.impact)?;
        map.serialize_entry("alerts", &self.alerts)?;
        map.end()
    }
}

impl Config {
    /// Layers over the defaults of [`Catalog::default`].
    pub fn layers() -> Layers<Catalog> {
        Catalog::default().layers()
    }

    /// Checks every section, and the sections against each other.
    ///
    /// ```
    /// use funnelpulse_pipeline::{Catalog, Config};
    ///
    /// let mut config = Config::default();
    /// config.pipeline.folds = 1;
    /// let error = config.validate(&Catalog::default()).unwrap_err();
    /// assert_eq!(error.to_string(), "[pipeline] folds = 1 is out of range (2 to 20)");
    /// ```
    pub fn validate(&self, catalog: &Catalog) -> Result<(), ConfigError> {
        self.input.validate().map_err(|e| ConfigError::invalid("input", e))?;
        self.events.validate().map_err(|e| ConfigError::invalid("events", e))?;
        self.features.validate().map_err(|e| ConfigError::invalid("features", e))?;
        FeatureEngineer::new(&self.input, &self.features).map_err(|e| ConfigError::invalid("features", e))?;
        self.pipeline.validate(catalog).map_err(|e| ConfigError::invalid("pipeline", e))?;
        Ensemble::new(self.ensemble.clone()).map_err(|e| ConfigError::invalid("ensemble", e))?;
        self.alerts.validate().map_err(|e| ConfigError::invalid("alerts", e))?;
        if let Some(metric) = &self.pipeline.metric
            && !self.input.metrics.iter().any(|m| &m.name == metric)
        {
            let known: Vec<&str> = self.input.metrics.iter().map(|m| m.name.as_str()).collect();
            let text = format!("metric: `{metric}` is not a metric of [input] (there are: {})", known.join(", "));
            return Err(ConfigError::invalid("pipeline", text));
        }
        for name in &self.pipeline.detectors {
            if !self.ensemble.weights.contains_key(name) {
                let text = format!("weights: none for `{name}`, which [pipeline] runs");
                return Err(ConfigError::invalid("ensemble", text));
            }
            // Whatever is wrong with a detector is said now, not after hours of reading.
            match catalog.get(name).map(|entry| entry.build(self)).transpose() {
                Ok(_) => {}
                Err(PipelineError::Config(error)) => return Err(error),
                Err(error) => return Err(ConfigError::invalid("pipeline", error)),
            }
        }
        Ok(())
    }

    /// The metric whose expected value stands in the result.
    ///
    /// ```
    /// use funnelpulse_pipeline::Config;
    ///
    /// assert_eq!(Config::default().primary_metric(), "conversion_rate");
    /// let config = Config::layers().toml("pipeline.metric = 'revenue'")?.build()?;
    /// assert_eq!(config.primary_metric(), "revenue");
    /// # Ok::<(), funnelpulse_config::ConfigError>(())
    /// ```
    pub fn primary_metric(&self) -> &str {
        let first = || self.input.metrics.first().map_or("", |m| m.name.as_str());
        let usual = self.input.metrics.iter().map(|m| m.name.as_str()).find(|m| *m == "conversion_rate");
        self.pipeline.metric.as_deref().or(usual).unwrap_or_else(first)
    }

    /// The steps of the funnel by the names of the metrics: `views`, `carts`, `purchases` and
    /// `revenue`, or else the first count as visits and what `impact` names as purchases and
    /// revenue. `None` without a count.
    ///
    /// ```
    /// use funnelpulse_pipeline::Config;
    ///
    /// let funnel = Config::default().funnel().unwrap();
    /// let steps = [Some("views"), Some("carts"), Some("purchases"), Some("revenue")];
    /// assert_eq!(funnel.steps(), steps);
    /// ```
    pub fn funnel(&self) -> Option<Funnel> {
        let counts = || self.input.metrics.iter().filter(|m| m.kind == MetricKind::Count).map(|m| m.name.as_str());
        let count = |name: &str| counts().find(|m| *m == name).map(str::to_owned);
        let traffic = count("views").or_else(|| counts().next().map(str::to_owned))?;
        let other = |name: &str| count(name).filter(|m| *m != traffic);
        let purchases = other("purchases").or_else(|| other(&self.impact.conversions));
        let revenue = self.input.stored().map(|m| &m.name).find(|m| **m == self.impact.revenue && **m != traffic);
        let revenue = revenue.filter(|_| purchases.is_some()).cloned();
        let carts = other("carts").filter(|_| purchases.is_some());
        Some(Funnel { traffic: Some(traffic), carts, purchases, revenue })
    }

    /// The configuration as TOML, every setting spelt out.
    ///
    /// # Panics
    /// Never: all values are numbers, texts, lists and tables.
    ///
    /// ```
    /// use funnelpulse_pipeline::Config;
    ///
    /// let config = Config::default();
    /// assert_eq!(Config::layers().toml(&config.to_toml())?.build()?, config);
    /// # Ok::<(), funnelpulse_config::ConfigError>(())
    /// ```
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("the configuration has only types that TOML has")
    }

    /// The JSON Schema of the document, for editors and validators.
    ///
    /// ```
    /// use funnelpulse_pipeline::Config;
    ///
    /// let schema = Config::schema();
    /// assert!(schema["properties"]["alerts"].is_object());
    /// assert_eq!(schema["additionalProperties"], false);
    /// ```
    pub fn schema() -> serde_json::Value {
        Catalog::default().schema()
    }
}

impl Catalog {
    /// The default configuration of these detectors.
    pub fn config(&self) -> Config {
        let House { input, events, features, mut pipeline, mut ensemble, impact, alerts } = House::default();
        pipeline.detectors = self.default_names();
        ensemble.weights = self.default_weights();
        let detectors = Sections::defaults(self.sections());
        Config { input, events, features, pipeline, detectors, ensemble, impact, alerts }
    }

    /// Layers over the default configuration of these detectors.
    ///
    /// ```
    /// use funnelpulse_pipeline::Catalog;
    ///
    /// let layers = Catalog::default().layers().toml("ensemble.threshold = 0.6")?;
    /// // Later layers replace single settings.
    /// let config = layers.set("ensemble.threshold", "0.7")?.build()?;
    /// assert_eq!(config.ensemble.threshold, 0.7);
    /// # Ok::<(), funnelpulse_config::ConfigError>(())
    /// ```
    pub fn layers(&self) -> Layers<Self> {
        Layers::new(self.clone())
    }
}

impl Shape for Catalog {
    type Config = Config;

    fn schema(&self) -> serde_json::Value {
        let mut generator = SchemaGenerator::default();
        let mut root: serde_json::Value = House::json_schema(&mut generator).into();
        for section in self.sections() {
            root["properties"][section.name()] = section.schema(&mut generator).into();
        }
        root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        root["title"] = "Config".into();
        root["additionalProperties"] = false.into();
        root["$defs"] = generator.take_definitions(true).into();
        root
    }

    fn defaults(&self) -> toml::Table {
        self.sections().map(|section| (section.name().to_owned(), defaults_of(section))).collect()
    }

    fn read(&self, mut document: toml::Table) -> Result<Config, ConfigError> {
        let defaults = self.config();
        self.share(&mut document);
        let input: PanelSpec =
            document.remove("input").map_or_else(|| Ok(defaults.input.clone()), |v| read_value("input", v))?;
        // First, so that a time zone that all sections share is refused where it is written.
        input.validate().map_err(|e| ConfigError::invalid("input", e))?;
        let detectors = Sections::read(self.sections(), &mut document)?;
        let mut section = |name: &str| document.remove(name);
        let config = Config {
            input,
            events: section("events").map_or_else(|| Ok(defaults.events.clone()), |v| read_value("events", v))?,
            features: section("features")
                .map_or_else(|| Ok(defaults.features.clone()), |v| read_value("features", v))?,
            pipeline: section("pipeline")
                .map_or_else(|| Ok(defaults.pipeline.clone()), |v| with_detectors(v, &defaults))?,
            detectors,
            ensemble: section("ensemble")
                .map_or_else(|| Ok(defaults.ensemble.clone()), |v| with_weights(v, &defaults))?,
            impact: section("impact").map_or_else(|| Ok(defaults.impact.clone()), |v| read_value("impact", v))?,
            alerts: section("alerts").map_or_else(|| Ok(defaults.alerts.clone()), |v| read_value("alerts", v))?,
        };
        config.validate(self)?;
        Ok(config)
    }
}

/// The names of the settings that sections share.
const SHARED: [&str; 2] = ["timezone", "calendar"];

impl Catalog {
    /// The `timezone` and the `calendar` of `[input]` are those of every section that has such a setting and no value
    /// of its own.
    fn share(&self, document: &mut toml::Table) {
        let input = document.get("input").and_then(toml::Value::as_table);
        let shared: Vec<_> = SHARED.iter().filter_map(|key| Some((*key, input?.get(*key)?.clone()))).collect();
        if shared.is_empty() {
            return;
        }
        let settings = settings(&<Self as Shape>::schema(self));
        for (name, key) in settings.iter().filter_map(|setting| setting.split_once('.')) {
            let Some((_, value)) = shared.iter().find(|(shared, _)| *shared == key) else { continue };
            let default = || self.sections().find(|section| section.name() == name).map(defaults_of);
            let section = document.entry(name).or_insert_with(|| default().unwrap_or(toml::Table::new().into()));
            if let Some(section) = section.as_table_mut() {
                section.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
}

/// The defaults of a section, without the time zone and the calendar that everybody has who says nothing.
fn defaults_of(section: &Section) -> toml::Value {
    let mut defaults = section.defaults();
    if let Some(table) = defaults.as_table_mut() {
        let is_nothing = |value: &toml::Value| match value {
            toml::Value::String(text) => text == "UTC",
            toml::Value::Array(entries) => entries.is_empty(),
            _ => false,
        };
        table.retain(|key, value| !SHARED.contains(&key) || !is_nothing(value));
    }
    defaults
}

/// A section `pipeline` that names no detectors runs the default ones; one that names none on
/// purpose is refused later.
fn with_detectors(mut value: toml::Value, defaults: &Config) -> Result<PipelineConfig, ConfigError> {
    if let Some(table) = value.as_table_mut() {
        let names = || defaults.pipeline.detectors.iter().cloned().map(toml::Value::String).collect();
        table.entry("detectors").or_insert_with(|| toml::Value::Array(names()));
    }
    read_value("pipeline", value)
}

/// A section `ensemble` without weights has the default ones.
fn with_weights(mut value: toml::Value, defaults: &Config) -> Result<EnsembleConfig, ConfigError> {
    if let Some(table) = value.as_table_mut() {
        let weights = || defaults.ensemble.weights.iter().map(|(k, w)| (k.clone(), toml::Value::Float(*w))).collect();
        table.entry("weights").or_insert_with(|| toml::Value::Table(weights()));
    }
    read_value("ensemble", value)
}

#[cfg(test)]
mod tests;
