//! A trained pipeline as bytes.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_baseline::ZScoreModel;
use funnelpulse_config::Shape;
use funnelpulse_core::{
    Absence, FittedDetector, FittedPanelDetector, Frame, ModelError, SeriesKey, Timestamp, Writer, read_payload,
    write_payload,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Catalog, FittedPipeline, plan::Plan, prepared::SeriesState, progress::Reporter};

pub(crate) const KIND: &str = "pipeline";
/// Version 1 held one list of models per series; version 2 holds the models of each detector.
const VERSION: u16 = 2;

#[derive(Serialize, Deserialize)]
struct SavedPipeline {
    /// TOML: the configuration's own encoding, independent of the order of its fields.
    config: String,
    /// The name of each detector with its envelope, so that the registry decides what is decoded;
    /// `None` where it could not be trained.
    models: Vec<(String, Option<Vec<u8>>)>,
    series: Vec<SavedSeries>,
    weights: BTreeMap<String, f64>,
    threshold: f64,
    /// Models that could not be trained, by detector.
    absences: Vec<(String, Absence)>,
}

#[derive(Serialize, Deserialize)]
struct SavedSeries {
    key: SeriesKey,
    baseline: Arc<ZScoreModel>,
    context: Option<(Vec<Timestamp>, Vec<f64>)>,
    rows: usize,
    first: Timestamp,
    last: Timestamp,
}

pub(crate) fn to_bytes(pipeline: &FittedPipeline) -> Result<Vec<u8>, ModelError> {
    let plan = &pipeline.plan;
    let bytes = |model: &Option<Box<dyn FittedPanelDetector>>| model.as_ref().map(|m| m.to_bytes()).transpose();
    let models = plan.members.iter().zip(&pipeline.models).map(|(m, model)| Ok((m.name.clone(), bytes(model)?)));
    let series = pipeline.series.iter().map(|(key, state)| SavedSeries {
        key: key.clone(),
        baseline: state.baseline.clone(),
        context: state.context.as_ref().map(|f| (f.time().to_vec(), f.values().iter().copied().collect())),
        rows: state.rows,
        first: state.first,
        last: state.last,
    });
    let saved = SavedPipeline {
        config: plan.config.to_toml(),
        models: models.collect::<Result<_, ModelError>>()?,
        series: series.collect(),
        weights: pipeline.weights().clone(),
        threshold: pipeline.threshold(),
        absences: pipeline.absences.clone(),
    };
    write_payload(KIND, Writer { payload_version: VERSION, crate_version: env!("CARGO_PKG_VERSION") }, &saved)
}

pub(crate) fn from_bytes(bytes: &[u8], catalog: &Catalog) -> Result<FittedPipeline, ModelError> {
    let saved: SavedPipeline = read_payload(KIND, VERSION, bytes)?;
    let config: toml::Table = saved.config.parse().map_err(|e: toml::de::Error| invalid(&e))?;
    let config = catalog.read(config).map_err(|e| invalid(&e))?;
    let plan = Plan::new(config, catalog).map_err(|e| invalid(&e))?;
    if !plan.members.iter().map(|m| &m.name).eq(saved.models.iter().map(|(name, _)| name)) {
        return Err(invalid(&"the models are not those of the configured detectors"));
    }
    let registry = catalog.registry();
    let mut models = Vec::with_capacity(saved.models.len());
    for (member, (_, bytes)) in plan.members.iter().zip(saved.models) {
        let model = bytes.map(|bytes| registry.load_panel(&bytes)).transpose()?;
        if model.as_ref().is_some_and(|m| m.kind() != member.detector.kind() || !sees(m.as_ref(), &plan)) {
            return Err(invalid(&format!("`{}` has a model of another kind or of other columns", member.name)));
        }
        models.push(model);
    }
    let series = saved.series.into_iter().map(|s| load_series(s, &plan)).collect::<Result<_, ModelError>>()?;
    let learnt = plan.ensemble.clone().with_weights(&saved.weights).and_then(|e| e.with_threshold(saved.threshold));
    Ok(FittedPipeline {
        ensemble: learnt.map_err(|e| invalid(&e))?,
        plan: Arc::new(plan),
        models,
        series,
        absences: saved.absences,
        failures: Vec::new(),
        reporter: Reporter::default(),
    })
}

/// True if a model sees columns that the pipeline makes.
fn sees(model: &dyn FittedPanelDetector, plan: &Plan) -> bool {
    let available = plan.matrix.names().all();
    model.columns().iter().all(|c| available.iter().any(|a| **a == **c))
}

fn load_series(saved: SavedSeries, plan: &Plan) -> Result<(SeriesKey, SeriesState), ModelError> {
    let SavedSeries { key, baseline, context, rows, first, last } = saved;
    if baseline.columns() != &**plan.matrix.metric_names() {
        return Err(invalid(&"the baseline has other columns than the configuration"));
    }
    let inputs = plan.matrix.inputs();
    let frame = |(time, values): (Vec<Timestamp>, Vec<f64>)| {
        let values = Array2::from_shape_vec((time.len(), inputs.len()), values).map_err(|e| invalid(&e))?;
        Frame::new(time, inputs.clone(), values).map_err(|e| invalid(&e))
    };
    let context = context.map(frame).transpose()?;
    Ok((key, SeriesState { baseline, context, rows, first, last }))
}

fn invalid(reason: &dyn std::fmt::Display) -> ModelError {
    ModelError::Payload { kind: KIND.to_owned(), reason: reason.to_string() }
}
