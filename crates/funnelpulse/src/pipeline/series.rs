//! One series: its models, and what they find.

use funnelpulse_config::Config;
use funnelpulse_core::{
    Calibrator, Detection, Detector, DynDetector, FittedDetector, Frame, FrameView, SeriesKey, Timestamp,
};
use funnelpulse_ensemble::{Ensemble, ZScore, ZScoreModel};
use funnelpulse_features::MetricKind;
use funnelpulse_incidents::{Evidence, IncidentDetector};
use ndarray::{Array1, Array2};

use super::{
    incidents::{self, FittedIncidents},
    matrix::{Matrix, with_context},
    member::{CalibratedModel, Member},
    scored::{Expectation, Scored},
};
use crate::{
    PipelineError, SeriesFailure,
    findings::{ModelScores, ModelSource},
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
