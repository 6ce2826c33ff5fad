//! Scores of all series, and the findings they become.

use funnelpulse_analytics::{Findings, SeriesFailure};
use funnelpulse_core::{
    Absence, Episode, FittedPanelDetector, Funnel, Memory, ModelSource, PanelView, SeriesKey, Survey, isolated,
};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

use crate::{pipeline::partition, plan::Plan, prepared::Prepared, scored::Scored, timings::Stopwatch};

/// The scores of a panel, before anything is decided.
#[derive(Debug)]
pub(crate) struct Scores {
    pub(crate) series: Vec<Result<Scored, SeriesFailure>>,
    /// The episodes that all series share.
    pub(crate) site: Vec<Episode>,
    /// The funnel that a detector looks at.
    pub(crate) funnel: Option<Funnel>,
}

/// Scores prepared series by the models of all members: first what the series share, then each
/// series by itself. `memories` have what each model has kept of this panel. A member whose survey fails is reported
/// and left out.
pub(crate) fn score(
    plan: &Plan,
    models: &[Option<Box<dyn FittedPanelDetector>>],
    mut memories: Vec<Memory>,
    prepared: Vec<Prepared>,
    failures: &mut Vec<SeriesFailure>,
    watch: &Stopwatch,
    report: &(dyn Fn(&SeriesKey) + Sync),
) -> Scores {
    let view = PanelView::new(prepared.iter().map(Prepared::view).collect());
    let mut surveys: Vec<Option<Box<dyn Survey + '_>>> = Vec::with_capacity(models.len());
    memories.resize(models.len(), Memory::default());
    for ((member, model), memory) in plan.members.iter().zip(models).zip(memories) {
        let survey = model.as_ref().map(|model| {
            let mut memory = memory;
            watch.time_all(&member.name, || isolated(&member.name, || model.survey_next(&view, &mut memory)))
        });
        surveys.push(survey.and_then(|survey| {
            let failed = |error: funnelpulse_core::Error| SeriesFailure {
                series: SeriesKey::new("(all)"),
                message: format!("`{}` can't score this panel: {error}", member.name),
            };
            survey.map_err(|error| failures.push(failed(error))).ok()
        }));
    }
    drop(view);
    let funnel = models.iter().flatten().find_map(|model| model.funnel()).cloned();
    let positions = plan.positions(funnel.as_ref());
    let series = prepared
        .into_par_iter()
        .map(|prepared| {
            let key = prepared.key.clone();
            let scored = Scored::new(plan, &surveys, positions, prepared, watch);
            report(&key);
            scored.map_err(|e| SeriesFailure { series: key, message: e.to_string() })
        })
        .collect();
    let site = surveys.iter().flatten().flat_map(|survey| survey.site_episodes()).collect();
    Scores { series, site, funnel }
}

impl Scores {
    /// Decides and explains.
    pub(crate) fn conclude(
        self,
        plan: &Plan,
        ensemble: &Ensemble,
        absences: Vec<(String, Absence)>,
        mut failures: Vec<SeriesFailure>,
        watch: Stopwatch,
    ) -> Findings {
        let Self { series, site, funnel } = self;
        let conclude = |scored: Result<Scored, SeriesFailure>| {
            let scored = scored?;
            let series = scored.series.clone();
            let found = watch.time("explaining", || scored.conclude(plan, ensemble, funnel.as_ref()));
            found.map_err(|e| SeriesFailure { series, message: e.to_string() })
        };
        let found = partition(series.into_par_iter().map(conclude).collect(), &mut failures);
        let fell_back = found.iter().flat_map(|s| &s.models).any(|m| m.source == ModelSource::Fallback);
        let layout = plan.layout(funnel.clone(), fell_back, ensemble.config().threshold);
        Findings::new(layout, found, &site, failures).with_absences(absences).with_timings(watch.finish())
    }
}
