//! The scores of a live pipeline: once for members whose scores never change, again and again for those
//! that revise earlier rows.

use std::collections::BTreeMap;

use funnelpulse_analytics::{SeriesFailure, SeriesFindings};
use funnelpulse_core::{
    Columns, Episode, FittedPanelDetector, Frame, Memory, PanelView, SeriesDetection, SeriesKey, SeriesView, Survey,
    isolated,
};
use rayon::prelude::*;

use super::{
    LivePipeline, Reach,
    series::{Emitted, LiveSeries},
};
use crate::{
    FittedPipeline, PipelineError, pipeline::partition, plan::Plan, prepared::Prepared, scored::Scored,
    timings::Stopwatch,
};

/// What members that revise earlier rows found in a series, by their position.
type Revised = Vec<(usize, SeriesDetection)>;

/// A series with kept rows and the columns that a member sees; the first rows are context.
struct SeriesFrame<'a> {
    key: &'a SeriesKey,
    frame: Frame,
    skip: usize,
}

impl SeriesFrame<'_> {
    fn view(&self) -> SeriesView<'_> {
        SeriesView { skip: self.skip, ..SeriesView::new(self.key, self.frame.view()) }
    }
}

impl LivePipeline {
    /// Scores new rows by the members whose scores never change. Rows that can't be scored are taken
    /// back.
    pub(super) fn score_new(&mut self, new: Vec<(SeriesKey, usize)>, failures: &mut Vec<SeriesFailure>) {
        let (model, Reach { narrow, derived, .. }) = (self.model.clone(), self.reach);
        let plan = &*model.plan;
        let prepare = |(key, rows): &(SeriesKey, usize)| {
            let prepared = self.series[key].prepare(plan, key, *rows, narrow, derived);
            prepared.map_err(|e| failure(key, &e))
        };
        let mut failed = Vec::new();
        let prepared = kept_of(new.par_iter().map(prepare).collect(), &mut failed);
        let ready: Vec<Prepared> = prepared.into_iter().flatten().collect();
        let surveys = surveys(&model, &ready, failures);
        for scored in kept_of(score(plan, &surveys, ready), &mut failed) {
            if let Some(series) = self.series.get_mut(&scored.series) {
                series.emitted.resize(series.emitted.len() + scored.time.len(), Emitted::default());
                series.kept.append(scored);
            }
        }
        for failure in &failed {
            let rows = new.iter().find(|(key, _)| *key == failure.series).map_or(0, |(_, rows)| *rows);
            if let Some(series) = self.series.get_mut(&failure.series) {
                series.take_back(rows);
            }
        }
        failures.extend(failed);
    }

    /// The findings in all kept rows, and the episodes of the whole site.
    pub(super) fn conclude(&mut self, failures: &mut Vec<SeriesFailure>) -> (Vec<SeriesFindings>, Vec<Episode>) {
        let mut memories = std::mem::take(&mut self.memories);
        let mut revised: BTreeMap<SeriesKey, Revised> = BTreeMap::new();
        let mut site = Vec::new();
        for (index, (member, fitted)) in self.model.plan.members.iter().zip(&self.model.models).enumerate() {
            let Some(fitted) = fitted.as_ref().filter(|fitted| !fitted.horizon().is_none()) else { continue };
            match self.revise(&member.name, fitted.as_ref(), &mut memories[index], &mut site) {
                Err(error) => failures.push(cannot_score(&member.name, &error)),
                Ok(detections) => {
                    for (key, detection) in kept_of(detections, failures) {
                        revised.entry(key).or_default().push((index, detection));
                    }
                }
            }
        }
        self.memories = memories;
        let parts: Vec<_> = self
            .kept()
            .into_iter()
            .map(|(key, series)| (key, series, revised.remove(key).unwrap_or_default()))
            .collect();
        let conclude = |(key, series, revised): (&SeriesKey, &LiveSeries, Revised)| {
            series.conclude(&self.model, revised).map_err(|e| failure(key, &e))
        };
        (partition(parts.into_par_iter().map(conclude).collect(), failures), site)
    }

