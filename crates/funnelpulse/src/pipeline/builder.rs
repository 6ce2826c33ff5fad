//! Putting a pipeline together, and training it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use funnelpulse_changepoint::{Changepoint, ChangepointModel};
use funnelpulse_config::{Config, Scope};
use funnelpulse_core::{Columns, DynDetector, Panel, Registry, SeriesKey};
use funnelpulse_ensemble::{Ensemble, ZScore, ZScoreModel};
use funnelpulse_features::{MetricKind, MetricSpec};
use funnelpulse_iforest::{IsolationForest, IsolationForestModel};
use funnelpulse_incidents::{IncidentDetector, IncidentError};
use funnelpulse_seasonal::{Likelihood, Metric, Seasonal, SeasonalConfig, SeasonalDetectorModel};
use funnelpulse_subsequence::{Subsequence, SubsequenceModel};
use rayon::prelude::*;

use super::{
    fitted::FittedPipeline,
    incidents::{self, FittedIncidents, Seen},
    learn::Judged,
    matrix::{Matrix, RESIDUAL},
    member::{CalibratedModel, Member},
    scored::Scored,
    series::{Plan, Pooled, Prepared, SeriesModel},
};
use crate::{Feedback, Findings, PipelineError, SeriesFailure, timings::Stopwatch};

/// The models that this build can load: every detector of the workspace.
pub fn registry() -> Registry {
    #[cfg(feature = "lstm-ae")]
    let registry = Registry::new().with::<funnelpulse_lstm_ae::LstmAutoencoderModel>();
    #[cfg(not(feature = "lstm-ae"))]
    let registry = Registry::new();
    registry
        .with::<ChangepointModel>()
        .with::<IsolationForestModel>()
        .with::<SeasonalDetectorModel>()
        .with::<SubsequenceModel>()
        .with::<ZScoreModel>()
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Metrics, baselines and features.
    Prepare,
    /// Training, and in [`Pipeline::run`] also scoring.
    Fit,
    /// Scoring.
    Detect,
}

/// How far a pipeline is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What it is doing.
    pub stage: Stage,
    /// Series done in this stage.
    pub done: usize,
    /// Series in all.
    pub total: usize,
    /// The series just done.
    pub series: &'a SeriesKey,
}

type Callback = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Calls back after each series.
#[derive(Clone, Default)]
pub(super) struct Reporter(Option<Callback>);

impl Reporter {
    pub(super) fn new(callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    pub(super) fn stage(&self, stage: Stage, total: usize) -> impl Fn(&SeriesKey) + Sync + '_ {
        let done = AtomicUsize::new(0);
        move |series| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(callback) = &self.0 {
                callback(Progress { stage, done, total, series });
            }
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Reporter(..)" } else { "Reporter" })
    }
}

/// A detector and the columns it sees, if not the default ones.
type CustomDetector = (Box<dyn DynDetector>, Option<Vec<String>>);

/// Collects the parts of a [`Pipeline`].
#[derive(Debug, Default)]
pub struct PipelineBuilder {
    config: Config,
    custom: Vec<CustomDetector>,
    reporter: Reporter,
}

impl PipelineBuilder {
    /// The configuration; [`Config::default`] otherwise.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds a detector of your own, per series. It sees the named columns, or by default the
    /// residuals of all metrics, and needs a weight of its kind in `config.ensemble.weights`. To
    /// load its models, register them: [`FittedPipeline::load_with`].
    pub fn detector(mut self, detector: impl DynDetector + 'static, columns: Option<Vec<String>>) -> Self {
        self.custom.push((Box::new(detector), columns));
        self
    }

    /// Called after each series, from any thread.
    pub fn progress(mut self, callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter::new(callback);
        self
    }

