//! One series on its way to detectors: metrics, expected values, columns.

use std::sync::Arc;

use funnelpulse_analytics::SeriesFailure;
use funnelpulse_baseline::ZScoreModel;
use funnelpulse_core::{
    Context, Detector, FittedDetector, Frame, FrameView, SeriesKey, SeriesView, Timestamp, counted,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::{
    PipelineError,
    matrix::{Metrics, with_context},
    plan::Plan,
};

/// The state that training keeps of a series.
#[derive(Clone, Debug)]
pub(crate) struct SeriesState {
    pub(crate) baseline: Arc<ZScoreModel>,
    /// The last rows of training that later rows look back to.
    pub(crate) context: Option<Frame>,
    pub(crate) rows: usize,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// The rows of a series with everything that is computed of them once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) key: SeriesKey,
    /// The columns that the members see: every row, context included. In training the usable metrics alone, until the
    /// others are [derived](Self::derive).
    pub(crate) wide: Frame,
    /// Rows at the front that are only looked back to.
    pub(crate) skip: usize,
    pub(crate) rows_with_data: usize,
    pub(crate) baseline: Arc<ZScoreModel>,
    /// The metrics of the scored rows as they are.
    observed: Array2<f64>,
}

/// Expected values of every metric by the baseline; a row per scored row.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) observed: Array2<f64>,
    pub(crate) expected: Array2<f64>,
    pub(crate) lower: Array2<f64>,
    pub(crate) upper: Array2<f64>,
    /// Signed z-scores.
    pub(crate) z: Array2<f64>,
    /// Raw scores of the baseline as a detector.
    pub(crate) score: Array1<f64>,
}

impl Prepared {
    /// A series to train on, with its baseline and its metrics alone.
    pub(crate) fn for_training(plan: &Plan, key: &SeriesKey, frame: FrameView<'_>) -> Result<Self, SeriesFailure> {
        let fail = |message: String| SeriesFailure { series: key.clone(), message };
        let rows = rows_with_data(frame);
        let needed = plan.config.pipeline.min_fallback_rows;
        if rows < needed {
            let rows = counted(rows, "row", "rows");
            return Err(fail(format!("too short to score: {rows} with data, at least {needed} are needed")));
        }
        let metrics = plan.matrix.metrics(frame).map_err(|e| fail(e.to_string()))?;
        let baseline = plan.baseline.fit(metrics.usable.view()).map_err(|e| fail(e.to_string()))?;
        let observed = metrics.observed.into_parts().2;
        let (wide, baseline) = (metrics.usable, Arc::new(baseline));
        Ok(Self { key: key.clone(), wide, skip: 0, rows_with_data: rows, baseline, observed })
    }

    /// Adds the columns that are derived from the metrics of `frame`, the series to train on.
    pub(crate) fn derive(&mut self, plan: &Plan, frame: FrameView<'_>) -> Result<(), PipelineError> {
        self.wide = plan.matrix.wide(frame, self.wide.view(), &self.baseline, plan.engineered, 0)?;
        Ok(())
    }

    /// New rows of a series that was trained on.
    pub(crate) fn for_detection(
        plan: &Plan,
        key: &SeriesKey,
        frame: FrameView<'_>,
        state: &SeriesState,
    ) -> Result<Self, PipelineError> {
        let frame = frame.select(plan.matrix.inputs())?;
        let (joined, skip) = match &state.context {
            Some(context) => with_context(context, frame.view())?,
            None => (frame, 0),
        };
        let metrics = plan.matrix.metrics(joined.view())?;
        Self::new(plan, key, joined.view(), (0, skip), &metrics, state.baseline.clone())
    }

    /// The rows of `frame` after the first `skip`, given their metrics. Nothing looks at the residuals of rows before
    /// `derived`.
    pub(crate) fn new(
        plan: &Plan,
        key: &SeriesKey,
        frame: FrameView<'_>,
        (derived, skip): (usize, usize),
        metrics: &Metrics,
        baseline: Arc<ZScoreModel>,
    ) -> Result<Self, PipelineError> {
        let wide = plan.matrix.wide(frame, metrics.usable.view(), &baseline, plan.engineered, derived)?;
        let observed = metrics.observed.values().slice_axis(Axis(0), (skip..).into()).to_owned();
        Ok(Self { key: key.clone(), wide, skip, rows_with_data: 0, baseline, observed })
    }

    /// The expectations of the baseline for the scored rows. Computed when a series is scored, so
    /// that it takes no memory while models are trained.
    pub(crate) fn expectation(&self, plan: &Plan) -> Result<Expectation, PipelineError> {
        let rows = self.wide.view().rows(self.skip..self.wide.nrows());
        let detection = self.baseline.detect(rows).map_err(PipelineError::series)?;
        let Some(((lower, upper), expected)) = detection.interval().zip(detection.expected()) else {
            let reason = "gives no expected values, which the baseline has to";
            return Err(PipelineError::Detector { detector: funnelpulse_baseline::KIND.to_owned(), reason });
        };
        Ok(Expectation {
            observed: self.observed.clone(),
            expected: expected.to_owned(),
            lower: lower.to_owned(),
            upper: upper.to_owned(),
            z: self.wide.values().slice(s![self.skip.., plan.matrix.hourly_residuals()]).to_owned(),
            score: detection.into_score(),
        })
    }

    /// The metrics of the scored rows as they are.
    pub(crate) fn observed(&self) -> ArrayView2<'_, f64> {
        self.observed.view()
    }

    /// The state that training keeps, with the rows that detectors of this context look back to.
    pub(crate) fn state(
        &self,
        plan: &Plan,
        frame: FrameView<'_>,
        context: Context,
    ) -> Result<SeriesState, PipelineError> {
        let first_row = context.first_row(frame.time(), frame.nrows());
        let tail = frame.rows(first_row..frame.nrows()).select(plan.matrix.inputs())?;
        Ok(SeriesState {
            baseline: self.baseline.clone(),
            context: (tail.nrows() > 0).then_some(tail),
            rows: self.rows_with_data,
            first: frame.time().first().copied().unwrap_or_default(),
            last: frame.time().last().copied().unwrap_or_default(),
        })
    }

    /// The series as panel detectors see it.
    pub(crate) fn view(&self) -> SeriesView<'_> {
        let (frame, skip, rows_with_data) = (self.wide.view(), self.skip, self.rows_with_data);
        SeriesView { key: &self.key, frame, skip, rows_with_data }
    }

    /// The times of the scored rows.
    pub(crate) fn time(&self) -> &[Timestamp] {
        &self.wide.time()[self.skip..]
    }
}

pub(crate) fn rows_with_data(frame: FrameView<'_>) -> usize {
    frame.values().rows().into_iter().filter(|r| r.iter().any(|v| !v.is_nan())).count()
}
