//! One series as a live pipeline follows it.

use std::sync::Arc;

use funnelpulse_analytics::SeriesFindings;
use funnelpulse_baseline::ZScoreModel;
use funnelpulse_core::{
    AnomalyType, Columns, Context, Detector, Error, Frame, FrameView, SeriesDetection, SeriesKey, Severity, Timestamp,
    isolated,
};
use funnelpulse_ensemble::AdaptiveThreshold;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::kept::last_rows;
use crate::{
    FittedPipeline, PipelineError,
    matrix::with_context,
    plan::Plan,
    prepared::{Prepared, SeriesState, rows_with_data},
    scored::Scored,
};

/// The verdict on a row as it was last emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Emitted {
    /// Number of times that the row was emitted.
    pub(super) times: u32,
    pub(super) is_final: bool,
    pub(super) flag: Option<(Severity, AnomalyType)>,
}

/// The state of one series.
#[derive(Clone, Debug)]
pub(super) struct LiveSeries {
    /// `None` for a new series with too few rows.
    pub(super) baseline: Option<Arc<ZScoreModel>>,
    /// The series was trained on: its baseline is that of the model.
    pub(super) is_known: bool,
    /// Rows with data so far, of a series that was not trained on.
    pub(super) rows: usize,
    /// Input columns: the context of the kept rows, then the kept rows.
    pub(super) inputs: Frame,
    /// Scores of the kept rows by the members without a horizon.
    pub(super) kept: Scored,
    /// One per kept row.
    pub(super) emitted: Vec<Emitted>,
    /// Knows the scores of the rows before the kept ones.
    pub(super) threshold: AdaptiveThreshold,
}

impl LiveSeries {
    /// A series before its first row; `state` is that of its training.
    pub(super) fn new(model: &FittedPipeline, key: &SeriesKey, state: Option<&SeriesState>) -> Self {
        let columns = model.plan.matrix.inputs();
        Self {
            baseline: state.map(|s| s.baseline.clone()),
            is_known: state.is_some(),
            rows: 0,
            inputs: state.and_then(|s| s.context.clone()).unwrap_or_else(|| no_rows(columns)),
            kept: Scored::empty(key),
            emitted: Vec::new(),
            threshold: model.ensemble.adaptive_threshold(),
        }
    }

    /// Time of the last row that was taken.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.kept.time.last().or(self.inputs.time().last()).copied()
    }

    /// The row at which the kept ones begin.
    pub(super) fn skip(&self) -> usize {
        self.inputs.nrows() - self.kept.time.len()
    }

    /// Takes the rows that follow. Before the first ones, rows of the training that overlap with
    /// them are left out, as in a batch.
    pub(super) fn take(&mut self, rows: FrameView<'_>) -> Result<(), PipelineError> {
        self.inputs = with_context(&self.inputs, rows)?.0;
        self.rows += rows_with_data(rows);
        Ok(())
    }

    /// Takes rows back that could not be scored.
    pub(super) fn take_back(&mut self, rows: usize) {
        let left = self.inputs.nrows() - rows;
        self.inputs = self.inputs.view().rows(0..left).to_frame();
    }

    /// Gives a new series its first baseline, and a better one each time its rows have doubled.
    /// Returns whether it has one.
    pub(super) fn learn(&mut self, plan: &Plan, before: usize) -> Result<bool, PipelineError> {
        let least = plan.config.pipeline.min_fallback_rows;
        let has_doubled = |rows: usize| rows.checked_div(least).filter(|q| *q > 0).map(usize::ilog2);
        if self.is_known || has_doubled(self.rows) == has_doubled(before) {
            return Ok(self.baseline.is_some());
        }
        let metrics = plan.matrix.metrics(self.inputs.view())?;
        let fit =
            || plan.baseline.fit(metrics.usable.view()).map_err(|e| Error::detector(funnelpulse_baseline::KIND, e));
        self.baseline = Some(Arc::new(isolated(funnelpulse_baseline::KIND, fit).map_err(PipelineError::series)?));
        Ok(true)
    }

    /// The last `rows` rows with the columns that detectors of this context see; of residuals only those of the
    /// context `derived` are looked at.
    pub(super) fn prepare(
        &self,
        plan: &Plan,
        key: &SeriesKey,
        rows: usize,
        context: Context,
        derived: Context,
    ) -> Result<Option<Prepared>, PipelineError> {
        let Some(baseline) = &self.baseline else { return Ok(None) };
        let all = self.inputs.nrows();
        let first = context.first_row(self.inputs.time(), all - rows);
        let frame = self.inputs.view().rows(first..all);
        let derived = derived.first_row(self.inputs.time(), all - rows).max(first) - first;
        let metrics = plan.matrix.metrics(frame)?;
        Prepared::new(plan, key, frame, (derived, all - rows - first), &metrics, baseline.clone()).map(Some)
    }

    /// The findings in the kept rows. `found` are the scores by the members with a horizon.
    pub(super) fn conclude(
        &self,
        model: &FittedPipeline,
        found: Vec<(usize, SeriesDetection)>,
    ) -> Result<SeriesFindings, PipelineError> {
        let plan = &*model.plan;
        let rows = self.kept.time.len();
        let mut scored = self.kept.clone();
        for (member, found) in found {
            let posterior = found.posterior.map(|posterior| last_rows(posterior, rows));
            let observed = scored.expectation.observed.clone();
            scored.add(plan, &plan.members[member], SeriesDetection { posterior, ..found }, observed.view());
        }
        scored.settle(plan, plan.positions(model.funnel()));
        scored.conclude_after(&mut self.threshold.clone(), plan, &model.ensemble, model.funnel())
    }

    /// Forgets rows that are final and old, and the context that only they looked back to.
    /// `verdicts` are those of the kept rows.
    pub(super) fn trim(&mut self, findings: &SeriesFindings, rows: usize, context: Context) {
        for row in 0..rows {
            self.threshold.judge(findings.time[row], findings.verdicts[row].score);
        }
        self.kept.drop_front(rows);
        self.emitted.drain(..rows);
        let first = context.first_row(self.inputs.time(), self.skip());
        if first > 0 {
            self.inputs = self.inputs.view().rows(first..self.inputs.nrows()).to_frame();
        }
    }
}

/// A frame without rows.
pub(super) fn no_rows(columns: &Columns) -> Frame {
    let values = Array2::zeros((0, columns.len()));
    Frame::new(Vec::new(), columns.clone(), values).expect("no rows are in order")
}