    /// Checks that everything fits.
    pub fn build(self) -> Result<Pipeline, PipelineError> {
        let config = self.config;
        config.validate()?;
        let matrix = Matrix::new(&config)?;
        let mut detectors: Vec<Box<dyn DynDetector>> = Vec::new();
        let mut members: Vec<Member> = Vec::new();
        let default_metrics = default_metrics(&config);
        let built_in = config.pipeline.detectors.iter().filter(|name| *name != incidents::NAME).map(|name| {
            let detector: Box<dyn DynDetector> = match name.as_str() {
                "iforest" => {
                    let forest = IsolationForest::new(config.iforest.clone());
                    Box::new(forest.expect("the configuration is validated"))
                }
                "seasonal" => {
                    let metrics = match default_metrics.as_deref() {
                        Some(metrics) => metrics.to_vec(),
                        None => config.seasonal.metrics.clone(),
                    };
                    let seasonal = Seasonal::new(SeasonalConfig { metrics, ..config.seasonal.clone() });
                    Box::new(seasonal.expect("the configuration is validated"))
                }
                "changepoint" => {
                    let changepoint = Changepoint::new(config.changepoint.clone());
                    Box::new(changepoint.expect("the configuration is validated"))
                }
                "subsequence" => {
                    let subsequence = Subsequence::new(config.subsequence.clone());
                    Box::new(subsequence.expect("the configuration is validated"))
                }
                #[cfg(feature = "lstm-ae")]
                "lstm-ae" => {
                    let autoencoder = funnelpulse_lstm_ae::LstmAutoencoder::new(config.lstm_ae.clone());
                    Box::new(autoencoder.expect("the configuration is validated"))
                }
                _ => Box::new(ZScore::new(config.zscore.clone())),
            };
            (detector, config.pipeline.columns.get(name).cloned())
        });
        for (detector, columns) in built_in.chain(self.custom) {
            let name = detector.kind().to_owned();
            if members.iter().any(|m| m.name == name) {
                return Err(PipelineError::Detector { detector: name, reason: "is in the pipeline twice" });
            }
            if !config.ensemble.weights.contains_key(&name) {
                return Err(PipelineError::Detector { detector: name, reason: "has no weight in [ensemble]" });
            }
            let columns = columns.unwrap_or_else(|| match name.as_str() {
                // The z-score makes residuals by the hour of its own.
                "zscore" => {
                    matrix.metric_names().iter().map(ToString::to_string).chain(matrix.trailing_names()).collect()
                }
                "seasonal" if default_metrics.is_some() => {
                    default_metrics.iter().flatten().map(|m| m.column.clone()).collect()
                }
                "seasonal" | "changepoint" => matrix.metric_names().iter().map(ToString::to_string).collect(),
                "lstm-ae" | "subsequence" => config.input.stored().map(|m| m.name.clone()).collect(),
                _ => matrix.residual_names().collect(),
            });
            check_columns(&name, &columns, &matrix)?;
            let pooled = config.pipeline.scope_of(&name) == Scope::Pooled;
            members.push(Member { name, columns: Columns::new(columns)?, pooled });
            detectors.push(detector);
        }
        let ensemble = Ensemble::new(config.ensemble.clone())?;
        let incidents =
            config.incident_config().map(|c| IncidentDetector::new(c).expect("the configuration is validated"));
        let plan = Plan::new(config, matrix, members, incidents, ensemble);
        Ok(Pipeline { plan: Arc::new(plan), detectors, reporter: self.reporter })
    }
}

/// The counts of the input, each with its own noise, for a seasonal model that is not told otherwise:
/// a count that a rate divides by another is so many of the other's (beta-binomial), any other is a
/// negative binomial. `None` where there is no count, or the configuration says what to see.
fn default_metrics(config: &Config) -> Option<Vec<Metric>> {
    if !config.seasonal.metrics.is_empty() || config.pipeline.columns.contains_key("seasonal") {
        return None;
    }
    let metrics = &config.input.metrics;
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

/// Whether no rate is a share that `metric` has in another.
fn is_top(metric: &str, metrics: &[MetricSpec]) -> bool {
    !metrics.iter().any(|m| matches!(&m.kind, MetricKind::Rate { numerator, .. } if numerator == metric))
}

/// Each series with its position among those that pooled models are trained on.
fn positions<'a>(plan: &Plan, prepared: Vec<Prepared<'a>>) -> Vec<(Prepared<'a>, Option<usize>)> {
    let mut next = 0;
    let position = |p: Prepared<'a>| {
        let long = p.is_long(plan);
        let position = long.then_some(next);
        next += usize::from(long);
        (p, position)
    };
    prepared.into_iter().map(position).collect()
}

