//! One series: its models, and what they find.

use funnelpulse_analytics::{Alert, Deviation, Impact, top_factors};
use funnelpulse_config::Config;
use funnelpulse_core::{
    AnomalyType, Calibrator, Detection, Detector, DynDetector, FittedDetector, Frame, FrameView, SeriesKey, Severity,
    Timestamp,
};
use funnelpulse_ensemble::{Ensemble, Episode, ScoredSeries, Verdict, Vote, ZScore, ZScoreModel};
use funnelpulse_features::MetricKind;
use funnelpulse_incidents::{Evidence, IncidentDetector, IncidentKind};
use ndarray::{Array1, Array2};

use super::{
    incidents::{self, FittedIncidents},
    matrix::{Matrix, Metrics, with_context},
    member::{CalibratedModel, Member},
};
use crate::{
    Feedback,
    PipelineError, SeriesFailure,
    findings::{Anomaly, ModelScores, ModelSource, SeriesFindings},
    incident,
    timings::Stopwatch,
};

/// What all series share.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(super) matrix: Matrix,
    pub(super) members: Vec<Member>,
    /// Sees all series at once.
    pub(super) incidents: Option<IncidentDetector>,
    pub(super) ensemble: Ensemble,
    /// Whether any member sees engineered columns.
    engineered: bool,
    /// Calibrates the baseline where it has to stand in for all members.
    baseline_calibrator: Calibrator,
}

/// Per member, the model of all series where there is one.
pub(super) type Pooled = Vec<Option<CalibratedModel>>;

impl Plan {
    pub(super) fn new(
        config: Config,
        matrix: Matrix,
        members: Vec<Member>,
        incidents: Option<IncidentDetector>,
        ensemble: Ensemble,
    ) -> Self {
        let engineered = members.iter().flat_map(|m| m.columns.iter()).any(|c| matrix.is_engineered(c));
        let reference = ZScore::reference_scores(matrix.metric_names().len());
        let baseline_calibrator = Calibrator::fit(reference.view()).expect("thousands of finite scores");
        Self { config, matrix, members, incidents, ensemble, engineered, baseline_calibrator }
    }

    /// Names of the stored metrics, then of the rates.
    pub(crate) fn metric_names(&self) -> &funnelpulse_core::Columns {
        self.matrix.metric_names()
    }
}

/// A series on its way to a model.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) key: SeriesKey,
    frame: &'a Frame,
    /// The columns that a panel must have.
    pub(super) inputs: Frame,
    baseline: ZScoreModel,
    /// What the members see.
    pub(super) wide: Frame,
    usable_rows: usize,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(plan: &Plan, key: &SeriesKey, frame: &'a Frame) -> Result<Self, SeriesFailure> {
        let fail = |message: String| SeriesFailure { series: key.clone(), message };
        let usable_rows = frame.values().rows().into_iter().filter(|r| r.iter().any(|v| !v.is_nan())).count();
        let needed = plan.config.pipeline.min_fallback_rows;
        if usable_rows < needed {
            return Err(fail(format!(
                "too short to score: {usable_rows} hours with data, at least {needed} are needed"
            )));
        }
        let metrics = plan.matrix.metrics(frame.view()).map_err(|e| fail(e.to_string()))?;
        let baseline = ZScore::new(plan.config.zscore.clone()).fit(metrics.usable.view());
        let baseline = baseline.map_err(|e| fail(e.to_string()))?;
        let wide = plan.matrix.wide(frame.view(), &metrics, &baseline, plan.engineered);
        let wide = wide.map_err(|e| fail(e.to_string()))?;
        let inputs = frame.view().select(plan.matrix.inputs()).map_err(|e| fail(e.to_string()))?;
        Ok(Self { key: key.clone(), frame, inputs, baseline, wide, usable_rows })
    }

    /// Long enough for models of its own.
    pub(super) fn is_long(&self, plan: &Plan) -> bool {
        self.usable_rows >= plan.config.pipeline.min_rows
    }
}

