//! Arrow tables in and out, by the Arrow `PyCapsule` interface.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StructArray},
    datatypes::{Field, SchemaRef},
};
use pyo3::{
    prelude::*,
    types::{PyCapsule, PyDict},
};
use pyo3_arrow::{
    ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule},
    input::AnyRecordBatch,
};

use crate::error::{Failure, heavy, wrong_type};

/// An Arrow table. Any library with the Arrow `PyCapsule` interface reads it without a copy:
/// `pyarrow.table(t)`, `polars.DataFrame(t)`, `duckdb.sql("from t")`.
#[pyclass(module = "funnelpulse", name = "Table", frozen)]
#[derive(Debug)]
pub(crate) struct Table {
    batches: Vec<RecordBatch>,
    schema: SchemaRef,
}

impl From<RecordBatch> for Table {
    fn from(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: vec![batch] }
    }
}

#[pymethods]
impl Table {
    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __len__(&self) -> usize {
        self.num_rows()
    }

    fn __repr__(&self) -> String {
        let rows = funnelpulse::core::counted(self.num_rows(), "row", "rows");
        format!("<funnelpulse.Table: {rows}, columns {}>", self.column_names().join(", "))
    }

    /// The rows as an Arrow stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        stream(py, &self.batches, &self.schema, requested_schema)
    }

    /// The columns as an Arrow schema.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, &*self.schema)?)
    }

    /// A `pyarrow.Table`.
    fn to_arrow(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        convert(slf.as_any(), "to_arrow")
    }

    /// A `polars.DataFrame`.
    fn to_polars(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        convert(slf.as_any(), "to_polars")
    }

    /// A `pandas.DataFrame`.
    fn to_pandas(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        convert(slf.as_any(), "to_pandas")
    }
}

/// Hands a table to a library that is only imported when it is asked for.
pub(crate) fn convert<'py>(table: &Bound<'py, PyAny>, function: &str) -> PyResult<Bound<'py, PyAny>> {
    table.py().import("funnelpulse._convert")?.call_method1(function, (table,))
}

/// Batches as a capsule with an Arrow stream.
pub(crate) fn stream<'py>(
    py: Python<'py>,
    batches: &[RecordBatch],
    schema: &SchemaRef,
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let field = Arc::new(Field::new_struct("", schema.fields().clone(), false));
    let arrays: Vec<ArrayRef> =
        batches.iter().map(|batch| Arc::new(StructArray::from(batch.clone())) as ArrayRef).collect();
    let reader = Box::new(ArrayIterator::new(arrays.into_iter().map(Ok), field));
    Ok(to_stream_pycapsule(py, reader, requested_schema)?)
}

/// The batches of anything that is a table in Python: an object with the Arrow `PyCapsule` interface, or
/// a dictionary of columns.
pub(crate) fn batches(table: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    let py = table.py();
    let is_table = |object: &Bound<'_, PyAny>| -> PyResult<bool> {
        Ok(object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")?)
    };
    let table = if table.is_instance_of::<PyDict>() || !is_table(table)? {
        py.import("funnelpulse._convert")?.call_method1("as_table", (table,))?
    } else {
        table.clone()
    };
    if !is_table(&table)? {
        return Err(wrong_type("a table with the Arrow PyCapsule interface or a dictionary of columns", &table));
    }
    let reader = table.extract::<AnyRecordBatch>()?.into_reader()?;
    let schema = reader.schema();
    // A stream may compute its batches only now.
    let mut batches = heavy(py, || reader.collect::<Result<Vec<_>, _>>().map_err(arrow_failure))?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

/// Fails where a table is no table of these columns.
pub(crate) fn arrow_failure(error: arrow::error::ArrowError) -> Failure {
    Failure::data(error)
}
