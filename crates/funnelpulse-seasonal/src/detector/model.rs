//! The models of a frame.

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Detection, Error, FittedDetector, FrameView, ModelError, ModelInfo, OnlineDetector, PersistentModel,
    Writer, decode_payload, writer,
};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::Named;
use crate::{Combine, KIND, SeasonalModel};

/// A model per metric of a frame, fitted by [`Seasonal`](crate::Seasonal) as a
/// [`Detector`](funnelpulse_core::Detector).
///
/// **Score**: minus the decimal logarithm of the two-sided tail probability of the observation
/// under the predictive distribution, combined over the metrics as [`Combine`] says: 2 is a one
/// in a hundred surprise. **Expected value** and **interval** are per column (missing for columns
/// that are not metrics), **contributions** the scores of the single metrics.
///
/// ```
/// use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Timestamp};
/// use funnelpulse_seasonal::{Seasonal, SeasonalConfig};
/// use ndarray::Array2;
///
/// let day = |h: usize| 100.0 + 20.0 * (h as f64 * std::f64::consts::TAU / 24.0).sin() + (h * 7 % 5) as f64;
/// let time = (0..240).map(|h| Timestamp::from_seconds(3600 * h)).collect();
/// let mut views = Array2::from_shape_fn((240, 1), |(h, _)| day(h));
/// views[[200, 0]] = 40.0;
/// let frame = Frame::new(time, Columns::new(["views"])?, views)?;
///
/// let model = Seasonal::new(SeasonalConfig { robust: true, ..Default::default() })?.fit(frame.view())?;
/// let detection = model.detect(frame.view())?;
/// assert!(detection.score()[200] > 20.0 && detection.score()[201] < 3.0);
/// let expected = detection.expected().expect("a model expects something");
/// assert!((expected[[200, 0]] - day(200)).abs() < 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct SeasonalDetectorModel {
    pub(super) columns: Columns,
    pub(super) metrics: Vec<FittedMetric>,
    pub(super) combine: Combine,
}

/// A column and its model, if it had enough values for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FittedMetric {
    pub(super) column: usize,
    pub(super) model: Option<SeasonalModel>,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    metrics: Vec<FittedMetric>,
    combine: Combine,
}

impl TryFrom<Unchecked> for SeasonalDetectorModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        if u.metrics.is_empty() || u.metrics.len() > u.columns.len() {
            return Err("a detector has metrics, at most one per column");
        }
        if u.metrics.iter().any(|metric| metric.column >= u.columns.len()) {
            return Err("a metric is one of the columns");
        }
        Ok(Self { columns: u.columns, metrics: u.metrics, combine: u.combine })
    }
}

impl SeasonalDetectorModel {
    /// The model of the metric in `column`, if there is one.
    pub fn metric(&self, column: &str) -> Option<&SeasonalModel> {
        let position = self.columns.position(column)?;
        self.metrics.iter().find(|m| m.column == position).and_then(|m| m.model.as_ref())
    }

    /// Signed deviations `observed - expected`, a row per row of the frame and a column per column
    /// of the model; NaN where there is nothing to compare.
    pub fn residuals(&self, frame: FrameView<'_>) -> Result<Array2<f64>, Error> {
        let values = frame.aligned(&self.columns)?;
        let detection = self.detect(frame)?;
        let expected = detection.expected().expect("a detection of this model has expected values");
        Ok(&values - &expected)
    }

    /// Every column that no metric of ours watches, as covariates.
    fn covariates<'a>(&'a self, values: &'a ndarray::CowArray<'_, f64, ndarray::Ix2>) -> Named {
        let named = self.columns.iter().enumerate().map(|(j, name)| (&**name, values.column(j)));
        let needed: Vec<&str> =
            self.metrics.iter().filter_map(|m| m.model.as_ref()).flat_map(SeasonalModel::covariate_names).collect();
        Named::new(named.filter(|(name, _)| needed.contains(name)))
    }
}

impl FittedDetector for SeasonalDetectorModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn writer(&self) -> Writer {
        writer!(Self)
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let values = frame.aligned(&self.columns)?;
        let named = self.covariates(&values);
        let shape = (frame.nrows(), self.columns.len());
        let [mut expected, mut lower, mut upper, mut surprise] = [0; 4].map(|_| Array2::from_elem(shape, f64::NAN));
        for FittedMetric { column, model } in &self.metrics {
            let Some(model) = model else { continue };
            let observed = values.column(*column).to_vec();
            let verdicts = model.judge(frame.time(), &observed, &named.covariates());
            let verdicts = verdicts.map_err(|e| Error::detector(KIND, e))?;
            for (row, verdict) in verdicts.into_iter().enumerate() {
                let at = [row, *column];
                let reading = verdict.reading;
                (expected[at], lower[at], upper[at]) = (reading.expected, reading.lower, reading.upper);
                surprise[at] = verdict.surprise;
            }
        }
        let score: Array1<f64> =
            surprise.rows().into_iter().map(|row| self.combine.apply(row.iter().copied())).collect();
        Ok(Detection::new(score)
            .with_expected(expected)
            .with_interval(lower, upper)
            .with_contributions(surprise.mapv_into(|s| if s.is_nan() { 0.0 } else { s })))
    }

    fn as_online(&mut self) -> Option<&mut dyn OnlineDetector> {
        let ready = self.metrics.iter().filter_map(|m| m.model.as_ref()).all(SeasonalModel::is_online);
        if ready { Some(self) } else { None }
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl OnlineDetector for SeasonalDetectorModel {
    fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error> {
        let values = rows.aligned(&self.columns)?;
        let named = self.covariates(&values);
        // All or none: a metric that can't be updated leaves the others as they were.
        let mut updated = self.metrics.clone();
        for FittedMetric { column, model } in &mut updated {
            let Some(model) = model else { continue };
            let observed = values.column(*column).to_vec();
            let done = model.update(rows.time(), &observed, &named.covariates());
            done.map_err(|e| Error::detector(KIND, e))?;
        }
        self.metrics = updated;
        Ok(())
    }

    /// It is not: scales, changepoints and the choice of seasonalities stay those of the first fit.
    /// What it gives is the optimum for all rows under them.
    fn update_equals_refit(&self) -> bool {
        false
    }
}

impl PersistentModel for SeasonalDetectorModel {
    const KIND: &'static str = KIND;
    const VERSION: u16 = 2;

    /// Version 1 had steps of fixed length only.
    fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
        type Metric = (usize, Option<crate::model::Unchecked<i64>>);
        let (columns, metrics, combine): (Columns, Vec<Metric>, Combine) = decode_payload(info, payload)?;
        let invalid = |reason: &str| ModelError::Payload { kind: KIND.to_owned(), reason: reason.to_owned() };
        let metric = |(column, model): Metric| {
            let model = model.map(SeasonalModel::try_from).transpose().map_err(invalid)?;
            Ok(FittedMetric { column, model })
        };
        let metrics = metrics.into_iter().map(metric).collect::<Result<_, ModelError>>()?;
        Unchecked { columns, metrics, combine }.try_into().map_err(invalid)
    }
}