/// Where a member's verdict on a series comes from.
#[derive(Clone, Debug)]
pub(super) enum Speaker {
    /// A model of the series.
    Own(CalibratedModel),
    /// The model of all series as it applies to the one at this position among those that it was trained on.
    Share(usize, CalibratedModel),
    /// The model of all series.
    Pooled,
    /// Nothing: neither could be trained.
    Absent,
}

/// The models of one series.
#[derive(Clone, Debug)]
pub(super) struct SeriesModel {
    pub(super) baseline: ZScoreModel,
    pub(super) context: Option<Frame>,
    pub(super) speakers: Vec<Speaker>,
    pub(super) rows: usize,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl SeriesModel {
    pub(super) fn fit(
        plan: &Plan,
        detectors: &[Box<dyn DynDetector>],
        pooled: &Pooled,
        position: Option<usize>,
        prepared: Prepared<'_>,
    ) -> (SeriesKey, Self) {
        let long = prepared.is_long(plan);
        let speakers = plan
            .members
            .iter()
            .zip(detectors)
            .zip(pooled)
            .map(|((member, detector), pooled)| {
                if let Some(pooled) = pooled.as_ref().filter(|_| member.pooled || !long) {
                    // A model of all that knows each series' own scale speaks with it.
                    let share =
                        position.and_then(|position| Some(Speaker::Share(position, pooled.of_frame(position)?)));
                    return share.unwrap_or(Speaker::Pooled);
                }
                let own = long.then(|| {
                    let config = &plan.config.pipeline;
                    CalibratedModel::fit(detector.as_ref(), &member.columns, &[&prepared.wide], config).ok()
                });
                own.flatten().map_or(Speaker::Absent, Speaker::Own)
            })
            .collect();
        let time = prepared.frame.time();
        let model = Self {
            context: plan.matrix.context(prepared.frame.view()),
            baseline: prepared.baseline,
            speakers,
            rows: prepared.usable_rows,
            first: time.first().copied().unwrap_or_default(),
            last: time.last().copied().unwrap_or_default(),
        };
        (prepared.key, model)
    }

    /// The columns that detectors are made from, with rows before `frame` to look back to; and how many.
    pub(super) fn join(&self, plan: &Plan, frame: FrameView<'_>) -> Result<(Frame, usize), PipelineError> {
        let frame = frame.select(plan.matrix.inputs())?;
        match &self.context {
            Some(context) => with_context(context, frame.view()),
            None => Ok((frame, 0)),
        }
    }

    /// Scores the rows of `joined` after the first `skip`.
    #[expect(clippy::too_many_arguments, reason = "what all series share, and what this one is")]
    pub(super) fn score(
        &self,
        plan: &Plan,
        pooled: &Pooled,
        evidence: Option<(&FittedIncidents, Evidence)>,
        key: &SeriesKey,
        joined: Frame,
        skip: usize,
        watch: &Stopwatch,
    ) -> Result<Scored, PipelineError> {
        let (metrics, wide, baseline) = watch.time("features", || {
            let metrics = plan.matrix.metrics(joined.view())?;
            let wide = plan.matrix.wide(joined.view(), &metrics, &self.baseline, plan.engineered)?;
            let metrics = metrics.skip(skip);
            let baseline = self.baseline.detect(metrics.usable.view()).map_err(PipelineError::series)?;
            Ok::<_, PipelineError>((metrics, wide, baseline))
        })?;

        let mut models = Vec::new();
        let mut contributions = Vec::new();
        for ((member, speaker), pooled) in plan.members.iter().zip(&self.speakers).zip(pooled) {
            let (model, source) = match (speaker, pooled) {
                (Speaker::Own(model), _) => (model, ModelSource::Own),
                (Speaker::Share(_, model), _) | (Speaker::Pooled, Some(model)) => (model, ModelSource::Pooled),
                _ => continue,
            };
            let detected = watch.time(&member.name, || model.detect(wide.view(), skip));
            let (detection, scores) = detected.map_err(PipelineError::series)?;
            contributions.extend(per_metric(plan, model.model.as_ref(), &detection));
            let expected = expected_primary(plan, model.model.as_ref(), &detection, &metrics.observed);
            models.push(ModelScores { detector: member.name.clone(), source, scores, expected });
        }
        let mut log_odds = None;
        let evidence = evidence.map(|(incidents, evidence)| {
            let scores = incidents.scores(&evidence);
            log_odds = Some(incidents.log_odds(&evidence));
            let detector = incidents::NAME.to_owned();
            models.push(ModelScores { detector, source: ModelSource::Pooled, scores, expected: None });
            evidence
        });
        if models.is_empty() {
            let scores = plan.baseline_calibrator.scores(baseline.score());
            models.push(ModelScores {
                detector: "zscore".to_owned(),
                source: ModelSource::Fallback,
                scores,
                expected: None,
            });
        }
        let mut expectation = Expectation::new(&self.baseline, &metrics, &baseline).map_err(PipelineError::series)?;
        if let Some(evidence) = &evidence {
            expectation.refine(&plan.config, evidence);
        }
        let time = joined.time()[skip..].to_vec();
        Ok(Scored { series: key.clone(), time, models, contributions, evidence, log_odds, expectation })
    }
}

/// A series with the scores of all detectors, before anything is decided.
#[derive(Debug)]
pub(super) struct Scored {
    pub(super) series: SeriesKey,
    pub(super) time: Vec<Timestamp>,
    models: Vec<ModelScores>,
    /// Per detector that has them, a value per row and metric.
    contributions: Vec<Array2<f64>>,
    evidence: Option<Evidence>,
    /// Logarithms of the odds that each row is part of an incident.
    log_odds: Option<Vec<f64>>,
    expectation: Expectation,
}

/// What a threshold is learnt from.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) series: SeriesKey,
    time: Vec<Timestamp>,
    score: Vec<f64>,
    log_odds: Option<Vec<f64>>,
    shared: Vec<bool>,
    /// Empty where weights are not learnt.
    votes: Vec<Vote>,
}

