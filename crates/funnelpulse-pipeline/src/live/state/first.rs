//! The first version of the state.

use std::sync::Arc;

use funnelpulse_baseline::ZScoreModel;
use funnelpulse_core::{Columns, Frame, ModelError, SeriesKey, Timestamp};
use funnelpulse_ensemble::AdaptiveThreshold;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{Emitted, ModelId, Packed, SavedSeries, invalid};

#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) model: ModelId,
    pub(super) now: Option<Timestamp>,
    pub(super) expire_after: i64,
    pub(super) series: Vec<Series>,
    pub(super) incidents: Vec<(SeriesKey, Timestamp, String)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) key: SeriesKey,
    pub(super) baseline: Option<Arc<ZScoreModel>>,
    pub(super) rows: u64,
    pub(super) time: Vec<Timestamp>,
    pub(super) values: Vec<f64>,
    pub(super) threshold: AdaptiveThreshold,
    pub(super) emitted: Vec<Emitted>,
}

impl Saved {
    /// The same as it is saved now.
    pub(super) fn into_saved(self) -> Result<super::Saved, ModelError> {
        let Self { model, now, expire_after, series, incidents } = self;
        let series = series.into_iter().map(Series::into_saved).collect::<Result<_, _>>()?;
        Ok(super::Saved { model, now, expire_after, series, incidents })
    }
}

impl Series {
    fn into_saved(self) -> Result<SavedSeries, ModelError> {
        let Self { key, baseline, rows, time, values, threshold, emitted } = self;
        let refuse = |reason: &dyn std::fmt::Display| invalid(&format!("series `{key}`: {reason}"));
        let width = values.len().checked_div(time.len()).unwrap_or_default();
        let names = Columns::new((0..width).map(|column| column.to_string())).map_err(|e| refuse(&e))?;
        let values = Array2::from_shape_vec((time.len(), width), values).map_err(|e| refuse(&e))?;
        let frame = Frame::new(time, names, values).map_err(|e| refuse(&e))?;
        let inputs = Packed::of(&frame);
        Ok(SavedSeries { key, baseline, rows, inputs, threshold, emitted })
    }
}
