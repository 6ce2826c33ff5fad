//! Putting a pipeline together, and training it.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_analytics::{Findings, SeriesFailure, SeriesFindings};
use funnelpulse_core::{Absence, Context, FittedPanelDetector, Frame, Memory, Panel, Purpose, SeriesKey, isolated};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

use crate::{
    Catalog, Config, Feedback, FittedPipeline, LeftOut, Phase, PipelineError, Progress,
    learn::Judged,
    member::Member,
    plan::Plan,
    prepared::{Prepared, SeriesState},
    progress::Reporter,
    scored::Scored,
    scoring::{Scores, Scoring},
    spacing,
    timings::Stopwatch,
};

/// The name under which failures of models of all series are reported.
const ALL_SERIES: &str = "(all)";

/// Collects the parts of a [`Pipeline`].
///
/// ```
/// use funnelpulse_pipeline::{Catalog, Pipeline};
///
/// let catalog = Catalog::default();
/// let config = catalog.layers().toml("pipeline.detectors = ['zscore']")?.build()?;
/// let pipeline = Pipeline::builder().catalog(catalog).config(config).build()?;
/// assert_eq!(pipeline.config().pipeline.detectors, ["zscore"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct PipelineBuilder {
    catalog: Catalog,
    config: Option<Config>,
    reporter: Reporter,
}

impl PipelineBuilder {
    /// The detectors that the configuration may name; [`Catalog::default`] otherwise.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// The configuration; the defaults of the catalog otherwise.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// A callback after each step, from any thread.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// use funnelpulse_pipeline::{Phase, Pipeline};
    ///
    /// let trained = Arc::new(AtomicUsize::new(0));
    /// let count = trained.clone();
    /// let pipeline = Pipeline::builder().config(pipeline()?.config().clone()).progress(move |step| {
    ///     count.fetch_add(usize::from(step.phase == Phase::Fit), Ordering::Relaxed);
    /// });
    /// pipeline.build()?.fit(&shop(60))?;
    /// // Two series by one detector.
    /// assert_eq!(trained.load(Ordering::Relaxed), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(mut self, callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter::new(callback);
        self
    }

    /// Checks the configuration against the catalog. An error names the setting or the detector.
    pub fn build(self) -> Result<Pipeline, PipelineError> {
        let config = self.config.unwrap_or_else(|| self.catalog.config());
        let plan = Plan::new(config, &self.catalog)?;
        Ok(Pipeline { plan: Arc::new(plan), reporter: self.reporter })
    }
}

/// Detectors, ensemble and analysis, ready to be trained.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::shop;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_pipeline::{Config, Pipeline};
///
/// let text = "
///     pipeline = { detectors = ['zscore'], min_rows = 48 }
///     alerts = { budget = 'off' }
/// ";
/// let config = Config::layers().toml(text)?.build()?;
/// let pipeline = Pipeline::builder().config(config).build()?;
/// // Two brands, five days; `runail` sells nothing in hour 100.
/// let findings = pipeline.run(&shop(120))?;
/// let (series, worst) = findings.ranked()[0];
/// assert_eq!((series.series.as_str(), worst.row), ("runail", 100));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pipeline {
    plan: Arc<Plan>,
    reporter: Reporter,
}

/// Models that are missing, by member.
type Absences = Vec<(String, Absence)>;

/// The results of training.
struct Trained {
    models: Vec<Option<Box<dyn FittedPanelDetector>>>,
    series: BTreeMap<SeriesKey, SeriesState>,
    absences: Absences,
    ensemble: Ensemble,
    scores: Scores,
    failures: Vec<SeriesFailure>,
}

/// The trained members.
struct Members {
    /// One entry per member; none where only the history is scored.
    models: Vec<Option<Box<dyn FittedPanelDetector>>>,
    /// Why some are missing.
    absences: Absences,
}