impl AsRef<[Vote]> for Judged {
    fn as_ref(&self) -> &[Vote] {
        &self.votes
    }
}

impl Judged {
    /// Combines the votes anew. Rows that the whole site explains have no score: they are one alarm of
    /// the site, not one of every series.
    pub(super) fn combine(&mut self, ensemble: &Ensemble) -> Result<(), PipelineError> {
        let verdicts = ensemble.combine(&self.time, &self.votes)?;
        self.score = verdicts.into_iter().map(|v| v.score).collect();
        for (score, _) in self.score.iter_mut().zip(&self.shared).filter(|(_, shared)| **shared) {
            *score = f64::NAN;
        }
        Ok(())
    }

    /// What the detectors said of a time; `None` without a row in it.
    pub(super) fn episode(&self, feedback: &Feedback) -> Option<Episode> {
        let at = |time| self.time.partition_point(|t| *t < time);
        let rows = at(feedback.start)..at(feedback.end);
        let highest = |vote: &Vote| {
            let scores = rows.clone().map(|row| vote.scores()[row]).filter(|s| !s.is_nan());
            scores.max_by(f64::total_cmp).map(|score| (vote.detector().to_owned(), score))
        };
        let scores: Vec<_> = self.votes.iter().filter_map(highest).collect();
        (!scores.is_empty()).then_some(Episode { scores, is_incident: feedback.is_incident })
    }

    pub(super) fn view(&self) -> ScoredSeries<'_> {
        ScoredSeries { time: &self.time, score: &self.score, log_odds: self.log_odds.as_deref() }
    }
}

impl Scored {
    fn votes(&self) -> Vec<Vote> {
        self.models.iter().map(|m| Vote::new(&m.detector, m.scores.clone())).collect()
    }

    /// What weights and a threshold are learnt from; the votes are only kept for weights.
    pub(super) fn judged(&self, ensemble: &Ensemble, keep_votes: bool) -> Result<Judged, PipelineError> {
        let mut judged = Judged {
            series: self.series.clone(),
            time: self.time.clone(),
            score: Vec::new(),
            log_odds: self.log_odds.clone(),
            shared: self.evidence.iter().flat_map(Evidence::shared).collect(),
            votes: self.votes(),
        };
        judged.combine(ensemble)?;
        if !keep_votes {
            judged.votes = Vec::new();
        }
        Ok(judged)
    }

