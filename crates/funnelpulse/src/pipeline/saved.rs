//! A trained pipeline as bytes.

use std::collections::BTreeMap;

use funnelpulse_config::Config;
use funnelpulse_core::{
    Calibrator, Columns, Frame, ModelError, Registry, SeriesKey, Timestamp, read_payload, to_bytes as model_to_bytes,
    write_payload,
};
use funnelpulse_ensemble::{Ensemble, ZScoreModel};
use funnelpulse_incidents::IncidentDetector;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{
    fitted::FittedPipeline,
    incidents::FittedIncidents,
    matrix::Matrix,
    member::{CalibratedModel, Member},
    series::{Plan, Pooled, SeriesModel, Speaker},
};

pub(super) const KIND: &str = "pipeline";

#[derive(Serialize, Deserialize)]
struct SavedPipeline {
    /// JSON: the configuration's own encoding, independent of the order of its fields.
    config: String,
    members: Vec<SavedMember>,
    pooled: Vec<Option<SavedModel>>,
    series: Vec<SavedSeries>,
    incidents: Option<FittedIncidents>,
    weights: BTreeMap<String, f64>,
    threshold: f64,
}

#[derive(Serialize, Deserialize)]
struct SavedMember {
    name: String,
    columns: Columns,
    pooled: bool,
}

/// An envelope within the envelope, so that the registry decides what is decoded.
#[derive(Serialize, Deserialize)]
struct SavedModel {
    model: Vec<u8>,
    calibrator: Calibrator,
}

#[derive(Serialize, Deserialize)]
enum SavedSpeaker {
    Own(SavedModel),
    Pooled,
    Absent,
    /// Position among the series that the pooled model was trained on: a file holds its weights once.
    Share(usize),
}

#[derive(Serialize, Deserialize)]
struct SavedSeries {
    key: SeriesKey,
    baseline: ZScoreModel,
    context: Option<(Vec<Timestamp>, Vec<f64>)>,
    speakers: Vec<SavedSpeaker>,
    rows: usize,
    first: Timestamp,
    last: Timestamp,
}

pub(super) fn to_bytes(pipeline: &FittedPipeline) -> Result<Vec<u8>, ModelError> {
    let plan = &pipeline.plan;
    let config = serde_json::to_string(&plan.config)
        .map_err(|e| ModelError::Encode { kind: KIND.to_owned(), reason: e.to_string() })?;
    let members = plan
        .members
        .iter()
        .map(|m| SavedMember { name: m.name.clone(), columns: m.columns.clone(), pooled: m.pooled })
        .collect();
    let pooled = pipeline.pooled.iter().map(|m| m.as_ref().map(save_model).transpose()).collect::<Result<_, _>>()?;
    let series = pipeline.series.iter().map(|(key, model)| save_series(key, model)).collect::<Result<_, _>>()?;
    let incidents = pipeline.incidents.clone();
    let (weights, threshold) = (pipeline.weights().clone(), pipeline.threshold());
    write_payload(KIND, &SavedPipeline { config, members, pooled, series, incidents, weights, threshold })
}

fn save_model(model: &CalibratedModel) -> Result<SavedModel, ModelError> {
    Ok(SavedModel { model: model_to_bytes(model.model.as_ref())?, calibrator: model.calibrator.clone() })
}

fn save_series(key: &SeriesKey, model: &SeriesModel) -> Result<SavedSeries, ModelError> {
    let speaker = |speaker: &Speaker| {
        Ok(match speaker {
            Speaker::Own(model) => SavedSpeaker::Own(save_model(model)?),
            Speaker::Share(position, _) => SavedSpeaker::Share(*position),
            Speaker::Pooled => SavedSpeaker::Pooled,
            Speaker::Absent => SavedSpeaker::Absent,
        })
    };
    Ok(SavedSeries {
        key: key.clone(),
        baseline: model.baseline.clone(),
        context: model.context.as_ref().map(|f| (f.time().to_vec(), f.values().iter().copied().collect())),
        speakers: model.speakers.iter().map(speaker).collect::<Result<_, ModelError>>()?,
        rows: model.rows,
        first: model.first,
        last: model.last,
    })
}

