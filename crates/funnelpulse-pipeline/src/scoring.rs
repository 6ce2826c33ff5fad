//! Scores of all series, and the findings they become.

use funnelpulse_analytics::{Findings, SeriesFailure};
use funnelpulse_core::{
    Absence, Episode, FittedPanelDetector, Funnel, Memory, ModelSource, Panel, PanelView, SeriesKey, isolated,
};
use funnelpulse_ensemble::Ensemble;
use rayon::prelude::*;

use crate::{member::Member, pipeline::partition, plan::Plan, prepared::Prepared, scored::Scored, timings::Stopwatch};

/// The scores of a panel, before anything is decided.
#[derive(Debug)]
pub(crate) struct Scores {
    pub(crate) series: Vec<Result<Scored, SeriesFailure>>,
    /// The episodes that all series share.
    pub(crate) site: Vec<Episode>,
    /// The funnel that a detector looks at.
    pub(crate) funnel: Option<Funnel>,
}

/// Scores prepared series, member by member, so that the models of only one have to be there.
#[derive(Debug)]
pub(crate) struct Scoring<'a> {
    plan: &'a Plan,
    pub(crate) watch: &'a Stopwatch,
    pub(crate) prepared: Vec<Prepared>,
    /// One per prepared series.
    scored: Vec<Result<Scored, SeriesFailure>>,
    site: Vec<Episode>,
    funnel: Option<Funnel>,
}

impl<'a> Scoring<'a> {
    pub(crate) fn new(plan: &'a Plan, watch: &'a Stopwatch, prepared: Vec<Prepared>) -> Self {
        let scored = prepared.iter().map(|prepared| Ok(Scored::unscored(prepared))).collect();
        Self { plan, watch, prepared, scored, site: Vec::new(), funnel: None }
    }

    /// The prepared series as detectors see them.
    pub(crate) fn view(&self) -> PanelView<'_> {
        PanelView::new(self.prepared.iter().map(Prepared::view).collect())
    }

    /// Adds the columns that are derived from the metrics of a history. Series of which they can't be derived are
    /// reported and left out.
    pub(crate) fn derive(&mut self, history: &Panel, failures: &mut Vec<SeriesFailure>) {
        let plan = self.plan;
        let derive = |prepared: &mut Prepared| {
            let frame = history.get(prepared.key.as_str())?;
            let derived = isolated(funnelpulse_baseline::KIND, || Ok(prepared.derive(plan, frame.view())));
            let message = match derived {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic.to_string(),
            };
            Some(SeriesFailure { series: prepared.key.clone(), message })
        };
        let failed: Vec<Option<SeriesFailure>> = self.prepared.par_iter_mut().map(derive).collect();
        for (at, _) in failed.iter().enumerate().rev().filter(|(_, failure)| failure.is_some()) {
            self.prepared.remove(at);
            failures.extend(self.scored.remove(at).err());
        }
        failures.extend(failed.into_iter().flatten());
    }

    /// Scores all series by the model of a member: first what the series share, then each by itself. `memory` has what
    /// the model has kept of this panel. A member whose survey fails is reported and left out.
    pub(crate) fn add(
        &mut self,
        member: &Member,
        model: &dyn FittedPanelDetector,
        mut memory: Memory,
        failures: &mut Vec<SeriesFailure>,
    ) {
        self.funnel = self.funnel.take().or_else(|| model.funnel().cloned());
        let look = || isolated(&member.name, || model.survey_next(&self.view(), &mut memory));
        let survey = match self.watch.time_all(&member.name, look) {
            Ok(survey) => survey,
            Err(error) => {
                let message = format!("`{}` can't score this panel: {error}", member.name);
                failures.push(SeriesFailure { series: SeriesKey::new("(all)"), message });
                return;
            }
        };
        drop(memory);
        self.site.extend(survey.site_episodes());
        let (plan, watch) = (self.plan, self.watch);
        self.scored.par_iter_mut().zip(&self.prepared).for_each(|(result, prepared)| {
            let Ok(scored) = result else { return };
            if let Err(error) = scored.score(plan, member, &*survey, prepared, watch) {
                *result = Err(SeriesFailure { series: prepared.key.clone(), message: error.to_string() });
            }
        });
    }

    /// The scores of all members; calls back after each series.
    pub(crate) fn finish(self, report: &(dyn Fn(&SeriesKey) + Sync)) -> Scores {
        let Self { plan, prepared, scored, site, funnel, .. } = self;
        let positions = plan.positions(funnel.as_ref());
        let finish = |(scored, prepared): (Result<Scored, SeriesFailure>, Prepared)| {
            let key = prepared.key.clone();
            let finished = scored?.finish(plan, positions, &prepared);
            report(&key);
            finished.map_err(|error| SeriesFailure { series: key, message: error.to_string() })
        };
        let series = scored.into_par_iter().zip(prepared).map(finish).collect();
        Scores { series, site, funnel }
    }
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
