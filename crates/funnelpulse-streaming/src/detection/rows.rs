//! Rows of the detection as a table.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use funnelpulse_core::BoxError;
use funnelpulse_pipeline::Advance;

/// The rows whose verdict is new, with `revision` and `final`.
pub(super) fn table(advance: &Advance) -> Result<RecordBatch, BoxError> {
    let places: Vec<(usize, usize)> = advance.rows.iter().map(|row| (row.series, row.row)).collect();
    let batch = advance.findings.rows_to_batch(&places);
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut arrays = batch.columns().to_vec();
    let revisions: Int64Array = advance.rows.iter().map(|row| Some(i64::from(row.revision))).collect();
    let finals: BooleanArray = advance.rows.iter().map(|row| Some(row.is_final)).collect();
    for (name, data_type, array) in
        [("revision", DataType::Int64, Arc::new(revisions) as ArrayRef), ("final", DataType::Boolean, Arc::new(finals))]
    {
        fields.push(Field::new(name, data_type, false));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
