//! The detectors of the workspace.

use funnelpulse_baseline::{ZScore, ZScoreConfig, ZScoreModel};
use funnelpulse_config::Section;
use funnelpulse_core::AnyDetector;

use super::{BuildContext, Built, ColumnNames, Entry};
use crate::{Config, PipelineError, Scope};

/// In the order of their columns in the output table.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        lstm_ae(),
        #[cfg(feature = "seasonal")]
        seasonal(),
        #[cfg(feature = "iforest")]
        iforest(),
        #[cfg(feature = "changepoint")]
        changepoint(),
        zscore(),
        #[cfg(feature = "incidents")]
        incidents(),
        #[cfg(feature = "subsequence")]
        subsequence(),
    ]
}

/// Default columns: stored metrics.
#[cfg(any(feature = "incidents", feature = "subsequence"))]
fn stored(_: &Config, names: &ColumnNames) -> Vec<String> {
    names.stored()
}

#[cfg(feature = "lstm-ae")]
fn lstm_ae() -> Entry {
    use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig, LstmAutoencoderModel, Transform};

    // A small network on windows of a day, whose training is bounded: four times 2,048 windows, however many series
    // there are. Residuals have no rhythm left and are on one scale, so that no calendar and no
    // logarithm is needed; sums over the last hours overlap, so that a hidden last row would be no secret.
    let defaults = LstmAutoencoderConfig {
        sequence_length: 24,
        encoder: vec![16],
        bottleneck: 8,
        decoder: vec![16],
        dropout: 0.0,
        stride: 12,
        max_windows: 2_048,
        epochs: 4,
        transform: Transform::Linear,
        calendar: false,
        blind: false,
        corruption: 0.0,
        // Nights without a row are no end of a series.
        max_gap: 24,
        ..LstmAutoencoderConfig::default()
    };
    let check = |c: &LstmAutoencoderConfig| c.validate().map_err(Into::into);
    let build = |context: &BuildContext<'_>| {
        let detector = LstmAutoencoder::new(context.settings::<LstmAutoencoderConfig>()?.clone());
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    lstm_entry(build)
        .section(Section::new("lstm_ae", defaults, check))
        .runs_by_default(6)
        .model::<LstmAutoencoderModel>()
}

/// Known by name in every build: its column is part of the output table.
#[cfg(not(feature = "lstm-ae"))]
fn lstm_ae() -> Entry {
    lstm_entry(|_| {
        Err(PipelineError::Detector {
            detector: LSTM_AE.to_owned(),
            reason: "is not in this build (cargo feature `lstm-ae`)",
        })
    })
}

const LSTM_AE: &str = "lstm-ae";

