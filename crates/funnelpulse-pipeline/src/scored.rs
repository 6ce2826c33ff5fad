//! One series, scored by every member.

use funnelpulse_analytics::ModelScores;
use funnelpulse_core::{Detection, ModelSource, Posterior, SeriesDetection, SeriesKey, Survey, Timestamp, isolated};
use funnelpulse_ensemble::Vote;
use funnelpulse_features::MetricKind;
use ndarray::{Array1, Array2, ArrayView2};

use crate::{
    PipelineError,
    member::Member,
    plan::Plan,
    prepared::{Expectation, Prepared},
    timings::Stopwatch,
};

/// What a detector says of the part that each metric has in a score.
#[derive(Clone, Debug)]
pub(crate) struct Contributions {
    pub(crate) detector: String,
    /// A value per row and metric. They say which metrics stand out, and every row of every detector has them: half the digits
    /// take half the memory.
    pub(crate) values: Array2<f32>,
}

/// A series with the scores of all detectors, before anything is decided.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) series: SeriesKey,
    pub(crate) time: Vec<Timestamp>,
    pub(crate) models: Vec<ModelScores>,
    /// Those of the detectors that have them.
    pub(crate) contributions: Vec<Contributions>,
    pub(crate) posterior: Option<Posterior>,
    pub(crate) expectation: Expectation,
}

impl Scored {
    /// The scores of the members alone, and the expectations of the baseline. `surveys` has one entry per member, `None`
    /// without a model.
    pub(crate) fn by_members(
        plan: &Plan,
        surveys: &[Option<Box<dyn Survey + '_>>],
        prepared: &Prepared,
        watch: &Stopwatch,
    ) -> Result<Self, PipelineError> {
        let mut scored = Self::unscored(prepared);
        for (member, survey) in plan.members.iter().zip(surveys) {
            if let Some(survey) = survey {
                scored.score(plan, member, &**survey, prepared, watch)?;
            }
        }
        scored.expectation = prepared.expectation(plan)?;
        Ok(scored)
    }

    /// The rows of a prepared series, before anything scores them.
    pub(crate) fn unscored(prepared: &Prepared) -> Self {
        Self { time: prepared.time().to_vec(), ..Self::empty(&prepared.key) }
    }

    /// Adds the scores of one member, if it has a model for the series.
    pub(crate) fn score(
        &mut self,
        plan: &Plan,
        member: &Member,
        survey: &dyn Survey,
        prepared: &Prepared,
        watch: &Stopwatch,
    ) -> Result<(), PipelineError> {
        let detect = || isolated(&member.name, || survey.detect(&prepared.view()));
        if let Some(found) = watch.time(&member.name, detect).map_err(PipelineError::series)? {
            self.add(plan, member, found, prepared.observed());
        }
        Ok(())
    }

    /// Adds what the baseline expects, and [settles](Self::settle) it.
    pub(crate) fn finish(
        mut self,
        plan: &Plan,
        funnel: [Option<usize>; 4],
        prepared: &Prepared,
    ) -> Result<Self, PipelineError> {
        self.expectation = prepared.expectation(plan)?;
        self.settle(plan, funnel);
        Ok(self)
    }

    /// Puts the members in their order; where none has a model, the baseline scores. What is expected of the funnel,
    /// whose steps are at these positions, is refined.
    pub(crate) fn settle(&mut self, plan: &Plan, funnel: [Option<usize>; 4]) {
        let position = |detector: &str| plan.members.iter().position(|member| member.name == detector);
        self.models.sort_by_key(|model| position(&model.detector));
        self.contributions.sort_by_key(|of| position(&of.detector));
        if self.models.is_empty() {
            self.fall_back(plan);
        }
        if let Some(posterior) = &self.posterior {
            self.expectation.refine(plan, funnel, posterior);
        }
    }

    /// A series without rows.
    pub(crate) fn empty(series: &SeriesKey) -> Self {
        Self {
            series: series.clone(),
            time: Vec::new(),
            models: Vec::new(),
            contributions: Vec::new(),
            posterior: None,
            expectation: Expectation::default(),
        }
    }

    /// Adds what one member found in all rows; `observed` are their metrics.
    pub(crate) fn add(&mut self, plan: &Plan, member: &Member, found: SeriesDetection, observed: ArrayView2<'_, f64>) {
        let SeriesDetection { source, detection, scores, posterior } = found;
        let detector = || member.name.clone();
        let contributions = per_metric(plan, member, &detection);
        self.contributions.extend(contributions.map(|values| Contributions { detector: detector(), values }));
        let expected = expected_primary(plan, member, &detection, observed);
        self.models.push(ModelScores { detector: detector(), source, scores, expected });
        self.posterior = self.posterior.take().or(posterior);
    }

    /// Takes the scores of the baseline where no member has a model.
    fn fall_back(&mut self, plan: &Plan) {
        self.models.push(ModelScores {
            detector: funnelpulse_baseline::KIND.to_owned(),
            source: ModelSource::Fallback,
            scores: plan.baseline_calibrator.scores(self.expectation.score.view()),
            expected: None,
        });
    }

    /// The scores as the ensemble takes them.
    pub(crate) fn votes(&self) -> Vec<Vote> {
        self.models.iter().map(|m| Vote::new(&m.detector, m.scores.clone())).collect()
    }
}

/// A model's contributions, added up per metric.
fn per_metric(plan: &Plan, member: &Member, detection: &Detection) -> Option<Array2<f32>> {
    let contributions = detection.contributions()?;
    let mut sums: Array2<f64> = Array2::zeros((contributions.nrows(), plan.metric_names().len()));
    for (column, values) in member.columns.iter().zip(contributions.columns()) {
        if let Some(metric) = plan.matrix.metric_of(column) {
            let mut sum = sums.column_mut(metric);
            sum += &values;
        }
    }
    Some(sums.mapv(|sum| sum as f32))
}

/// Expected values of the primary metric by a model, if it has any; of a rate whose
/// numerator it sees, in relation to the denominator as it was.
fn expected_primary(
    plan: &Plan,
    member: &Member,
    detection: &Detection,
    observed: ArrayView2<'_, f64>,
) -> Option<Array1<f64>> {
    let expected = detection.expected()?;
    let column = |name: &str| member.columns.position(name).map(|i| expected.column(i));
    let primary = plan.config.primary_metric();
    if let Some(expected) = column(primary) {
        return Some(expected.to_owned());
    }
    let metric = plan.config.input.metrics.iter().find(|m| m.name == primary)?;
    let MetricKind::Rate { numerator, denominator } = &metric.kind else { return None };
    let denominator = observed.column(plan.metric_names().position(denominator)?).to_owned();
    Some(column(numerator)?.to_owned() / denominator.mapv(|d| if d > 0.0 { d } else { f64::NAN }))
}
