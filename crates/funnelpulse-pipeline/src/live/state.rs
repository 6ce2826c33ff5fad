//! The state of a live pipeline as a file.
//!
//! It holds rows and what was emitted of them, not scores: those follow from the model and the rows,
//! bit for bit. Equal states are equal bytes.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_baseline::ZScoreModel;
use funnelpulse_core::{
    FittedDetector, Frame, FrameView, ModelError, ModelInfo, PersistentModel, SeriesKey, Timestamp, Writer,
    decode_payload, read_model, write_payload,
};
use funnelpulse_ensemble::AdaptiveThreshold;
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::{
    LivePipeline,
    packed::Packed,
    series::{Emitted, LiveSeries},
};
use crate::{FittedPipeline, PipelineError};

mod first;

/// Largest number of values of one series that a file may hold: a thousand columns of a year of minutes.
const MOST_VALUES: usize = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Saved {
    model: ModelId,
    now: Option<Timestamp>,
    expire_after: i64,
    series: Vec<SavedSeries>,
    incidents: Vec<(SeriesKey, Timestamp, String)>,
}

impl PersistentModel for Saved {
    const KIND: &'static str = "live-pipeline";
    /// Version 1 held times and values as they are.
    const VERSION: u16 = 2;

    fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
        match info.payload_version {
            1 => decode_payload::<first::Saved>(info, payload)?.into_saved(),
            _ => Err(ModelError::payload_version(info, Self::VERSION)),
        }
    }
}

/// Tells models apart: length and checksum of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ModelId {
    length: u64,
    checksum: [u8; 4],
}

impl ModelId {
    fn of(model: &FittedPipeline) -> Result<Self, PipelineError> {
        let bytes = model.to_bytes()?;
        // A model file ends with its checksum.
        let checksum = bytes.last_chunk::<4>().copied().unwrap_or_default();
        Ok(Self { length: bytes.len() as u64, checksum })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SavedSeries {
    key: SeriesKey,
    /// That of a series that was not trained on.
    baseline: Option<Arc<ZScoreModel>>,
    rows: u64,
    inputs: Packed,
    threshold: AdaptiveThreshold,
    /// One per kept row: the last ones.
    emitted: Vec<Emitted>,
}

impl SavedSeries {
    pub(super) fn of(key: &SeriesKey, series: &LiveSeries) -> Self {
        Self {
            key: key.clone(),
            baseline: series.baseline.clone(),
            rows: series.rows as u64,
            inputs: Packed::of(&series.inputs),
            threshold: series.threshold.clone(),
            emitted: series.emitted.clone(),
        }
    }

    /// The rows, if they are whole.
    fn inputs(&self, model: &FittedPipeline) -> Result<Frame, ModelError> {
        let columns = model.plan.matrix.inputs();
        if self.inputs.rows().saturating_mul(columns.len()) > MOST_VALUES || self.emitted.len() > self.inputs.rows() {
            return Err(invalid(&format!("series `{}` has parts of different lengths", self.key)));
        }
        self.inputs.frame(columns).map_err(|e| invalid(&format!("series `{}`: {e}", self.key)))
    }
}

impl LivePipeline {
    /// The state as bytes: rows, verdicts that are not final, open incidents; not the model, which
    /// [`restore`](Self::restore) needs again.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use funnelpulse_pipeline::LivePipeline;
    ///
    /// let model = Arc::new(pipeline()?.fit(&shop(60))?);
    /// let live = LivePipeline::new(model.clone());
    /// let bytes = live.snapshot()?;
    /// assert_eq!(LivePipeline::restore(model, &bytes)?.snapshot()?, bytes);
    /// let other = Arc::new(pipeline()?.fit(&shop(96))?);
    /// assert!(LivePipeline::restore(other, &bytes).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(&self) -> Result<Vec<u8>, PipelineError> {
        let saved = |(key, series): (&SeriesKey, &LiveSeries)| {
            let saved = SavedSeries::of(key, series);
            // That of any other series stands in the model.
            SavedSeries { baseline: saved.baseline.filter(|_| !series.is_known), ..saved }
        };
        let saved = Saved {
            model: self.model_id()?,
            now: self.now,
            expire_after: self.expire_after,
            series: self.series.iter().map(saved).collect(),
            incidents: self.incidents.names(),
        };
        let writer = Writer { payload_version: Saved::VERSION, crate_version: env!("CARGO_PKG_VERSION") };
        Ok(write_payload(Saved::KIND, writer, &saved)?)
    }

    /// Goes on from a [`snapshot`](Self::snapshot) that was taken with this model. The bytes are
    /// not trusted: an error if they are damaged, or of another model.
    pub fn restore(model: Arc<FittedPipeline>, bytes: &[u8]) -> Result<Self, PipelineError> {
        let saved: Saved = read_model(bytes)?;
        let live = Self::new(model).with_expiry(saved.expire_after);
        if saved.model != live.model_id()? {
            return Err(invalid(&"it was saved with another model").into());
        }
        live.resumed(saved.now, saved.series, &saved.incidents, false)
    }

    /// Goes on from a snapshot with this model, whichever took it: as [`restore`](Self::restore) with
    /// the model of the snapshot, else as after a [`swap`](Self::swap).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use funnelpulse_pipeline::LivePipeline;
    ///
    /// let bytes = pipeline()?.fit(&shop(60))?.live().snapshot()?;
    /// let newer = Arc::new(pipeline()?.fit(&shop(96))?);
    /// assert!(LivePipeline::resume(newer, &bytes)?.now().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(model: Arc<FittedPipeline>, bytes: &[u8]) -> Result<Self, PipelineError> {
        let saved: Saved = read_model(bytes)?;
        let live = Self::new(model).with_expiry(saved.expire_after);
        let is_other = saved.model != live.model_id()?;
        live.resumed(saved.now, saved.series, &saved.incidents, is_other)
    }

