//! The models of all series as bytes.

use serde::{Deserialize, Serialize};

use super::{
    calibrated::CalibratedModel,
    models::{Model, SeriesModels},
};
use crate::{
    Calibrator, Columns, FittedDetector, ModelError, Registry, SeriesKey, Writer, model::to_bytes as model_to_bytes,
    read_payload, write_payload,
};

/// The kind of the envelope.
pub(crate) const KIND: &str = "series-models";

#[derive(Serialize, Deserialize)]
struct Saved {
    kind: String,
    columns: Columns,
    pooled: Option<SavedModel>,
    series: Vec<(SeriesKey, SavedSource)>,
}

/// An envelope within the envelope, so that the registry decides what is decoded.
#[derive(Serialize, Deserialize)]
struct SavedModel {
    model: Vec<u8>,
    calibrator: Calibrator,
}

#[derive(Serialize, Deserialize)]
enum SavedSource {
    Own(SavedModel),
    /// Position among the series that the pooled model was trained on: a file holds its weights
    /// once.
    Share(usize),
    Pooled,
}

pub(super) fn to_bytes(models: &SeriesModels) -> Result<Vec<u8>, ModelError> {
    let save = |m: &CalibratedModel| {
        Ok(SavedModel { model: model_to_bytes(m.model.as_ref())?, calibrator: m.calibrator.clone() })
    };
    let source = |model: &Model| {
        Ok(match model {
            Model::Own(model) => SavedSource::Own(save(model)?),
            Model::Share(position, _) => SavedSource::Share(*position),
            Model::Pooled => SavedSource::Pooled,
        })
    };
    let series = models.series.iter().map(|(key, model)| Ok((key.clone(), source(model)?)));
    let saved = Saved {
        kind: models.kind.clone(),
        columns: models.columns.clone(),
        pooled: models.pooled.as_ref().map(save).transpose()?,
        series: series.collect::<Result<_, ModelError>>()?,
    };
    write_payload(KIND, Writer::default(), &saved)
}

pub(super) fn from_bytes(bytes: &[u8], registry: &Registry) -> Result<SeriesModels, ModelError> {
    let saved: Saved = read_payload(KIND, Writer::default().payload_version, bytes)?;
    let load = |m: SavedModel| -> Result<CalibratedModel, ModelError> {
        let model = registry.load(&m.model)?;
        check(&saved.kind, &saved.columns, model.as_ref())?;
        Ok(CalibratedModel { model: model.into(), calibrator: m.calibrator })
    };
    let pooled = saved.pooled.map(load).transpose()?;
    let source = |source| {
        Ok(match source {
            SavedSource::Own(model) => Model::Own(load(model)?),
            SavedSource::Pooled => Model::Pooled,
            SavedSource::Share(position) => {
                let share = pooled.as_ref().and_then(|model| model.of_frame(position));
                Model::Share(position, share.ok_or_else(|| invalid("a share of a model that is not there"))?)
            }
        })
    };
    let series = saved.series.into_iter().map(|(key, s)| Ok((key, source(s)?))).collect::<Result<_, ModelError>>()?;
    Ok(SeriesModels { kind: saved.kind, columns: saved.columns, pooled, series, absences: Vec::new() })
}

fn check(kind: &str, columns: &Columns, model: &dyn FittedDetector) -> Result<(), ModelError> {
    if model.kind() != kind {
        return Err(invalid(&format!("a model of kind `{}` among those of `{kind}`", model.kind())));
    }
    if model.columns() != &**columns {
        return Err(invalid("a model has other columns than its detector"));
    }
    Ok(())
}

fn invalid(reason: &str) -> ModelError {
    ModelError::Payload { kind: KIND.to_owned(), reason: reason.to_owned() }
}