impl Pipeline {
    /// Starts from the default catalog and configuration.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.plan.config
    }

    /// Detectors of the configuration that have nothing to look at in this input, and why.
    ///
    /// ```
    /// use funnelpulse_pipeline::{Config, Pipeline};
    ///
    /// // Incidents of a funnel need a count.
    /// let text = "
    ///     input.metrics = [{ name = 'load', kind = 'amount' }]
    ///     pipeline.detectors = ['incidents', 'zscore']
    /// ";
    /// let pipeline = Pipeline::builder().config(Config::layers().toml(text)?.build()?).build()?;
    /// assert_eq!(pipeline.left_out()[0].detector, "incidents");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_out(&self) -> &[LeftOut] {
        &self.plan.left_out
    }

    /// Trains on every series of `history`. Series that can't be trained are reported in
    /// [`FittedPipeline::failures`]; the others are trained in parallel. An error if the panel
    /// lacks a stored metric of the configuration.
    ///
    /// The model depends neither on the number of threads nor on the order of the series.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = pipeline()?.fit(&shop(120))?;
    /// let names: Vec<String> = model.series().map(|info| info.series.to_string()).collect();
    /// assert_eq!(names, ["irisk", "runail"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fit(&self, history: &Panel) -> Result<FittedPipeline, PipelineError> {
        self.fit_with_feedback(history, &[])
    }

    /// The same, with answers to earlier alarms in this history: detectors that were right weigh
    /// more from now on. Answers about no row of the history are reported in
    /// [`FittedPipeline::failures`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::Timestamp;
    /// use funnelpulse_pipeline::Feedback;
    ///
    /// // The history ends after 120 hours.
    /// let start = Timestamp::from_seconds(500 * 3600);
    /// let end = start.offset(Timestamp::HOUR);
    /// let answer = Feedback { series: "runail".into(), start, end, is_incident: true };
    /// let model = pipeline()?.fit_with_feedback(&shop(120), &[answer])?;
    /// assert!(model.failures()[0].message.ends_with("no row of the history is scored there"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fit_with_feedback(&self, history: &Panel, feedback: &[Feedback]) -> Result<FittedPipeline, PipelineError> {
        let watch = Stopwatch::default();
        let trained = self.train(history, feedback, Purpose::Any, &watch)?;
        Ok(self.fitted(trained, watch).0)
    }

    /// Trains on `panel` and scores the same rows: [`fit`](Self::fit) and then
    /// [`FittedPipeline::detect`], bit for bit, with everything computed once and without what only later rows need.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let findings = pipeline()?.run(&shop(120))?;
    /// let runail = &findings.series()[1];
    /// assert!(runail.verdicts[100].is_anomaly);
    /// assert_eq!(runail.observed[[100, 2]], 0.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(&self, panel: &Panel) -> Result<Findings, PipelineError> {
        let watch = Stopwatch::default();
        let Trained { absences, ensemble, scores, failures, .. } = self.train(panel, &[], Purpose::History, &watch)?;
        let findings = scores.conclude(&self.plan, &ensemble, absences, failures, watch);
        Ok(findings.with_warnings(self.warnings(panel)))
    }

    /// [`fit`](Self::fit) and [`run`](Self::run) in one: the model, and what it finds in its own
    /// history.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let panel = shop(120);
    /// let (model, findings) = pipeline()?.fit_run(&panel)?;
    /// let again = model.detect(&panel)?;
    /// assert_eq!(again.ranked().len(), findings.ranked().len());
    /// assert_eq!(again.series()[1].anomalies, findings.series()[1].anomalies);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fit_run(&self, panel: &Panel) -> Result<(FittedPipeline, Findings), PipelineError> {
        let watch = Stopwatch::default();
        let trained = self.train(panel, &[], Purpose::Any, &watch)?;
        let (fitted, scores, watch) = self.fitted(trained, watch);
        let (absences, failures) = (fitted.absences().to_vec(), fitted.failures().to_vec());
        let findings = scores.conclude(&self.plan, &fitted.ensemble, absences, failures, watch);
        Ok((fitted, findings.with_warnings(self.warnings(panel))))
    }

    fn warnings(&self, panel: &Panel) -> Vec<String> {
        spacing::warnings(panel, self.plan.config.input.step_seconds)
    }

    fn fitted(&self, trained: Trained, watch: Stopwatch) -> (FittedPipeline, Scores, Stopwatch) {
        let Trained { models, series, absences, ensemble, scores, failures } = trained;
        let fitted = FittedPipeline {
            plan: self.plan.clone(),
            models,
            series,
            ensemble,
            absences,
            failures,
            reporter: self.reporter.clone(),
        };
        (fitted, scores, watch)
    }

    fn train(
        &self,
        history: &Panel,
        feedback: &[Feedback],
        purpose: Purpose,
        watch: &Stopwatch,
    ) -> Result<Trained, PipelineError> {
        let plan = &*self.plan;
        let (prepared, mut failures) = watch.time_all("features", || self.prepare(history))?;
        let mut scoring = Scoring::new(plan, watch, prepared);
        let Members { models, absences } = self.fit_members(&mut scoring, history, purpose, &mut failures);
        let series = match purpose {
            Purpose::History => BTreeMap::new(),
            Purpose::Any => keep_states(plan, history, &scoring.prepared, &models)?,
        };
        let mut scores = scoring.finish(&|_| ());
        let keep_votes = plan.learns_weights(feedback);
        let judge = |scored: &Scored| scored.judged(&plan.ensemble, keep_votes);
        let mut judged: Vec<Judged> =
            watch.time_all("learning", || scores.series.par_iter().flatten().filter_map(|s| judge(s).ok()).collect());
        let ensemble = plan.learn(judged.iter_mut().collect(), feedback, &mut failures)?;
        // In a model only what training could not use is a failure; what could not be scored now
        // may be later.
        scores.series.sort_by(|a, b| series_of(a).cmp(series_of(b)));
        failures.sort_by(|a, b| a.series.cmp(&b.series));
        Ok(Trained { models, series, absences, ensemble, scores, failures })
    }

    /// Metrics and baselines of every series that has enough rows.
    fn prepare(&self, panel: &Panel) -> Result<(Vec<Prepared>, Vec<SeriesFailure>), PipelineError> {
        for column in self.plan.matrix.inputs().iter() {
            panel.columns().require(column)?;
        }
        let report = self.reporter.phase(Phase::Prepare, panel.len());
        let series: Vec<_> = panel.iter().collect();
        let prepared: Vec<_> = series
            .into_par_iter()
            .map(|(key, frame)| {
                let prepare = || Ok(Prepared::for_training(&self.plan, key, frame.view()));
                let failed = |e: funnelpulse_core::Error| SeriesFailure { series: key.clone(), message: e.to_string() };
                let prepared = isolated(funnelpulse_baseline::KIND, prepare).map_err(failed).flatten();
                report(key);
                prepared
            })
            .collect();
        let mut failures = Vec::new();
        let prepared = prepared.into_iter().filter_map(|p| p.map_err(|f| failures.push(f)).ok()).collect();
        Ok((prepared, failures))
    }

    /// Trains every member on all series and lets it score them. Only later rows need a model after that. Members that
    /// look at the metrics of all series together come first: they need the most memory while they are trained, and
    /// neither the derived columns nor the models of the others are there yet.
    fn fit_members(
        &self,
        scoring: &mut Scoring<'_>,
        history: &Panel,
        purpose: Purpose,
        failures: &mut Vec<SeriesFailure>,
    ) -> Members {
        let members = &self.plan.members;
        let report = self.reporter.phase(Phase::Fit, scoring.prepared.len() * members.len());
        let mut fitted = Members { models: members.iter().map(|_| None).collect(), absences: Vec::new() };
        let sees_metrics = |member: &Member| !member.columns.iter().any(|c| self.plan.matrix.is_derived(c));
        let is_first = |at: &usize| members[*at].is_of_panel && sees_metrics(&members[*at]);
        let (first, others): (Vec<usize>, Vec<usize>) = (0..members.len()).partition(is_first);
        if !scoring.prepared.is_empty() {
            for at in first {
                fitted.train(at, &members[at], scoring, purpose, failures, &report);
            }
            let watch = scoring.watch;
            watch.time_all("features", || scoring.derive(history, failures));
            for at in others {
                fitted.train(at, &members[at], scoring, purpose, failures, &report);
            }
        }
        fitted.absences.sort_by_key(|(name, _)| members.iter().position(|member| member.name == *name));
        for (_, absence) in fitted.absences.iter().filter(|(_, a)| a.series.is_none() && !a.is_expected) {
            failures.push(SeriesFailure { series: SeriesKey::new(ALL_SERIES), message: absence.reason.clone() });
        }
        fitted
    }
}

