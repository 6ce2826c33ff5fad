//! A model with the calibrator of its scores.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};

use super::Training;
use crate::{Calibrator, Detection, DynDetector, Error, FittedDetector, Frame, FrameView};

/// The calibrated score from which on contributions are asked for where they cost extra: that of one
/// clean row in twenty.
const EXPLAINED_FROM: f64 = 0.3;

/// A trained detector and the calibrator of its scores.
#[derive(Clone, Debug)]
pub(super) struct CalibratedModel {
    pub(super) model: Arc<dyn FittedDetector>,
    pub(super) calibrator: Calibrator,
}

impl CalibratedModel {
    /// Fits to all rows of the frames; calibrates on scores of rows that were not trained on.
    pub(super) fn fit(
        detector: &dyn DynDetector,
        frames: &[FrameView<'_>],
        training: &Training,
    ) -> Result<Self, Error> {
        let (model, held_out) = match frames {
            [only] => detector.fit_cross_validated_dyn(*only, training.folds)?,
            many => (detector.fit_pooled_dyn(many)?, None),
        };
        let out_of_sample = match held_out {
            Some(scores) => scores,
            None => match model.out_of_sample_scores(frames)? {
                Some(scores) => join(&scores),
                None => cross_validated_scores(detector, frames, training.folds)?,
            },
        };
        let calibrator = Calibrator::fit_contaminated(out_of_sample.view(), training.contamination)?;
        Ok(Self { model: model.into(), calibrator })
    }

    /// A model of many frames as it applies to one of them, if it differs.
    pub(super) fn of_frame(&self, index: usize) -> Option<Self> {
        let model = self.model.of_frame(index)?;
        Some(Self { model: model.into(), calibrator: self.calibrator.clone() })
    }

    /// The detection of a frame without its first `skip` rows, and its calibrated scores.
    pub(super) fn detect(&self, frame: FrameView<'_>, skip: usize) -> Result<(Detection, Array1<f64>), Error> {
        let detection = self.model.detect_after(frame.reborrow(), skip)?;
        let scores = self.calibrator.scores(detection.score());
        let detection = self.with_contributions(detection, &scores, frame, skip)?;
        Ok((detection, scores))
    }

    /// The detection with the contributions to its high scores, where the model gives them only on
    /// request; zeros elsewhere.
    fn with_contributions(
        &self,
        detection: Detection,
        scores: &Array1<f64>,
        frame: FrameView<'_>,
        skip: usize,
    ) -> Result<Detection, Error> {
        if detection.contributions().is_some() {
            return Ok(detection);
        }
        let high: Vec<usize> = (0..scores.len()).filter(|row| scores[*row] >= EXPLAINED_FROM).collect();
        let rows: Vec<usize> = high.iter().map(|row| skip + row).collect();
        let Some(found) = self.model.contributions(frame, &rows)? else { return Ok(detection) };
        let mut contributions = Array2::zeros((scores.len(), found.ncols()));
        high.iter().zip(found.rows()).for_each(|(row, found)| contributions.row_mut(*row).assign(&found));
        Ok(detection.with_contributions(contributions))
    }
}

fn fit(detector: &dyn DynDetector, frames: &[FrameView<'_>]) -> Result<Box<dyn FittedDetector>, Error> {
    match frames {
        [only] => detector.fit_dyn(*only),
        many => detector.fit_pooled_dyn(many),
    }
}

/// Scores of every row by a model that did not see its part of the history: cross-validation in
/// blocks of consecutive rows, so that no row is judged by its neighbours.
fn cross_validated_scores(
    detector: &dyn DynDetector,
    frames: &[FrameView<'_>],
    folds: usize,
) -> Result<Array1<f64>, Error> {
    let mut scores = Vec::new();
    for fold in 0..folds {
        let block = |f: &FrameView<'_>| fold * f.nrows() / folds..(fold + 1) * f.nrows() / folds;
        let rest = frames.iter().map(|f| without(f, block(f))).collect::<Result<Vec<_>, _>>()?;
        let model = fit(detector, &rest.iter().map(Frame::view).collect::<Vec<_>>())?;
        for frame in frames {
            scores.push(model.detect(frame.rows(block(frame)))?.into_score());
        }
    }
    Ok(join(&scores))
}

/// The rows before and after `block`.
fn without(frame: &FrameView<'_>, block: std::ops::Range<usize>) -> Result<Frame, Error> {
    let (before, after) = (frame.rows(0..block.start), frame.rows(block.end..frame.nrows()));
    let values = concatenate(Axis(0), &[before.values(), after.values()]).expect("both have the same columns");
    let time = before.time().iter().chain(after.time()).copied().collect();
    Ok(Frame::new(time, frame.columns().clone(), values)?)
}

fn join(parts: &[Array1<f64>]) -> Array1<f64> {
    let views: Vec<ArrayView1<'_, f64>> = parts.iter().map(|p| p.view()).collect();
    if views.is_empty() {
        return Array1::zeros(0);
    }
    concatenate(Axis(0), &views).expect("one-dimensional arrays join")
}