fn lstm_entry(build: impl Fn(&BuildContext<'_>) -> Result<Built, PipelineError> + Send + Sync + 'static) -> Entry {
    Entry::new(LSTM_AE, "LSTM autoencoder: stretches of residuals that a network can't reconstruct", build)
        // What is left of the counts after their season, added up over hours: single hours of small series are
        // noise, and the rates follow from the counts.
        .columns(|_, names| names.trailing_residuals_of(&names.stored()))
        .scope(Scope::Pooled)
        // Of what is not the incident detector it is the best by far: it leads where that one is missing. The original
        // gives it 0.30, as the preset `original` does.
        .weight(2.0)
        .output_columns("lstm_anomaly_score", None)
        .original()
}

#[cfg(feature = "seasonal")]
fn seasonal() -> Entry {
    use funnelpulse_seasonal::{FourierOrder, Mode, Seasonal, SeasonalConfig, SeasonalDetectorModel};

    const SECTION: &str = "seasonal";
    // Prophet's model with the settings of the original system.
    let defaults = SeasonalConfig {
        seasonality_mode: Mode::Multiplicative,
        daily_seasonality: FourierOrder::On,
        weekly_seasonality: FourierOrder::On,
        yearly_seasonality: FourierOrder::Off,
        interval_width: 0.95,
        robust: true,
        ..SeasonalConfig::default()
    };
    let check = |c: &SeasonalConfig| c.validate().map_err(Into::into);
    let default_metrics = |config: &Config| {
        let named = config.detectors.get::<SeasonalConfig>(SECTION).is_none_or(|c| !c.metrics.is_empty());
        if named || config.pipeline.columns.contains_key(SECTION) { None } else { count_metrics(&config.input.metrics) }
    };
    let build = move |context: &BuildContext<'_>| {
        let settings = context.settings::<SeasonalConfig>()?.clone();
        let metrics = default_metrics(context.config()).unwrap_or_else(|| settings.metrics.clone());
        let detector = Seasonal::new(SeasonalConfig { metrics, ..settings });
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    Entry::new(SECTION, "Prophet's trend and seasonality, for values, counts and rates", build)
        .section(Section::new(SECTION, defaults, check))
        .columns(move |config, names| match default_metrics(config) {
            Some(metrics) => metrics.into_iter().map(|m| m.column).collect(),
            None => names.metrics(),
        })
        .weight(0.30)
        .runs_by_default(2)
        .output_columns("prophet_anomaly_score", Some("prophet_expected_value"))
        .original()
        .model::<SeasonalDetectorModel>()
}

/// The counts of the input, each with its own noise: a count that a rate divides by another is a
/// part of the other (beta-binomial), any other is a negative binomial. `None` where there is no
/// count.
#[cfg(feature = "seasonal")]
fn count_metrics(metrics: &[funnelpulse_features::MetricSpec]) -> Option<Vec<funnelpulse_seasonal::Metric>> {
    use funnelpulse_features::MetricKind;
    use funnelpulse_seasonal::{Likelihood, Metric};

    let counts: Vec<&str> = metrics.iter().filter(|m| m.kind == MetricKind::Count).map(|m| m.name.as_str()).collect();
    let exposures = |count: &str| {
        let rates = metrics.iter().filter_map(|m| match &m.kind {
            MetricKind::Rate { numerator, denominator } if numerator == count => Some(denominator.as_str()),
            _ => None,
        });
        rates.filter(|d| counts.contains(d)).collect::<Vec<_>>()
    };
    let metric = |count: &&str| {
        let exposures = exposures(count);
        // The top of the funnel rather than the stage before: purchases out of views, not of carts,
        // of which there may be fewer.
        let top = exposures.iter().find(|e| is_top(e, metrics)).or(exposures.first());
        let likelihood = if top.is_some() { Likelihood::BetaBinomial } else { Likelihood::NegativeBinomial };
        Metric { column: (*count).to_owned(), likelihood: Some(likelihood), exposure: top.map(|e| (*e).to_owned()) }
    };
    (!counts.is_empty()).then(|| counts.iter().map(metric).collect())
}

/// True if no rate is a share that `metric` has in another.
#[cfg(feature = "seasonal")]
fn is_top(metric: &str, metrics: &[funnelpulse_features::MetricSpec]) -> bool {
    use funnelpulse_features::MetricKind;

    !metrics.iter().any(|m| matches!(&m.kind, MetricKind::Rate { numerator, .. } if numerator == metric))
}

#[cfg(feature = "iforest")]
fn iforest() -> Entry {
    use funnelpulse_iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel};

    let check = |c: &IsolationForestConfig| c.validate().map_err(Into::into);
    let build = |context: &BuildContext<'_>| {
        let detector = IsolationForest::new(context.settings::<IsolationForestConfig>()?.clone());
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    Entry::new("iforest", "isolation forest: rows that few random cuts set apart", build)
        // On residuals, which are on one scale and hardly correlated, gain criteria find less than
        // the 100 standard trees of the original system.
        // Models are trained anew, not updated: no recent rows have to be kept for that.
        .section(Section::new(
            "iforest",
            IsolationForestConfig { reservoir: 0, ..IsolationForestConfig::standard() },
            check,
        ))
        .weight(0.25)
        .runs_by_default(1)
        .output_columns("isolation_forest_anomaly_score", None)
        .original()
        .model::<IsolationForestModel>()
}