    /// Decides and explains.
    pub(super) fn conclude(self, plan: &Plan, ensemble: &Ensemble) -> Result<SeriesFindings, PipelineError> {
        let verdicts = ensemble.combine(&self.time, &self.votes())?;
        let flags: Vec<bool> = verdicts.iter().map(|v| v.is_anomaly).collect();
        let raw = self.evidence.as_ref().map(|e| e.incidents_of(&flags)).unwrap_or_default();
        // Kinds of the rows that are more likely part of an incident than not.
        let kinds: Vec<Option<IncidentKind>> = self.evidence.as_ref().map_or_else(Vec::new, |e| {
            e.kinds().zip(e.log_odds()).map(|(kind, log_odds)| (log_odds > 0.0).then_some(kind)).collect()
        });
        let anomalies = verdicts
            .iter()
            .enumerate()
            .filter_map(|(row, verdict)| {
                let severity = verdict.severity?;
                let why: Vec<Vec<f64>> = self.contributions.iter().map(|c| c.row(row).to_vec()).collect();
                let (key, time) = (&self.series, self.time[row]);
                let kind = kinds.get(row).copied().flatten();
                Some(explain(plan, key, time, row, verdict, severity, kind, &self.models, &self.expectation, &why))
            })
            .collect();
        let Expectation { observed, expected, lower, upper, z, .. } = self.expectation;
        let (series, time, models) = (self.series, self.time, self.models);
        let incidents = Vec::new();
        let mut found = SeriesFindings {
            series,
            time,
            observed,
            expected,
            lower,
            upper,
            z,
            models,
            verdicts,
            anomalies,
            incidents,
        };
        found.incidents = incident::explain(&plan.config, &found, &raw);
        Ok(found)
    }
}

/// What the baseline expects of every metric.
#[derive(Debug)]
struct Expectation {
    names: funnelpulse_core::Columns,
    observed: Array2<f64>,
    expected: Array2<f64>,
    lower: Array2<f64>,
    upper: Array2<f64>,
    z: Array2<f64>,
}

impl Expectation {
    fn new(model: &ZScoreModel, metrics: &Metrics, detection: &Detection) -> Result<Self, funnelpulse_core::Error> {
        let expected = detection.expected().expect("the z-score has expected values").to_owned();
        let (lower, upper) = detection.interval().expect("the z-score has an interval");
        Ok(Self {
            names: metrics.observed.columns().clone(),
            observed: metrics.observed.values().to_owned(),
            lower: lower.to_owned(),
            upper: upper.to_owned(),
            z: model.residuals(metrics.usable.view())?,
            expected,
        })
    }

    /// Puts what the incidents' model expects, which follows the level of each series and knows what
    /// all of them share, in place of the baseline's expectations. Ranges move along.
    fn refine(&mut self, config: &Config, evidence: &Evidence) {
        let Some(columns) = config.incident_config() else { return };
        let names = [columns.traffic, columns.carts, columns.purchases, columns.revenue];
        let positions = names.map(|name| self.names.position(&name?));
        let rates: Vec<(usize, usize, usize)> = config
            .input
            .metrics
            .iter()
            .filter_map(|m| match &m.kind {
                MetricKind::Rate { numerator, denominator } => Some((
                    self.names.position(&m.name)?,
                    self.names.position(numerator).filter(|p| positions.contains(&Some(*p)))?,
                    self.names.position(denominator).filter(|p| positions.contains(&Some(*p)))?,
                )),
                _ => None,
            })
            .collect();
        for (row, (expected, shared)) in evidence.expected().zip(evidence.shared()).enumerate() {
            // In a broken site the baseline still knows what there should have been.
            if shared {
                continue;
            }
            for (position, value) in positions.iter().zip(expected) {
                if let Some(column) = position {
                    self.replace(row, *column, value);
                }
            }
            for &(rate, numerator, denominator) in &rates {
                let value = self.expected[[row, numerator]] / self.expected[[row, denominator]];
                self.replace(row, rate, value);
            }
        }
    }