/// What the series show, all seen together.
fn see(incidents: Option<&FittedIncidents>, prepared: &[Prepared<'_>]) -> Seen {
    incidents.map(|i| i.scan(prepared.iter().map(|p| (&p.key, &p.inputs, 0)))).unwrap_or_default()
}

fn check_columns(detector: &str, columns: &[String], matrix: &Matrix) -> Result<(), PipelineError> {
    let available = matrix.available();
    match columns.iter().find(|c| !available.contains(c)) {
        None => Ok(()),
        Some(column) => {
            let nearest = available.into_iter().map(|a| (strsim::jaro_winkler(&a, column), a));
            let suggestion = nearest.filter(|(alike, _)| *alike > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
            Err(PipelineError::UnknownColumn {
                detector: detector.to_owned(),
                column: column.clone(),
                suggestion: suggestion.map(|(_, name)| name),
            })
        }
    }
}

/// Detectors, ensemble and analysis, ready to be trained. See the crate's front page for an
/// example.
#[derive(Debug)]
pub struct Pipeline {
    plan: Arc<Plan>,
    detectors: Vec<Box<dyn DynDetector>>,
    reporter: Reporter,
}

impl Pipeline {
    /// Starts from the default configuration.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// Trains on every series of `history`. Series that can't be trained are reported in
    /// [`FittedPipeline::failures`]; the others are trained in parallel.
    ///
    /// The model depends neither on the number of threads nor on the order of the series.
    pub fn fit(&self, history: &Panel) -> Result<FittedPipeline, PipelineError> {
        self.fit_with_feedback(history, &[])
    }

    /// The same, with what people said of alarms in this history: detectors that were right weigh more
    /// from now on. Answers about no row of the history are reported in
    /// [`FittedPipeline::failures`].
    pub fn fit_with_feedback(&self, history: &Panel, feedback: &[Feedback]) -> Result<FittedPipeline, PipelineError> {
        let (prepared, mut failures) = self.prepare(history)?;
        let pooled = self.pool(&prepared, &mut failures);
        let incidents = self.fit_incidents(&prepared, &mut failures);
        let report = self.reporter.stage(Stage::Fit, prepared.len());
        let seen = see(incidents.as_ref(), &prepared);
        let mut fitted: Vec<_> = positions(&self.plan, prepared)
            .into_par_iter()
            .map(|(prepared, position)| {
                let inputs = prepared.inputs.clone();
                let (key, model) = self.fit_series(prepared, &pooled, position);
                let evidence = incidents.as_ref().zip(seen.series.get(&key).cloned());
                let judged = model
                    .score(&self.plan, &pooled, evidence, &key, inputs, 0, &Stopwatch::default())
                    .and_then(|scored| scored.judged(&self.plan.ensemble, self.plan.learns_weights(feedback)));
                report(&key);
                (key, model, judged)
            })
            .collect();
        let judged = fitted.iter_mut().filter_map(|(_, _, judged)| judged.as_mut().ok()).collect();
        let ensemble = self.plan.learn(judged, feedback, &mut failures)?;
        failures.sort_by(|a, b| a.series.cmp(&b.series));
        let series = fitted.into_iter().map(|(key, model, _)| (key, model)).collect();
        Ok(FittedPipeline::new(self.plan.clone(), series, pooled, incidents, ensemble, failures, self.reporter.clone()))
    }

    /// Trains on `panel` and scores the same rows: [`fit`](Self::fit) and then
    /// [`FittedPipeline::detect`], bit for bit, but no model is kept longer than its series needs.
    pub fn run(&self, panel: &Panel) -> Result<Findings, PipelineError> {
        let (prepared, mut failures) = self.prepare(panel)?;
        let pooled = self.pool(&prepared, &mut failures);
        let incidents = self.fit_incidents(&prepared, &mut failures);
        let report = self.reporter.stage(Stage::Fit, prepared.len());
        let watch = Stopwatch::default();
        let seen = watch.time(incidents::NAME, || see(incidents.as_ref(), &prepared));
        let mut scored: Vec<_> = positions(&self.plan, prepared)
            .into_par_iter()
            .map(|(prepared, position)| {
                let inputs = prepared.inputs.clone();
                let (key, model) = watch.time("training", || self.fit_series(prepared, &pooled, position));
                let evidence = incidents.as_ref().zip(seen.series.get(&key).cloned());
                let scored = model.score(&self.plan, &pooled, evidence, &key, inputs, 0, &watch);
                let scored =
                    scored.and_then(|s| Ok((s.judged(&self.plan.ensemble, self.plan.learns_weights(&[]))?, s)));
                report(&key);
                scored.map_err(|e| SeriesFailure { series: key, message: e.to_string() })
            })
            .collect();
        let judged = scored.iter_mut().flatten().map(|(judged, _)| judged).collect();
        let ensemble = self.plan.learn(judged, &[], &mut failures)?;
        let conclude = |scored: Result<(Judged, Scored), SeriesFailure>| {
            let (_, scored) = scored?;
            let series = scored.series.clone();
            scored.conclude(&self.plan, &ensemble).map_err(|e| SeriesFailure { series, message: e.to_string() })
        };
        let found = watch.time("explaining", || scored.into_par_iter().map(conclude).collect());
        Ok(Findings::collect(&self.plan, &ensemble, found, seen.site, failures, watch))
    }

    /// Metrics, baselines and features of every series that has enough rows.
    fn prepare<'a>(&self, panel: &'a Panel) -> Result<(Vec<Prepared<'a>>, Vec<SeriesFailure>), PipelineError> {
        for column in self.plan.matrix.inputs().iter() {
            panel.columns().require(column)?;
        }
        let report = self.reporter.stage(Stage::Prepare, panel.len());
        let series: Vec<_> = panel.iter().collect();
        let prepared: Vec<_> = series
            .into_par_iter()
            .map(|(key, frame)| {
                let prepared = Prepared::new(&self.plan, key, frame);
                report(key);
                prepared
            })
            .collect();
        let mut failures = Vec::new();
        let usable = prepared.into_iter().filter_map(|p| p.map_err(|f| failures.push(f)).ok()).collect();
        Ok((usable, failures))
    }

    /// The stage that sees all series at once.
    fn fit_incidents(&self, prepared: &[Prepared<'_>], failures: &mut Vec<SeriesFailure>) -> Option<FittedIncidents> {
        let detector = self.plan.incidents.as_ref()?;
        let mut panel = Panel::new(self.plan.matrix.inputs().clone());
        for prepared in prepared {
            panel.insert(prepared.key.clone(), prepared.inputs.clone()).expect("selected to the same columns");
        }
        if panel.is_empty() {
            return None;
        }
        match FittedIncidents::fit(detector, &panel) {
            Ok(fitted) => Some(fitted),
            // As with any detector, the column `models` says that it did not speak.
            Err(IncidentError::TooShort { .. } | IncidentError::TooCoarse { .. }) => None,
            Err(error) => {
                let message = format!("model of incidents: {error}");
                failures.push(SeriesFailure { series: SeriesKey::new("(all)"), message });
                None
            }
        }
    }

    /// Models of all series: of detectors that are pooled, and for series too short for their own.
    fn pool(&self, prepared: &[Prepared<'_>], failures: &mut Vec<SeriesFailure>) -> Pooled {
        let long: Vec<_> = prepared.iter().filter(|p| p.is_long(&self.plan)).map(|p| &p.wide).collect();
        let any_short = long.len() < prepared.len();
        let fit = |(member, detector): (&Member, &dyn DynDetector)| {
            // Values of different series are on different scales; only models that see residuals
            // alone can stand in for one another.
            let comparable = member.columns.iter().all(|c| c.contains(RESIDUAL));
            let wanted = member.pooled || any_short && comparable;
            if !wanted || long.is_empty() {
                return None;
            }
            match CalibratedModel::fit(detector, &member.columns, &long, &self.plan.config.pipeline) {
                Ok(model) => Some(model),
                Err(error) => {
                    let message = format!("pooled model of `{}`: {error}", member.name);
                    failures.push(SeriesFailure { series: SeriesKey::new("(all)"), message });
                    None
                }
            }
        };
        self.plan.members.iter().zip(self.detectors.iter().map(AsRef::as_ref)).map(fit).collect()
    }

    fn fit_series(&self, prepared: Prepared<'_>, pooled: &Pooled, position: Option<usize>) -> (SeriesKey, SeriesModel) {
        SeriesModel::fit(&self.plan, &self.detectors, pooled, position, prepared)
    }
}