    /// The kept rows of all series, scored again by a member that revises earlier rows. `site` gets the
    /// episodes of the whole site.
    #[expect(clippy::type_complexity, reason = "a series that fails does not stop the others")]
    fn revise(
        &self,
        member: &str,
        fitted: &dyn FittedPanelDetector,
        memory: &mut Memory,
        site: &mut Vec<Episode>,
    ) -> Result<Vec<Result<(SeriesKey, SeriesDetection), SeriesFailure>>, PipelineError> {
        let frames = self.frames_of(fitted.columns())?;
        let view = PanelView::new(frames.iter().map(SeriesFrame::view).collect());
        let survey = isolated(member, || fitted.survey_next(&view, memory)).map_err(PipelineError::series)?;
        site.extend(survey.site_episodes());
        let detect = |series: &SeriesView<'_>| match isolated(member, || survey.detect(series)) {
            Ok(detection) => detection.map(|detection| Ok((series.key.clone(), detection))),
            Err(error) => Some(Err(failure(series.key, &error))),
        };
        Ok(view.series().par_iter().filter_map(detect).collect())
    }

    /// The columns of every series with kept rows.
    fn frames_of(&self, columns: &Columns) -> Result<Vec<SeriesFrame<'_>>, PipelineError> {
        let inputs = self.model.plan.matrix.inputs();
        let are_inputs = columns.iter().all(|c| inputs.position(c).is_some());
        let frame = |(key, series): (&SeriesKey, &LiveSeries)| {
            if are_inputs {
                let (time, skip) = (series.inputs.time(), series.skip());
                let first = self.reach.context.first_row(time, skip);
                let seen = series.inputs.view().rows(first..time.len());
                return Ok(Some((seen.select(columns)?, skip - first)));
            }
            let rows = series.kept.time.len();
            match series.prepare(&self.model.plan, key, rows, self.reach.context, self.reach.context)? {
                Some(prepared) => Ok(Some((prepared.wide.view().select(columns)?, prepared.skip))),
                None => Ok(None),
            }
        };
        let frames: Vec<Result<Option<(Frame, usize)>, PipelineError>> =
            self.kept().into_par_iter().map(frame).collect();
        let mut all = Vec::with_capacity(frames.len());
        for ((key, _), frame) in self.kept().into_iter().zip(frames) {
            all.extend(frame?.map(|(frame, skip)| SeriesFrame { key, frame, skip }));
        }
        Ok(all)
    }

    /// Series with kept rows, in order of their names.
    fn kept(&self) -> Vec<(&SeriesKey, &LiveSeries)> {
        self.series.iter().filter(|(_, series)| !series.kept.time.is_empty()).collect()
    }
}

fn score(
    plan: &Plan,
    surveys: &[Option<Box<dyn Survey + '_>>],
    ready: Vec<Prepared>,
) -> Vec<Result<Scored, SeriesFailure>> {
    let watch = Stopwatch::default();
    let score = |prepared: Prepared| {
        let key = prepared.key.clone();
        Scored::by_members(plan, surveys, &prepared, &watch).map_err(|e| failure(&key, &e))
    };
    ready.into_par_iter().map(score).collect()
}

/// The results; failures are put with the others.
fn kept_of<T>(results: Vec<Result<T, SeriesFailure>>, failures: &mut Vec<SeriesFailure>) -> Vec<T> {
    results.into_iter().filter_map(|result| result.map_err(|failure| failures.push(failure)).ok()).collect()
}

/// What series share, by the members without a horizon; `None` for the others.
fn surveys<'a>(
    model: &'a FittedPipeline,
    prepared: &[Prepared],
    failures: &mut Vec<SeriesFailure>,
) -> Vec<Option<Box<dyn Survey + 'a>>> {
    let view = PanelView::new(prepared.iter().map(Prepared::view).collect());
    let mut surveys = Vec::with_capacity(model.models.len());
    for (member, fitted) in model.plan.members.iter().zip(&model.models) {
        let stable = fitted.as_ref().filter(|fitted| fitted.horizon().is_none());
        let survey = stable.map(|fitted| isolated(&member.name, || fitted.survey(&view)));
        surveys.push(survey.and_then(|survey| survey.map_err(|e| failures.push(cannot_score(&member.name, &e))).ok()));
    }
    surveys
}

fn cannot_score(member: &str, error: &dyn std::fmt::Display) -> SeriesFailure {
    SeriesFailure { series: SeriesKey::new("(all)"), message: format!("`{member}` can't score this window: {error}") }
}

fn failure(series: &SeriesKey, error: &dyn std::fmt::Display) -> SeriesFailure {
    SeriesFailure { series: series.clone(), message: error.to_string() }
}
