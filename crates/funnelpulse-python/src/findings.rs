//! Results.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use funnelpulse::{core::counted, report::Report};
use pyo3::{prelude::*, types::PyCapsule};
use serde::Serialize;

use crate::{
    config::from_json,
    error::{Failure, heavy},
    table::{Table, convert, stream},
};

/// The result of scoring a table. As an Arrow table it is its anomalies, by rank.
#[pyclass(module = "funnelpulse", name = "Findings", frozen)]
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    inner: Arc<funnelpulse::Findings>,
    notes: Vec<String>,
}

/// An anomaly, for people to read.
#[derive(Serialize)]
struct Shown<'a> {
    rank: usize,
    series: &'a str,
    time: String,
    score: f64,
    severity: String,
    #[serde(rename = "type")]
    kind: String,
    priority: String,
    title: &'a str,
    message: &'a str,
    revenue: Option<f64>,
}

impl Findings {
    pub(crate) fn new(inner: funnelpulse::Findings, notes: Vec<String>) -> Self {
        Self { inner: Arc::new(inner), notes }
    }

    fn shown(&self, limit: usize) -> Vec<Shown<'_>> {
        let ranked = self.inner.ranked().into_iter().take(limit);
        let shown = ranked.map(|(series, anomaly)| Shown {
            rank: anomaly.rank,
            series: series.series.as_str(),
            time: series.time[anomaly.row].to_string(),
            score: anomaly.score,
            severity: anomaly.severity.to_string(),
            kind: anomaly.anomaly_type.to_string(),
            priority: anomaly.notice.priority.to_string(),
            title: &anomaly.notice.title,
            message: &anomaly.notice.message,
            revenue: anomaly.impact.revenue,
        });
        shown.collect()
    }
}

/// A value as Python's own objects.
fn as_python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    from_json(py, &serde_json::to_string(value).map_err(|e| Failure::Internal(e.to_string()))?)
}

#[pymethods]
impl Findings {
    /// The anomalies by rank, or with `all_rows` every scored row by series and time: the table that
    /// the command line writes.
    #[pyo3(signature = (all_rows=false))]
    fn table(&self, py: Python<'_>, all_rows: bool) -> PyResult<Table> {
        heavy(py, || Ok(self.inner.to_batch(all_rows).into()))
    }

    /// The same as a `pyarrow.Table`.
    #[pyo3(signature = (all_rows=false))]
    fn to_arrow<'py>(&self, py: Python<'py>, all_rows: bool) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.table(py, all_rows)?)?.as_any(), "to_arrow")
    }

    /// The same as a `polars.DataFrame`.
    #[pyo3(signature = (all_rows=false))]
    fn to_polars<'py>(&self, py: Python<'py>, all_rows: bool) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.table(py, all_rows)?)?.as_any(), "to_polars")
    }

    /// The same as a `pandas.DataFrame`.
    #[pyo3(signature = (all_rows=false))]
    fn to_pandas<'py>(&self, py: Python<'py>, all_rows: bool) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.table(py, all_rows)?)?.as_any(), "to_pandas")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let batch = heavy(py, || Ok(self.inner.to_batch(false)))?;
        let schema = batch.schema();
        stream(py, &[batch], &schema, requested_schema)
    }

    /// Totals by severity, type, series and hour of the day, and the trend.
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, &self.inner.summary())
    }

    /// The incidents of all series, the most urgent first, each a dictionary.
    fn incidents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, &self.inner.incidents())
    }

    /// Incidents that all series share, in order of time, each a dictionary.
    fn site_incidents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, &self.inner.site_incidents())
    }

    /// The first `limit` anomalies by rank with their explanations, each a dictionary.
    #[pyo3(signature = (limit=None))]
    fn anomalies<'py>(&self, py: Python<'py>, limit: Option<usize>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, &self.shown(limit.unwrap_or(usize::MAX)))
    }

    /// Series that could not be read, trained or scored: name and reason.
    #[getter]
    fn failures(&self) -> Vec<(String, String)> {
        self.inner.failures().iter().map(|f| (f.series.to_string(), f.message.clone())).collect()
    }

    /// Remarks on the result as a whole.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings().to_vec()
    }

    /// Remarks on rows of the input that were not taken as they are.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// The names of the series that were scored.
    #[getter]
    fn series(&self) -> Vec<String> {
        self.inner.series().iter().map(|s| s.series.to_string()).collect()
    }

    /// The number of rows scored.
    #[getter]
    fn rows(&self) -> usize {
        self.inner.rows()
    }

    /// The combined score from which a row is an anomaly.
    #[getter]
    fn threshold(&self) -> f64 {
        self.inner.threshold()
    }

    /// Seconds that each stage took, added up over threads.
    #[getter]
    fn timings(&self) -> BTreeMap<String, f64> {
        self.inner.timings().iter().map(|(stage, time)| (stage.clone(), time.as_secs_f64())).collect()
    }

    /// The self-contained HTML report: returned, or written to `path`.
    #[pyo3(signature = (path=None, *, title="Anomalies"))]
    fn report(&self, py: Python<'_>, path: Option<PathBuf>, title: &str) -> PyResult<Option<String>> {
        let html = heavy(py, || {
            let report = Report::new(&self.inner).title(title).notes(self.notes.clone());
            report.to_html().map_err(|error| Failure::Internal(error.to_string()))
        })?;
        let Some(path) = path else { return Ok(Some(html)) };
        std::fs::write(path, html)?;
        Ok(None)
    }

    /// The number of anomalies.
    fn __len__(&self) -> usize {
        self.inner.series().iter().map(|s| s.anomalies.len()).sum()
    }

    #[expect(clippy::unused_self, reason = "Python calls it as a method")]
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        let series = self.inner.series().len();
        let (anomalies, rows) = (counted(self.__len__(), "anomaly", "anomalies"), counted(self.rows(), "row", "rows"));
        format!("<funnelpulse.Findings: {anomalies} in {rows} of {series} series>")
    }

    fn _repr_html_(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        slf.py().import("funnelpulse._html")?.call_method1("findings", (slf,))
    }
}