    fn replace(&mut self, row: usize, column: usize, value: f64) {
        let at = [row, column];
        let ratio = value / self.expected[at];
        if value.is_finite() && ratio.is_finite() && ratio > 0.0 {
            self.expected[at] = value;
            self.lower[at] *= ratio;
            self.upper[at] *= ratio;
        }
    }

    fn deviations(&self, row: usize) -> Vec<Deviation> {
        let deviation = |(i, name): (usize, &std::sync::Arc<str>)| {
            Deviation::new(name.clone(), self.observed[[row, i]], self.expected[[row, i]], self.z[[row, i]])
        };
        self.names.iter().enumerate().map(deviation).collect()
    }
}

/// A model's contributions, added up per metric.
fn per_metric(plan: &Plan, model: &dyn FittedDetector, detection: &Detection) -> Option<Array2<f64>> {
    let contributions = detection.contributions()?;
    let mut sums = Array2::zeros((contributions.nrows(), plan.metric_names().len()));
    for (column, values) in model.columns().iter().zip(contributions.columns()) {
        if let Some(metric) = plan.matrix.metric_of(column) {
            let mut sum = sums.column_mut(metric);
            sum += &values;
        }
    }
    Some(sums)
}

/// What a model expected of the primary metric, if it expects anything of it; of a rate whose
/// numerator it sees, in relation to the denominator as it was.
fn expected_primary(
    plan: &Plan,
    model: &dyn FittedDetector,
    detection: &Detection,
    observed: &Frame,
) -> Option<Array1<f64>> {
    let expected = detection.expected()?;
    let column = |name: &str| model.columns().iter().position(|c| **c == *name).map(|i| expected.column(i));
    let primary = plan.config.primary_metric();
    if let Some(expected) = column(primary) {
        return Some(expected.to_owned());
    }
    let metric = plan.config.input.metrics.iter().find(|m| m.name == primary)?;
    let MetricKind::Rate { numerator, denominator } = &metric.kind else { return None };
    let denominator = observed.values().column(observed.columns().position(denominator)?).to_owned();
    Some(column(numerator)?.to_owned() / denominator.mapv(|d| if d > 0.0 { d } else { f64::NAN }))
}

/// The type that goes with a kind of incident; a wrong price drives values either way.
fn type_of(kind: IncidentKind) -> Option<AnomalyType> {
    use IncidentKind as K;
    match kind {
        K::CheckoutOutage | K::TrackingOutage | K::CartBreak | K::Dip | K::GradualDegradation => {
            Some(AnomalyType::Drop)
        }
        K::BotTraffic | K::Promotion | K::Spike => Some(AnomalyType::Spike),
        K::LevelShift => Some(AnomalyType::Changepoint),
        K::Pattern => Some(AnomalyType::Pattern),
        K::PriceError => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "one row seen from every side")]
fn explain(
    plan: &Plan,
    key: &SeriesKey,
    time: Timestamp,
    row: usize,
    verdict: &Verdict,
    severity: Severity,
    kind: Option<IncidentKind>,
    models: &[ModelScores],
    expectation: &Expectation,
    contributions: &[Vec<f64>],
) -> Anomaly {
    let deviations = expectation.deviations(row);
    let contributions: Vec<&[f64]> = contributions.iter().map(Vec::as_slice).collect();
    let factors = top_factors(&deviations, &contributions, plan.config.alerts.max_factors);
    let strongest = deviations.iter().map(|d| d.z).filter(|z| !z.is_nan());
    let strongest = strongest.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::NAN);
    let score_of = |m: &ModelScores| m.scores[row];
    let loudest = models.iter().filter(|m| !score_of(m).is_nan()).max_by(|a, b| score_of(a).total_cmp(&score_of(b)));
    let by_value = AnomalyType::classify(strongest, loudest.is_some_and(|m| m.detector == "changepoint"));
    let anomaly_type = kind.and_then(type_of).unwrap_or(by_value);
    let impact = Impact::assess(&plan.config.impact, &deviations);
    let alert = Alert::new(&plan.config.alerts, key.clone(), time, severity, anomaly_type, impact, &factors);
    Anomaly { row, score: verdict.score, severity, anomaly_type, factors, impact, alert, rank: 0 }
}