type Loaded = (Plan, BTreeMap<SeriesKey, SeriesModel>, Pooled, Option<FittedIncidents>, Ensemble);

pub(super) fn from_bytes(bytes: &[u8], registry: &Registry) -> Result<Loaded, ModelError> {
    let saved: SavedPipeline = read_payload(KIND, bytes)?;
    let config: Config = serde_json::from_str(&saved.config).map_err(|e| invalid(&e))?;
    config.validate().map_err(|e| invalid(&e))?;
    let matrix = Matrix::new(&config).map_err(|e| invalid(&e))?;
    let ensemble = Ensemble::new(config.ensemble.clone()).map_err(|e| invalid(&e))?;
    let n_members = saved.members.len();
    if saved.pooled.len() != n_members || saved.series.iter().any(|s| s.speakers.len() != n_members) {
        return Err(invalid(&"a model per detector is expected"));
    }
    let members: Vec<Member> =
        saved.members.into_iter().map(|m| Member { name: m.name, columns: m.columns, pooled: m.pooled }).collect();
    if let Some(member) = members.iter().find(|m| !config.ensemble.weights.contains_key(&m.name)) {
        return Err(invalid(&format!("detector `{}` has no weight", member.name)));
    }
    let available = matrix.available();
    if members.iter().flat_map(|m| m.columns.iter()).any(|c| !available.iter().any(|a| **a == **c)) {
        return Err(invalid(&"a detector sees a column that nothing makes"));
    }
    let load = |saved: SavedModel| -> Result<CalibratedModel, ModelError> {
        Ok(CalibratedModel { model: registry.load(&saved.model)?.into(), calibrator: saved.calibrator })
    };
    let pooled = saved.pooled.into_iter().map(|m| m.map(load).transpose()).collect::<Result<Pooled, _>>()?;
    let mut series = BTreeMap::new();
    for s in saved.series {
        if funnelpulse_core::FittedDetector::columns(&s.baseline) != &**matrix.metric_names() {
            return Err(invalid(&"the baseline has other columns than the configuration"));
        }
        let context = match s.context {
            Some((time, values)) => {
                let values = Array2::from_shape_vec((time.len(), matrix.inputs().len()), values);
                let values = values.map_err(|e| invalid(&e))?;
                Some(Frame::new(time, matrix.inputs().clone(), values).map_err(|e| invalid(&e))?)
            }
            None => None,
        };
        let speakers = s.speakers.into_iter().zip(&pooled).map(|(speaker, pooled)| {
            Ok(match speaker {
                SavedSpeaker::Own(model) => Speaker::Own(load(model)?),
                SavedSpeaker::Pooled => Speaker::Pooled,
                SavedSpeaker::Absent => Speaker::Absent,
                SavedSpeaker::Share(position) => {
                    let share = pooled.as_ref().and_then(|model| model.of_frame(position));
                    Speaker::Share(position, share.ok_or_else(|| invalid(&"a share of a model that is not there"))?)
                }
            })
        });
        let model = SeriesModel {
            baseline: s.baseline,
            context,
            speakers: speakers.collect::<Result<_, ModelError>>()?,
            rows: s.rows,
            first: s.first,
            last: s.last,
        };
        series.insert(s.key, model);
    }
    let detector = config.incident_config().map(IncidentDetector::new).transpose().map_err(|e| invalid(&e))?;
    let fits = |i: &FittedIncidents| detector.as_ref().is_some_and(|d| i.has_config(d.config()));
    if !saved.incidents.as_ref().is_none_or(fits) {
        return Err(invalid(&"the model of incidents has other settings than the configuration"));
    }
    let learnt = ensemble.clone().with_weights(&saved.weights).and_then(|e| e.with_threshold(saved.threshold));
    let learnt = learnt.map_err(|e| invalid(&e))?;
    Ok((Plan::new(config, matrix, members, detector, ensemble), series, pooled, saved.incidents, learnt))
}

fn invalid(reason: &dyn std::fmt::Display) -> ModelError {
    ModelError::Payload { kind: KIND.to_owned(), reason: reason.to_string() }
}
