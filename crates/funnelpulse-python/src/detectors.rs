//! One detector on a matrix, for `funnelpulse.sklearn` and `funnelpulse.pyod`.

use std::sync::RwLock;

use funnelpulse::{
    changepoint::{Changepoint, ChangepointConfig, ChangepointModel},
    core::{
        Columns, Detector, FittedDetector, Frame, OnlineDetector, PersistentModel, Registry, Timestamp, read_model,
        to_bytes,
    },
    iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel},
    seasonal::{Seasonal, SeasonalConfig, SeasonalDetectorModel},
    subsequence::{Subsequence, SubsequenceConfig, SubsequenceModel},
};
use ndarray::ArrayView2;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyType},
};
use serde::de::DeserializeOwned;

use crate::error::{Failure, guarded, heavy};

/// The names of the detectors, as their model files have them. The forest needs no times.
const FOREST: &str = IsolationForestModel::KIND;
const SEASONAL: &str = SeasonalDetectorModel::KIND;
const CHANGEPOINT: &str = ChangepointModel::KIND;
const SUBSEQUENCE: &str = SubsequenceModel::KIND;

/// Why a model is refused after a panic.
const HALF_UPDATED: &str = "an earlier `learn` of this model failed half-way; load it again";

/// A trained detector.
#[pyclass(module = "funnelpulse._native", name = "Detector", frozen)]
#[derive(Debug)]
pub(crate) struct FittedModel {
    /// Locked without the interpreter's lock only.
    model: RwLock<Model>,
}

impl FittedModel {
    fn new(model: Model) -> Self {
        Self { model: RwLock::new(model) }
    }

    /// Works on the model. One that a panic may have left half updated is refused.
    fn read<T>(&self, work: impl FnOnce(&Model) -> Result<T, Failure>) -> Result<T, Failure> {
        work(&*self.model.read().map_err(|_| Failure::Model(HALF_UPDATED.to_owned()))?)
    }
}

#[derive(Debug)]
enum Model {
    /// Rows by themselves.
    Forest(Box<IsolationForestModel>),
    /// Rows in order of time.
    Series(Box<dyn FittedDetector>),
}

impl Model {
    fn fit(kind: &str, settings: &str, values: ArrayView2<'_, f64>, times: Option<&[i64]>) -> Result<Self, Failure> {
        if kind == FOREST {
            let forest = IsolationForest::new(read_settings::<IsolationForestConfig>(settings)?);
            let forest = forest.map_err(Failure::config)?;
            return Ok(Self::Forest(Box::new(forest.fit_values(values).map_err(Failure::data)?)));
        }
        let frame = frame(values, times)?;
        let model = match kind {
            SEASONAL => fit::<SeasonalConfig, Seasonal>(settings, &frame)?,
            CHANGEPOINT => fit::<ChangepointConfig, Changepoint>(settings, &frame)?,
            SUBSEQUENCE => fit::<SubsequenceConfig, Subsequence>(settings, &frame)?,
            #[cfg(feature = "lstm-ae")]
            "lstm_ae" => {
                use funnelpulse::lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig};
                fit::<LstmAutoencoderConfig, LstmAutoencoder>(settings, &frame)?
            }
            other => return Err(Failure::config(format!("there is no detector `{other}` in this build"))),
        };
        Ok(Self::Series(model))
    }

    fn scores(&self, values: ArrayView2<'_, f64>, times: Option<&[i64]>) -> Result<Vec<f64>, Failure> {
        Ok(match self {
            Self::Forest(forest) => forest.score_values(values).map_err(Failure::data)?.to_vec(),
            Self::Series(model) => model.detect(frame(values, times)?.view()).map_err(Failure::data)?.score().to_vec(),
        })
    }

    /// Learns from rows that follow those it has seen.
    fn learn(&mut self, values: ArrayView2<'_, f64>) -> Result<(), Failure> {
        let Self::Forest(forest) = self else {
            return Err(Failure::config("only isolation forests learn from further rows"));
        };
        if forest.config().reservoir == 0 {
            return Err(Failure::config("the forest keeps no rows to grow trees on: `reservoir` is 0"));
        }
        let columns = Columns::new(forest.columns().iter().cloned())?;
        let rows = Frame::new(hours(values.nrows()), columns, values.to_owned())?;
        forest.update(rows.view()).map_err(Failure::data)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            Self::Forest(forest) => to_bytes(&**forest)?,
            Self::Series(model) => to_bytes(&**model)?,
        })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Failure> {
        if let Ok(forest) = read_model::<IsolationForestModel>(bytes) {
            return Ok(Self::Forest(Box::new(forest)));
        }
        let registry =
            Registry::new().with::<SeasonalDetectorModel>().with::<ChangepointModel>().with::<SubsequenceModel>();
        #[cfg(feature = "lstm-ae")]
        let registry = registry.with::<funnelpulse::lstm_ae::LstmAutoencoderModel>();
        Ok(Self::Series(registry.load(bytes)?))
    }
}

