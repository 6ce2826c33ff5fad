//! Training and scoring.

use std::{path::PathBuf, sync::Arc};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyType},
};

use crate::{
    config::Config,
    error::{Failure, heavy},
    findings::Findings,
    input::{Input, catalog},
    live::LivePipeline,
    table::batches,
};

/// An untrained pipeline.
///
/// `config` is a `Config`, or whatever `Config(...)` takes.
#[pyclass(module = "funnelpulse", name = "Pipeline", frozen)]
#[derive(Debug)]
pub(crate) struct Pipeline {
    inner: funnelpulse::Pipeline,
}

#[pymethods]
impl Pipeline {
    #[new]
    #[pyo3(signature = (config=None))]
    fn new(config: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let config = Config::from_python(config, None)?;
        let builder = funnelpulse::Pipeline::builder().catalog(catalog()).config(config.inner);
        Ok(Self { inner: builder.build().map_err(Failure::from)? })
    }

    /// The settings.
    #[getter]
    fn config(&self) -> Config {
        Config { inner: self.inner.config().clone() }
    }

    /// Trains on a table of events or of hourly rows.
    fn fit(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<FittedPipeline> {
        let batches = batches(table)?;
        let inner = heavy(py, || {
            let input = Input::read(batches, self.inner.config())?;
            Ok(self.inner.fit(&input.panel)?)
        })?;
        Ok(FittedPipeline { inner: Arc::new(inner) })
    }

    /// Trains on a table and scores the same rows: `funnelpulse run`.
    fn run(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<Findings> {
        let batches = batches(table)?;
        heavy(py, || {
            let input = Input::read(batches, self.inner.config())?;
            let findings = self.inner.run(&input.panel)?;
            self.finished(findings, input)
        })
    }

    /// The same, with the trained pipeline.
    fn fit_run(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<(FittedPipeline, Findings)> {
        let batches = batches(table)?;
        let (model, findings) = heavy(py, || {
            let input = Input::read(batches, self.inner.config())?;
            let (model, findings) = self.inner.fit_run(&input.panel)?;
            Ok((model, self.finished(findings, input)?))
        })?;
        Ok((FittedPipeline { inner: Arc::new(model) }, findings))
    }

    fn __repr__(&self) -> String {
        format!("<funnelpulse.Pipeline: detectors {}>", self.inner.config().pipeline.detectors.join(", "))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (Config,)) {
        (py.get_type::<Self>(), (self.config(),))
    }
}

impl Pipeline {
    /// Findings with where they lie in the input, and what was noticed when it was read.
    fn finished(&self, mut findings: funnelpulse::analytics::Findings, input: Input) -> Result<Findings, Failure> {
        input.locate(&mut findings, self.inner.config())?;
        findings.add_failures(input.failures);
        Ok(Findings::new(findings, input.notes))
    }
}

/// A trained pipeline: scores any rows of the series that it was trained on.
#[pyclass(module = "funnelpulse", name = "FittedPipeline", frozen)]
#[derive(Debug)]
pub(crate) struct FittedPipeline {
    inner: Arc<funnelpulse::FittedPipeline>,
}

#[pymethods]
impl FittedPipeline {
    /// The settings that it was trained with.
    #[getter]
    fn config(&self) -> Config {
        Config { inner: self.inner.config().clone() }
    }

    /// The combined score from which a row is an anomaly.
    #[getter]
    fn threshold(&self) -> f64 {
        self.inner.threshold()
    }

    /// The weight of each detector.
    #[getter]
    fn weights(&self) -> std::collections::BTreeMap<String, f64> {
        self.inner.weights().clone()
    }

    /// The names of the series that it can score.
    #[getter]
    fn series(&self) -> Vec<String> {
        self.inner.series().map(|info| info.series.to_string()).collect()
    }

    /// Series that could not be trained: name and reason.
    #[getter]
    fn failures(&self) -> Vec<(String, String)> {
        self.inner.failures().iter().map(|f| (f.series.to_string(), f.message.clone())).collect()
    }

    /// Detectors that have nothing to look at in this input: name and reason.
    #[getter]
    fn left_out(&self) -> Vec<(String, String)> {
        self.inner.left_out().iter().map(|l| (l.detector.clone(), l.reason.clone())).collect()
    }

    /// Scores a table of events or of hourly rows: `funnelpulse detect`.
    fn detect(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<Findings> {
        let batches = batches(table)?;
        heavy(py, || {
            let input = Input::read(batches, self.inner.config())?;
            let mut findings = self.inner.detect(&input.panel)?;
            input.locate(&mut findings, self.inner.config())?;
            findings.add_failures(input.failures);
            Ok(Findings::new(findings, input.notes))
        })
    }

    /// Saves the model: a file if `path` has an extension, else a folder with the settings beside it.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        heavy(py, || Ok(self.inner.save(&path)?))
    }

    /// Loads a model that was saved to `path`, here or by the command line.
    #[classmethod]
    fn load(_class: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = heavy(py, || Ok(funnelpulse::FittedPipeline::load_with(&path, &catalog())?))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The model as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &heavy(py, || Ok(self.inner.to_bytes()?))?))
    }

    /// The model from bytes.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let inner = heavy(py, || Ok(funnelpulse::FittedPipeline::from_bytes(data, &catalog())?))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A pipeline that follows the site, one closed window after the other.
    fn live(&self) -> LivePipeline {
        LivePipeline::new(funnelpulse::LivePipeline::new(self.inner.clone()))
    }

    /// A live pipeline from its snapshot, saved with this model.
    fn restore(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<LivePipeline> {
        let live = heavy(py, || {
            funnelpulse::LivePipeline::restore(self.inner.clone(), snapshot)
                .map_err(|error| Failure::Model(error.to_string()))
        })?;
        Ok(LivePipeline::new(live))
    }

    fn __repr__(&self) -> String {
        format!("<funnelpulse.FittedPipeline: {} series>", self.inner.series().len())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let load = slf.get_type().getattr("from_bytes")?;
        Ok((load, (slf.get().to_bytes(slf.py())?,)))
    }
}
