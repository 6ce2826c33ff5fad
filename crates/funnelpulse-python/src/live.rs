//! Following a site, one closed window after the other.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use funnelpulse::{
    LiveIncident, LiveRow,
    core::{Timestamp, counted},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyCapsule},
};

use crate::{
    config::from_json,
    error::{Failure, heavy},
    findings::Findings,
    input::Input,
    table::{Table, arrow_failure, batches, convert, stream},
};

/// A trained pipeline that follows a site. Time is that of the rows.
#[pyclass(module = "funnelpulse", name = "LivePipeline", frozen)]
#[derive(Debug)]
pub(crate) struct LivePipeline {
    inner: Mutex<funnelpulse::LivePipeline>,
}

impl LivePipeline {
    pub(crate) fn new(inner: funnelpulse::LivePipeline) -> Self {
        Self { inner: Mutex::new(inner) }
    }

    /// Runs `work` on the state without the interpreter's lock.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut funnelpulse::LivePipeline) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        heavy(py, || work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[pymethods]
impl LivePipeline {
    /// Takes the rows of one closed window of all series, in one table; rows must be later than those
    /// before. A refused table changes nothing.
    fn advance(&self, py: Python<'_>, table: &Bound<'_, PyAny>) -> PyResult<Advance> {
        let batches = batches(table)?;
        self.with(py, |live| {
            let input = Input::read(batches, live.model().config())?;
            let mut advance = live.advance(&input.panel)?;
            advance.findings.add_failures(input.failures);
            Advance::of(advance, input.notes)
        })
    }

    /// The state as bytes, for `FittedPipeline.restore`.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.with(py, |live| Ok(live.snapshot()?))?))
    }

    /// The time of the newest row, RFC 3339, or `None` before the first one.
    #[getter]
    fn now(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |live| Ok(live.now().map(|now| now.to_string())))
    }

    /// The names of the series that it follows.
    #[getter]
    fn series(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |live| Ok(live.series().map(ToString::to_string).collect()))
    }
}

/// The results of one window. As an Arrow table it is its rows.
#[pyclass(module = "funnelpulse", name = "Advance", frozen)]
#[derive(Debug)]
pub(crate) struct Advance {
    now: Timestamp,
    rows: RecordBatch,
    incidents: String,
    waiting: Vec<(String, String)>,
    findings: Findings,
}

impl Advance {
    fn of(advance: funnelpulse::Advance, notes: Vec<String>) -> Result<Self, Failure> {
        let rows = rows(&advance)?;
        let incidents = advance.incidents.iter().map(incident).collect::<Result<Vec<_>, _>>();
        let incidents = incidents.and_then(|all| serde_json::to_string(&all));
        Ok(Self {
            now: advance.now,
            rows,
            incidents: incidents.map_err(|error| Failure::Internal(error.to_string()))?,
            waiting: advance.waiting.iter().map(|(series, why)| (series.to_string(), why.clone())).collect(),
            findings: Findings::new(advance.findings, notes),
        })
    }
}

/// The rows that are new or have changed, with `revision` and `final`.
fn rows(advance: &funnelpulse::Advance) -> Result<RecordBatch, Failure> {
    let places: Vec<(usize, usize)> = advance.rows.iter().map(|row| (row.series, row.row)).collect();
    let batch = advance.findings.rows_to_batch(&places);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut arrays = batch.columns().to_vec();
    let revision = |row: &LiveRow| Some(i64::from(row.revision));
    let revisions: Int64Array = advance.rows.iter().map(revision).collect();
    let finals: BooleanArray = advance.rows.iter().map(|row| Some(row.is_final)).collect();
    fields.push(Field::new("revision", DataType::Int64, false));
    arrays.push(Arc::new(revisions) as ArrayRef);
    fields.push(Field::new("final", DataType::Boolean, false));
    arrays.push(Arc::new(finals));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(arrow_failure)
}

/// An incident under the name it was opened with, and what happened to it.
fn incident(live: &LiveIncident) -> serde_json::Result<serde_json::Value> {
    let mut value = serde_json::to_value(&live.incident)?;
    value["id"] = live.id.clone().into();
    value["change"] = live.change.as_str().into();
    Ok(value)
}

#[pymethods]
impl Advance {
    /// The time of the newest row, RFC 3339.
    #[getter]
    fn now(&self) -> String {
        self.now.to_string()
    }

    /// The rows that are new or have changed: the columns of `Findings`, and `revision` (0 the first
    /// time) and `final` (false: provisional, later windows may revise it).
    #[getter]
    fn rows(&self) -> Table {
        self.rows.clone().into()
    }

    /// Incidents that are news, each a dictionary with `change`: `opened`, `changed`, `ended` or
    /// `withdrawn`.
    #[getter]
    fn incidents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, &self.incidents)
    }

    /// New series that have too few rows to be scored yet: name and reason.
    #[getter]
    fn waiting(&self) -> Vec<(String, String)> {
        self.waiting.clone()
    }

    /// All rows that are kept, with their verdicts.
    #[getter]
    fn findings(&self) -> Findings {
        self.findings.clone()
    }

    /// `rows` as a `pyarrow.Table`.
    fn to_arrow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.rows())?.as_any(), "to_arrow")
    }

    /// `rows` as a `polars.DataFrame`.
    fn to_polars<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.rows())?.as_any(), "to_polars")
    }

    /// `rows` as a `pandas.DataFrame`.
    fn to_pandas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert(Bound::new(py, self.rows())?.as_any(), "to_pandas")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        stream(py, std::slice::from_ref(&self.rows), &self.rows.schema(), requested_schema)
    }

    fn __repr__(&self) -> String {
        format!("<funnelpulse.Advance to {}: {}>", self.now, counted(self.rows.num_rows(), "row", "rows"))
    }
}