/// Settings in JSON; those that are not there keep their defaults.
pub(crate) fn read_settings<C: DeserializeOwned>(settings: &str) -> Result<C, Failure> {
    serde_json::from_str(settings).map_err(Failure::config)
}

fn fit<C, D>(settings: &str, frame: &Frame) -> Result<Box<dyn FittedDetector>, Failure>
where
    C: DeserializeOwned,
    D: Detector + TryFrom<C, Error: ToString>,
{
    let detector = D::try_from(read_settings::<C>(settings)?).map_err(Failure::config)?;
    Ok(Box::new(detector.fit(frame.view()).map_err(Failure::data)?))
}

/// Rows as a frame. Without times, row `i` is that of hour `i`.
fn frame(values: ArrayView2<'_, f64>, times: Option<&[i64]>) -> Result<Frame, Failure> {
    let times: Vec<Timestamp> = match times {
        Some(times) => times.iter().map(|&micros| Timestamp::from_micros(micros)).collect(),
        None => hours(values.nrows()),
    };
    let names: Vec<String> = (0..values.ncols()).map(|column| format!("x{column}")).collect();
    let columns = Columns::new(names.iter().map(String::as_str)).map_err(Failure::data)?;
    Frame::new(times, columns, values.to_owned()).map_err(Failure::data)
}

/// The first hours there are.
fn hours(rows: usize) -> Vec<Timestamp> {
    (0..rows as i64).map(|hour| Timestamp::from_micros(hour * Timestamp::HOUR)).collect()
}

/// Copies optional times, so that no array of the interpreter is needed without its lock.
fn own(times: Option<&PyReadonlyArray1<'_, i64>>) -> Option<Vec<i64>> {
    times.map(|times| times.as_array().to_vec())
}

#[pymethods]
impl FittedModel {
    /// Trains the detector `kind` with `settings` (JSON) on rows; `times` are microseconds since 1970.
    #[classmethod]
    #[pyo3(signature = (kind, settings, values, times=None))]
    fn fit(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        kind: &str,
        settings: &str,
        values: PyReadonlyArray2<'_, f64>,
        times: Option<PyReadonlyArray1<'_, i64>>,
    ) -> PyResult<Self> {
        let (values, times) = (values.as_array(), own(times.as_ref()));
        let model = heavy(py, || Model::fit(kind, settings, values, times.as_deref()))?;
        Ok(Self::new(model))
    }

    /// Learns from rows that follow those it has seen: isolation forests with a `reservoir` only.
    fn learn(&self, py: Python<'_>, values: PyReadonlyArray2<'_, f64>) -> PyResult<()> {
        let values = values.as_array();
        heavy(py, || self.model.write().map_err(|_| Failure::Model(HALF_UPDATED.to_owned()))?.learn(values))
    }

    /// The raw score of each row, larger = more anomalous; NaN where the detector is warming up.
    #[pyo3(signature = (values, times=None))]
    fn scores<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray2<'py, f64>,
        times: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (view, times) = (values.as_array(), own(times.as_ref()));
        let scores = heavy(py, || self.read(|model| model.scores(view, times.as_deref())))?;
        Ok(scores.into_pyarray(py))
    }

    /// The model as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &guarded(|| self.read(Model::to_bytes))?))
    }

    /// The model from bytes.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, data: &[u8]) -> PyResult<Self> {
        Ok(Self::new(guarded(|| Model::from_bytes(data))?))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let load = slf.get_type().getattr("from_bytes")?;
        Ok((load, (slf.get().to_bytes(slf.py())?,)))
    }
}