impl Members {
    /// Trains one and lets it score.
    fn train(
        &mut self,
        at: usize,
        member: &Member,
        scoring: &mut Scoring<'_>,
        purpose: Purpose,
        failures: &mut Vec<SeriesFailure>,
        report: &(dyn Fn(&SeriesKey) + Sync),
    ) {
        let mut memory = Memory::default();
        let (model, absences) = fit_member(member, scoring, purpose, &mut memory, report);
        self.absences.extend(absences);
        if let Some(model) = model {
            scoring.add(member, &*model, memory, failures);
            self.models[at] = (purpose != Purpose::History).then_some(model);
        }
    }
}

/// A trained member, or nothing, and what is missing of it.
fn fit_member(
    member: &Member,
    scoring: &Scoring<'_>,
    purpose: Purpose,
    memory: &mut Memory,
    report: &(dyn Fn(&SeriesKey) + Sync),
) -> (Option<Box<dyn FittedPanelDetector>>, Absences) {
    let view = scoring.view().with_progress(report);
    let fit = || isolated(&member.name, || member.detector.fit_dyn_for(&view, purpose, memory));
    match scoring.watch.time_all(&format!("training {}", member.name), fit) {
        Ok(model) => {
            let absences = model.absences().iter().map(|absence| (member.name.clone(), absence.clone())).collect();
            (Some(model), absences)
        }
        Err(error) => {
            let absence = Absence::of(None, &error);
            let reason = format!("model of `{}`: {}", member.name, absence.reason);
            (None, vec![(member.name.clone(), Absence { reason, ..absence })])
        }
    }
}

