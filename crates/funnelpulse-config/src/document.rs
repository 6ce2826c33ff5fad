//! The whole configuration.

use funnelpulse_analytics::{AlertConfig, ImpactConfig};
use funnelpulse_changepoint::{Changepoint, ChangepointConfig};
use funnelpulse_ensemble::{Ensemble, EnsembleConfig, ZScoreConfig};
use funnelpulse_features::{EventSpec, FeatureConfig, FeatureEngineer, MetricKind, PanelSpec};
use funnelpulse_iforest::IsolationForestConfig;
use funnelpulse_incidents::IncidentConfig;
#[cfg(feature = "lstm-ae")]
use funnelpulse_lstm_ae::LstmAutoencoderConfig;
use funnelpulse_seasonal::{FourierOrder, Mode, SeasonalConfig};
use funnelpulse_subsequence::SubsequenceConfig;
use serde::{Deserialize, Serialize};

use crate::{ConfigError, PipelineConfig};

/// Everything that can be set, one section per crate. `Default` is the funnel of a shop with the
/// settings of the original system.
///
/// ```
/// use funnelpulse_config::Config;
///
/// let config = Config::default();
/// config.validate()?;
/// assert_eq!(config.ensemble.weights["iforest"], 0.25);
/// assert_eq!(config.iforest.n_trees, 100);
/// # Ok::<(), funnelpulse_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The hourly table: time, keys and metrics.
    pub input: PanelSpec,
    /// Raw events: where their parts are found.
    pub events: EventSpec,
    /// Engineered columns.
    pub features: FeatureConfig,
    /// Which detectors run on what.
    pub pipeline: PipelineConfig,
    /// The isolation forest. Unlike the crate's own default it is a `standard` one of 100 trees, as
    /// in the original system: on residuals, which are on one scale and hardly correlated, gain
    /// criteria find less.
    pub iforest: IsolationForestConfig,
    /// The seasonal model. Unlike the crate's own default, which is Prophet's, it is multiplicative,
    /// daily and weekly with an interval of 95 %, as in the original system, and robust.
    pub seasonal: SeasonalConfig,
    /// The changepoints.
    pub changepoint: ChangepointConfig,
    /// The LSTM autoencoder.
    #[cfg(feature = "lstm-ae")]
    pub lstm_ae: LstmAutoencoderConfig,
    /// The seasonal z-score.
    pub zscore: ZScoreConfig,
    /// The incidents. Without columns named here, the funnel is taken from `input` and `impact`: the
    /// metrics called `views`, `carts`, `purchases` and `revenue`, or else the first count as visits
    /// and what `impact` names as purchases and revenue.
    pub incidents: IncidentConfig,
    /// The subsequences.
    pub subsequence: SubsequenceConfig,
    /// Weights, votes, thresholds, severities.
    pub ensemble: EnsembleConfig,
    /// Which metrics carry the money.
    pub impact: ImpactConfig,
    /// Alerts.
    pub alerts: AlertConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            input: PanelSpec::default(),
            events: EventSpec::default(),
            features: FeatureConfig::default(),
            pipeline: PipelineConfig::default(),
            iforest: IsolationForestConfig::standard(),
            seasonal: SeasonalConfig {
                seasonality_mode: Mode::Multiplicative,
                daily_seasonality: FourierOrder::On,
                weekly_seasonality: FourierOrder::On,
                yearly_seasonality: FourierOrder::Off,
                interval_width: 0.95,
                robust: true,
                ..SeasonalConfig::default()
            },
            changepoint: ChangepointConfig::default(),
            #[cfg(feature = "lstm-ae")]
            lstm_ae: LstmAutoencoderConfig::default(),
            zscore: ZScoreConfig::default(),
            incidents: IncidentConfig::default(),
            subsequence: SubsequenceConfig::default(),
            ensemble: EnsembleConfig::default(),
            impact: ImpactConfig::default(),
            alerts: AlertConfig::default(),
        }
    }
}