#[cfg(feature = "changepoint")]
fn changepoint() -> Entry {
    use funnelpulse_changepoint::{Changepoint, ChangepointConfig, ChangepointModel};

    let check = |c: &ChangepointConfig| c.validate().map_err(Into::into);
    let build = |context: &BuildContext<'_>| {
        let detector = Changepoint::new(context.settings::<ChangepointConfig>()?.clone());
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    Entry::new("changepoint", "changes of level as they happen", build)
        .section(Section::new("changepoint", ChangepointConfig::default(), check))
        .columns(|_, names| names.metrics())
        .weight(0.15)
        .runs_by_default(3)
        .output_columns("changepoint_anomaly_score", None)
        .original()
        .anomaly_type(funnelpulse_core::AnomalyType::Changepoint)
        .model::<ChangepointModel>()
}

fn zscore() -> Entry {
    let check = |c: &ZScoreConfig| c.validate().map_err(Into::into);
    let build = |context: &BuildContext<'_>| {
        Ok(AnyDetector::series(ZScore::new(context.settings::<ZScoreConfig>()?.clone())).into())
    };
    Entry::new(funnelpulse_baseline::KIND, "standard deviations from the mean of the hour of the week", build)
        .section(Section::new(funnelpulse_baseline::KIND, ZScoreConfig::default(), check))
        // It makes residuals of single rows by itself.
        .columns(|_, names| [names.metrics(), names.trailing_residuals()].concat())
        .weight(0.30)
        .runs_by_default(4)
        .model::<ZScoreModel>()
}

#[cfg(feature = "incidents")]
fn incidents() -> Entry {
    use funnelpulse_core::Funnel;
    use funnelpulse_incidents::{FittedIncidents, IncidentConfig, IncidentDetector, KIND};

    // The columns of the section where any is named, else those that the input suggests.
    let resolved = |config: &Config| -> Option<IncidentConfig> {
        let named = config.detectors.get::<IncidentConfig>(KIND)?;
        if [&named.traffic, &named.carts, &named.purchases, &named.revenue].into_iter().any(Option::is_some) {
            return Some(named.clone());
        }
        let Funnel { traffic, carts, purchases, revenue } = config.funnel()?;
        Some(IncidentConfig { traffic, carts, purchases, revenue, ..named.clone() })
    };
    let build = move |context: &BuildContext<'_>| {
        let config = context.config();
        if config.input.step_seconds > 3600 {
            let reason = format!("rows are {} seconds apart, at most an hour is possible", config.input.step_seconds);
            return Ok(Built::NotApplicable(reason));
        }
        let Some(settings) = resolved(config) else {
            let reason = "no metric of [input] is a count of visits; the setting `incidents.traffic` names a column";
            return Ok(Built::NotApplicable(reason.to_owned()));
        };
        let stored = config.input.columns();
        let named = [&settings.traffic, &settings.carts, &settings.purchases, &settings.revenue];
        for column in named.into_iter().flatten() {
            stored.require(column).map_err(|e| context.invalid(e))?;
        }
        Ok(AnyDetector::panel(IncidentDetector::new(settings).map_err(|e| context.invalid(e))?).into())
    };
    let funnel = move |config: &Config| {
        let IncidentConfig { traffic, carts, purchases, revenue, .. } = resolved(config)?;
        Some(Funnel { traffic, carts, purchases, revenue })
    };
    Entry::new(KIND, "abnormal stretches of the funnel, seen over all series of a site, with a cause", build)
        .section(Section::new(KIND, IncidentConfig::default(), |_: &IncidentConfig| Ok(())))
        .columns(stored)
        .weight(18.0)
        .runs_by_default(5)
        .output_columns("incident_anomaly_score", None)
        .funnel(funnel)
        .panel_model::<FittedIncidents>()
}

#[cfg(feature = "subsequence")]
fn subsequence() -> Entry {
    use funnelpulse_subsequence::{Subsequence, SubsequenceConfig, SubsequenceModel};

    let check = |c: &SubsequenceConfig| c.validate().map_err(Into::into);
    let build = |context: &BuildContext<'_>| {
        let detector = Subsequence::new(context.settings::<SubsequenceConfig>()?.clone());
        Ok(AnyDetector::series(detector.map_err(|e| context.invalid(e))?).into())
    };
    Entry::new("subsequence", "stretches that resemble none of the recurring patterns, of any period", build)
        .section(Section::new("subsequence", SubsequenceConfig::default(), check))
        .columns(stored)
        .weight(0.30)
        .model::<SubsequenceModel>()
}