    fn model_id(&self) -> Result<ModelId, PipelineError> {
        if let Some(id) = self.id.get() {
            return Ok(*id);
        }
        let id = ModelId::of(&self.model)?;
        Ok(*self.id.get_or_init(|| id))
    }

    /// This pipeline, before its first row, with the rows of another. `with_history` puts the rows
    /// that the model was trained on before those, where they reach further back.
    pub(super) fn resumed(
        mut self,
        now: Option<Timestamp>,
        saved: Vec<SavedSeries>,
        incidents: &[(SeriesKey, Timestamp, String)],
        with_history: bool,
    ) -> Result<Self, PipelineError> {
        self.now = now;
        let mut kept = Vec::new();
        let mut emitted = BTreeMap::new();
        for saved in saved {
            let inputs = saved.inputs(&self.model)?;
            let mut series = LiveSeries::new(&self.model, &saved.key, self.model.series.get(&saved.key));
            if !series.is_known {
                series.baseline = saved.baseline.filter(|b| b.columns() == &**self.model.plan.metric_names());
            }
            series.inputs = if with_history { joined(&series.inputs, inputs.view())? } else { inputs };
            series.rows = usize::try_from(saved.rows).unwrap_or(usize::MAX);
            let ensemble = self.model.ensemble.config();
            series.threshold = saved.threshold.with_settings(ensemble.threshold, &ensemble.adaptive);
            if series.baseline.is_some() && !saved.emitted.is_empty() {
                kept.push((saved.key.clone(), saved.emitted.len()));
            }
            emitted.insert(saved.key.clone(), saved.emitted);
            self.series.insert(saved.key, series);
        }
        let mut failures = Vec::new();
        self.score_new(kept, &mut failures);
        for (key, emitted) in emitted {
            if let Some(series) = self.series.get_mut(&key).filter(|s| s.emitted.len() == emitted.len()) {
                series.emitted = emitted;
            }
        }
        let (series, site) = self.conclude(&mut failures);
        let findings = self.findings(series, &site, failures);
        self.incidents.restore(&findings, incidents);
        Ok(self)
    }
}

/// `rows`, after those of `history` that are earlier than all of them.
fn joined(history: &Frame, rows: FrameView<'_>) -> Result<Frame, PipelineError> {
    let before = rows.time().first().map_or(history.nrows(), |first| history.time().partition_point(|t| t < first));
    let values = concatenate(Axis(0), &[history.view().rows(0..before).values(), rows.values()]);
    let values = values.expect("both have the input columns");
    let time = history.time()[..before].iter().chain(rows.time()).copied().collect();
    Ok(Frame::new(time, rows.columns().clone(), values)?)
}

fn invalid(reason: &dyn std::fmt::Display) -> ModelError {
    ModelError::Payload { kind: Saved::KIND.to_owned(), reason: reason.to_string() }
}