impl Config {
    /// Checks every section, and the sections against each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.input.validate().map_err(|e| ConfigError::invalid("input", e))?;
        self.events.validate().map_err(|e| ConfigError::invalid("events", e))?;
        self.features.validate().map_err(|e| ConfigError::invalid("features", e))?;
        FeatureEngineer::new(&self.input, &self.features).map_err(|e| ConfigError::invalid("features", e))?;
        self.pipeline.validate().map_err(|e| ConfigError::invalid("pipeline", e))?;
        self.iforest.validate().map_err(|e| ConfigError::invalid("iforest", e))?;
        self.seasonal.validate().map_err(|e| ConfigError::invalid("seasonal", e))?;
        Changepoint::new(self.changepoint.clone()).map_err(|e| ConfigError::invalid("changepoint", e))?;
        #[cfg(feature = "lstm-ae")]
        self.lstm_ae.validate().map_err(|e| ConfigError::invalid("lstm_ae", e))?;
        self.subsequence.validate().map_err(|e| ConfigError::invalid("subsequence", e))?;
        Ensemble::new(self.ensemble.clone()).map_err(|e| ConfigError::invalid("ensemble", e))?;
        self.alerts.validate().map_err(|e| ConfigError::invalid("alerts", e))?;
        if let Some(metric) = &self.pipeline.metric
            && !self.input.metrics.iter().any(|m| &m.name == metric)
        {
            let known: Vec<&str> = self.input.metrics.iter().map(|m| m.name.as_str()).collect();
            let text = format!("metric: `{metric}` is not a metric of [input] (there are: {})", known.join(", "));
            return Err(ConfigError::invalid("pipeline", text));
        }
        if let Some(incidents) = self.incident_config() {
            incidents.validate().map_err(|e| ConfigError::invalid("incidents", e))?;
            let stored = self.input.columns();
            let named = [&incidents.traffic, &incidents.carts, &incidents.purchases, &incidents.revenue];
            named.into_iter().flatten().try_for_each(|column| {
                stored.require(column).map(|_| ()).map_err(|e| ConfigError::invalid("incidents", e))
            })?;
        }
        if let Some(unweighted) = self.pipeline.detectors.iter().find(|d| !self.ensemble.weights.contains_key(*d)) {
            let text = format!("weights: none for `{unweighted}`, which [pipeline] runs");
            return Err(ConfigError::invalid("ensemble", text));
        }
        Ok(())
    }

    /// The metric whose expected value stands in the result.
    pub fn primary_metric(&self) -> &str {
        let first = || self.input.metrics.first().map_or("", |m| m.name.as_str());
        let usual = self.input.metrics.iter().map(|m| m.name.as_str()).find(|m| *m == "conversion_rate");
        self.pipeline.metric.as_deref().or(usual).unwrap_or_else(first)
    }

    /// The `incidents` section with its columns filled in; `None` where the input has no count of
    /// visits, its windows are longer than an hour, or incidents are not among the detectors.
    pub fn incident_config(&self) -> Option<IncidentConfig> {
        if !self.pipeline.detectors.iter().any(|d| d == "incidents") || self.input.step_seconds > 3600 {
            return None;
        }
        let named = &self.incidents;
        if [&named.traffic, &named.carts, &named.purchases, &named.revenue].into_iter().any(Option::is_some) {
            return Some(named.clone());
        }
        let counts = || self.input.metrics.iter().filter(|m| m.kind == MetricKind::Count).map(|m| m.name.as_str());
        let stored = || self.input.metrics.iter().filter(|m| !matches!(m.kind, MetricKind::Rate { .. }));
        let count = |name: &str| counts().find(|m| *m == name).map(str::to_owned);
        let traffic = count("views").or_else(|| counts().next().map(str::to_owned))?;
        let other = |name: &str| count(name).filter(|m| *m != traffic);
        let purchases = other("purchases").or_else(|| other(&self.impact.conversions));
        let revenue = stored().map(|m| &m.name).find(|m| **m == self.impact.revenue && **m != traffic).cloned();
        Some(IncidentConfig {
            carts: other("carts").filter(|_| purchases.is_some()),
            revenue: revenue.filter(|_| purchases.is_some()),
            traffic: Some(traffic),
            purchases,
            ..named.clone()
        })
    }

    /// The configuration as TOML, every setting spelt out.
    ///
    /// # Panics
    /// Never: all values are numbers, texts, lists and tables.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("the configuration has only types that TOML has")
    }

    /// The JSON Schema of the document, for editors and validators.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).into()
    }
}