fn series_of(scored: &Result<Scored, SeriesFailure>) -> &SeriesKey {
    match scored {
        Ok(scored) => &scored.series,
        Err(failure) => &failure.series,
    }
}

/// The state that a model keeps of each series, with the rows that its detectors look back to.
fn keep_states(
    plan: &Plan,
    history: &Panel,
    prepared: &[Prepared],
    models: &[Option<Box<dyn FittedPanelDetector>>],
) -> Result<BTreeMap<SeriesKey, SeriesState>, PipelineError> {
    let context = context_of(plan, models);
    let state = |(prepared, frame): (&Prepared, &Frame)| {
        Ok((prepared.key.clone(), prepared.state(plan, frame.view(), context)?))
    };
    prepared.iter().filter_map(|p| Some((p, history.get(p.key.as_str())?))).map(state).collect()
}

/// The context of all members together, through the columns that they see.
pub(crate) fn context_of(plan: &Plan, models: &[Option<Box<dyn FittedPanelDetector>>]) -> Context {
    let members = plan.members.iter().zip(models);
    let contexts = members.filter_map(|(member, model)| {
        model.as_ref().map(|model| plan.matrix.context(model.context(), &member.columns))
    });
    contexts.fold(Context::NONE, Context::union)
}

/// The findings of scored series, and the failures among them.
pub(crate) fn partition(
    found: Vec<Result<SeriesFindings, SeriesFailure>>,
    failures: &mut Vec<SeriesFailure>,
) -> Vec<SeriesFindings> {
    found.into_iter().filter_map(|found| found.map_err(|failure| failures.push(failure)).ok()).collect()
}
