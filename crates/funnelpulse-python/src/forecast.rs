//! Prophet's model, for `funnelpulse.prophet`.

use std::collections::BTreeMap;

use funnelpulse::{
    core::{PersistentModel, Timestamp, Writer, read_model, write_payload},
    seasonal::{
        Covariates, CrossValidation, Cutoffs, Forecast, HeldOut, Mode, Seasonal, SeasonalConfig, SeasonalModel,
    },
};
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyType},
};
use serde::{Deserialize, Serialize};

use crate::{
    detectors::read_settings,
    error::{Failure, guarded, heavy},
};

/// A number of a forecast that was held out.
type Reading = fn(&HeldOut) -> f64;

/// Named columns, one value per row.
type Columns<'py> = BTreeMap<String, PyReadonlyArray1<'py, f64>>;

/// A fitted model of one series.
#[pyclass(module = "funnelpulse._native", name = "Forecaster", frozen)]
#[derive(Debug)]
pub(crate) struct Forecaster {
    model: SeasonalModel,
}

/// The payload of its file.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Saved<M> {
    model: M,
}

impl PersistentModel for Saved<SeasonalModel> {
    const KIND: &'static str = "forecaster";
}

/// The rows of a series and what is known beside its values.
struct Series {
    time: Vec<Timestamp>,
    covariates: Vec<(String, Vec<f64>)>,
}

impl Series {
    fn of(time: &PyReadonlyArray1<'_, i64>, covariates: &Columns<'_>) -> Self {
        Self {
            time: time.as_array().iter().map(|&micros| Timestamp::from_micros(micros)).collect(),
            covariates: covariates.iter().map(|(name, values)| (name.clone(), values.as_array().to_vec())).collect(),
        }
    }

    fn covariates(&self) -> Covariates<'_> {
        self.covariates.iter().fold(Covariates::new(), |all, (name, values)| all.with(name.clone(), values))
    }
}

fn seasonal(settings: &str) -> Result<Seasonal, Failure> {
    Seasonal::new(read_settings::<SeasonalConfig>(settings)?).map_err(Failure::config)
}

/// `trend`, `yhat`, its interval, the components, and the sums of those that add and those that multiply.
fn columns(py: Python<'_>, forecast: Forecast) -> PyResult<Bound<'_, PyDict>> {
    let found = PyDict::new(py);
    for (name, mode) in [("additive_terms", Mode::Additive), ("multiplicative_terms", Mode::Multiplicative)] {
        found.set_item(name, forecast.terms(mode).into_pyarray(py))?;
    }
    for component in forecast.components {
        found.set_item(component.name, component.values.into_pyarray(py))?;
    }
    let whole = [
        ("trend", forecast.trend),
        ("yhat", forecast.yhat),
        ("yhat_lower", forecast.yhat_lower),
        ("yhat_upper", forecast.yhat_upper),
    ];
    for (name, values) in whole {
        found.set_item(name, values.into_pyarray(py))?;
    }
    Ok(found)
}

#[pymethods]
impl Forecaster {
    /// Fits values at strictly increasing times (microseconds since 1970); `settings` are JSON.
    #[classmethod]
    fn fit(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        settings: &str,
        time: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray1<'_, f64>,
        covariates: Columns<'_>,
    ) -> PyResult<Self> {
        let (series, values) = (Series::of(&time, &covariates), values.as_array().to_vec());
        let model = heavy(py, || {
            seasonal(settings)?.fit_series(&series.time, &values, &series.covariates()).map_err(Failure::data)
        })?;
        Ok(Self { model })
    }

    /// The forecast at these times: columns by name.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        time: PyReadonlyArray1<'py, i64>,
        covariates: Columns<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let series = Series::of(&time, &covariates);
        let forecast = heavy(py, || self.model.predict(&series.time, &series.covariates()).map_err(Failure::data))?;
        columns(py, forecast)
    }

    /// The times at which the trend may bend, microseconds since 1970.
    #[getter]
    fn changepoints(&self) -> Vec<i64> {
        self.model.changepoints().into_iter().map(Timestamp::as_micros).collect()
    }

    /// The names of the components.
    #[getter]
    fn component_names(&self) -> Vec<String> {
        self.model.component_names().map(str::to_owned).collect()
    }

    /// The model as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = guarded(|| {
            Ok(write_payload(Saved::<SeasonalModel>::KIND, Writer::default(), &Saved { model: &self.model })?)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The model from bytes.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, data: &[u8]) -> PyResult<Self> {
        Ok(guarded(|| Ok(Self { model: read_model::<Saved<SeasonalModel>>(data)?.model }))?)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let load = slf.get_type().getattr("from_bytes")?;
        Ok((load, (slf.get().to_bytes(slf.py())?,)))
    }
}

/// Fits up to each of several cut-offs and forecasts what follows: columns `cutoff`, `ds` (microseconds), `y`,
/// `yhat` and its interval. Lengths of time are microseconds.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "called by funnelpulse.prophet only")]
pub(crate) fn cross_validation<'py>(
    py: Python<'py>,
    settings: &str,
    time: PyReadonlyArray1<'py, i64>,
    values: PyReadonlyArray1<'py, f64>,
    covariates: Columns<'py>,
    horizon: i64,
    period: i64,
    initial: i64,
) -> PyResult<Bound<'py, PyDict>> {
    let (series, values) = (Series::of(&time, &covariates), values.as_array().to_vec());
    let cutoffs = Cutoffs { horizon, period, initial };
    let CrossValidation { forecasts } = heavy(py, || {
        let found = seasonal(settings)?.cross_validation(&series.time, &values, &series.covariates(), cutoffs);
        found.map_err(Failure::data)
    })?;
    let found = PyDict::new(py);
    let micros =
        |f: fn(&HeldOut) -> Timestamp| -> Vec<i64> { forecasts.iter().map(|row| f(row).as_micros()).collect() };
    found.set_item("ds", micros(|row| row.time).into_pyarray(py))?;
    found.set_item("cutoff", micros(|row| row.cutoff).into_pyarray(py))?;
    let columns: [(&str, Reading); 4] = [
        ("y", |row| row.y),
        ("yhat", |row| row.yhat),
        ("yhat_lower", |row| row.yhat_lower),
        ("yhat_upper", |row| row.yhat_upper),
    ];
    for (name, value) in columns {
        found.set_item(name, forecasts.iter().map(value).collect::<Vec<f64>>().into_pyarray(py))?;
    }
    Ok(found)
}
