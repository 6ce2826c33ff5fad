//! Record batches to and from other Arrow libraries of the same process, without a copy of their values.
//!
//! The exchange is the [Arrow C Stream Interface]: a schema and arrays of the C Data Interface behind one owned value.
//! It is what `arrow2`, polars, `DuckDB`, nanoarrow, pyarrow and ADBC drivers read and write. `examples/arrow2-ffi` of the
//! repository moves batches to `arrow2` and back and compares the addresses of their buffers.
//!
//! [Arrow C Stream Interface]: https://arrow.apache.org/docs/format/CStreamInterface.html

use std::path::Path;

pub use arrow::ffi_stream::FFI_ArrowArrayStream;
use arrow::{
    array::{Array, RecordBatch, RecordBatchIterator, StructArray},
    error::ArrowError,
    ffi_stream::ArrowArrayStreamReader,
};

use crate::IoError;

/// The name of a stream in errors.
const STREAM: &str = "Arrow stream";

/// Hands batches over to another library. The values are shared, not copied, and live until the other side lets go of
/// them.
///
/// All batches must have the schema of the first: consumers read the schema once and trust it.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
/// use arrow::datatypes::Float64Type;
/// use funnelpulse_io::ffi::{export_batches, import_batches};
///
/// let views = Float64Array::from(vec![12.0, 9.0]);
/// let address = views.values().as_ptr();
/// let batch = RecordBatch::try_from_iter([("views", Arc::new(views) as _)])?;
///
/// let stream = export_batches(vec![batch])?; // what another library imports
/// let back = import_batches(stream)?;
/// assert_eq!(back[0].column(0).as_primitive::<Float64Type>().values().as_ptr(), address);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`IoError::Empty`] without a batch, [`IoError::Arrow`] where schemas differ.
pub fn export_batches(batches: Vec<RecordBatch>) -> Result<FFI_ArrowArrayStream, IoError> {
    let path = Path::new(STREAM);
    let Some(first) = batches.first() else {
        return Err(IoError::Empty { path: path.into(), what: "no batches to export" });
    };
    let schema = first.schema();
    if let Some(at) = batches.iter().position(|batch| batch.schema_ref() != &schema) {
        let reason = format!("batch {at} has another schema than batch 0");
        return Err(IoError::arrow(path)(ArrowError::SchemaError(reason)));
    }
    let batches = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
    Ok(FFI_ArrowArrayStream::new(Box::new(batches)))
}

/// Takes batches over from another library, all that the stream has. Buffers that lie at addresses that Arrow allows
/// are shared, not copied; offsets and texts are checked, so that damaged ones are an error here and not a wrong read later.
///
/// A [`Table`](crate::Table) of them is `Table::from_batches("name", import_batches(stream)?)`.
///
/// A stream of another library's C struct comes into Rust by `FFI_ArrowArrayStream::from_raw`, whose caller vouches for
/// the struct; from there on nothing is unsafe.
///
/// # Errors
///
/// [`IoError::Arrow`] for a stream that was released, is not of record batches, or says that it failed.
///
/// ```
/// use funnelpulse_io::ffi::{FFI_ArrowArrayStream, import_batches};
///
/// assert!(import_batches(FFI_ArrowArrayStream::empty()).is_err());
/// ```
pub fn import_batches(stream: FFI_ArrowArrayStream) -> Result<Vec<RecordBatch>, IoError> {
    let failed = IoError::arrow(Path::new(STREAM));
    let read = || {
        let checked = |batch: Result<RecordBatch, ArrowError>| {
            let batch = batch?;
            StructArray::from(batch.clone()).to_data().validate_full()?;
            Ok(batch)
        };
        ArrowArrayStreamReader::try_new(stream)?.map(checked).collect::<Result<Vec<_>, ArrowError>>()
    };
    read().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Float64Array, StringArray};

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let brand: ArrayRef =
            Arc::new((0..rows).map(|i| (i % 3 > 0).then(|| format!("brand {i}"))).collect::<StringArray>());
        let views: ArrayRef = Arc::new((0..rows).map(|i| (i % 5 > 0).then_some(i as f64)).collect::<Float64Array>());
        RecordBatch::try_from_iter_with_nullable([("brand", brand, true), ("views", views, true)]).unwrap()
    }

    #[test]
    fn several_batches_slices_and_gaps_come_back_as_they_were() {
        let batches = vec![batch(7), batch(100).slice(13, 50), batch(0)];
        let back = import_batches(export_batches(batches.clone()).unwrap()).unwrap();
        assert_eq!(back, batches);
        let texts = |batches: &[RecordBatch]| batches[1].column(0).as_string::<i32>().value_data().as_ptr();
        assert_eq!(texts(&back), texts(&batches), "shared, not copied");
    }

    #[test]
    fn batches_of_another_schema_are_refused() {
        let other = batch(3).project(&[1]).unwrap();
        let error = export_batches(vec![batch(3), other]).unwrap_err().to_string();
        assert!(error.contains("batch 1 has another schema"), "{error}");
        assert!(export_batches(Vec::new()).unwrap_err().to_string().contains("no batches"));
    }

    #[test]
    fn a_stream_that_fails_says_why() {
        let schema = batch(1).schema();
        let lost = ArrowError::ExternalError("the connection is lost".into());
        let broken = RecordBatchIterator::new([Ok(batch(1)), Err(lost)], schema);
        let error = import_batches(FFI_ArrowArrayStream::new(Box::new(broken))).unwrap_err().to_string();
        assert!(error.contains("the connection is lost"), "{error}");
    }
}
