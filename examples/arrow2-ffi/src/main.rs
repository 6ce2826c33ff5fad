//! Record batches between `arrow` and `arrow2` without a copy, both ways, through the Arrow C Stream Interface.
//!
//! ```text
//! cd examples/arrow2-ffi && cargo run
//! ```

use std::{error::Error, mem, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray},
    datatypes::Float64Type,
};
use arrow2::{
    array::{PrimitiveArray, StructArray, Utf8Array},
    datatypes::{DataType, Field},
    ffi::{ArrowArrayStream, ArrowArrayStreamReader, export_iterator},
};
use funnelpulse_io::{
    Table,
    ffi::{FFI_ArrowArrayStream, export_batches, import_batches},
};

/// Rows of the batches that are moved.
const ROWS: usize = 1_000;

/// The same C struct under the name of the other library.
fn to_arrow2(stream: FFI_ArrowArrayStream) -> ArrowArrayStream {
    // SAFETY: both are the `ArrowArrayStream` of the C Stream Interface, `repr(C)`, owned, and may be moved.
    unsafe { mem::transmute(stream) }
}

/// The way back.
fn from_arrow2(stream: ArrowArrayStream) -> FFI_ArrowArrayStream {
    // SAFETY: as in `to_arrow2`.
    unsafe { mem::transmute(stream) }
}

/// All record batches of a stream, as arrow2 has them: struct arrays.
fn read_with_arrow2(stream: ArrowArrayStream) -> Result<Vec<StructArray>, Box<dyn Error>> {
    // SAFETY: the stream was exported by a library that keeps to the C Stream Interface.
    let mut reader = unsafe { ArrowArrayStreamReader::try_new(Box::new(stream)) }?;
    let mut batches = Vec::new();
    // SAFETY: as above.
    while let Some(array) = unsafe { reader.next() } {
        let array = array?;
        batches.push(array.as_any().downcast_ref::<StructArray>().ok_or("a record batch is a struct array")?.clone());
    }
    Ok(batches)
}

fn arrow_to_arrow2() -> Result<(), Box<dyn Error>> {
    let brands: StringArray = (0..ROWS).map(|i| Some(format!("brand {i}"))).collect();
    let views: Float64Array = (0..ROWS).map(|i| (i % 7 > 0).then_some(i as f64)).collect();
    let (texts, values) = (brands.value_data().as_ptr(), views.values().as_ptr());
    let columns: [(&str, ArrayRef); 2] = [("brand", Arc::new(brands)), ("views", Arc::new(views))];
    let batch = RecordBatch::try_from_iter(columns)?;

    let moved = read_with_arrow2(to_arrow2(export_batches(vec![batch])?))?;
    let [brands, views] = moved[0].values() else { return Err("two columns were exported".into()) };
    let brands = brands.as_any().downcast_ref::<Utf8Array<i32>>().ok_or("texts")?;
    let views = views.as_any().downcast_ref::<PrimitiveArray<f64>>().ok_or("numbers")?;
    assert_eq!((brands.value(999), views.get(7), views.get(8)), ("brand 999", None, Some(8.0)));
    assert_eq!(brands.values().as_slice().as_ptr(), texts, "texts are shared");
    assert_eq!(views.values().as_slice().as_ptr(), values, "numbers are shared");
    Ok(())
}

fn arrow2_to_arrow() -> Result<(), Box<dyn Error>> {
    let brands = Utf8Array::<i32>::from_iter_values((0..ROWS).map(|i| format!("brand {i}")));
    let views = PrimitiveArray::from_iter((0..ROWS).map(|i| (i % 7 > 0).then_some(i as f64)));
    let (texts, values) = (brands.values().as_slice().as_ptr(), views.values().as_slice().as_ptr());
    let fields = vec![Field::new("brand", DataType::Utf8, true), Field::new("views", DataType::Float64, true)];
    let kind = DataType::Struct(fields);
    let batch = StructArray::try_new(kind.clone(), vec![brands.boxed(), views.boxed()], None)?;
    let stream = export_iterator(Box::new([Ok(batch.boxed())].into_iter()), Field::new("", kind, false));

    let batches = import_batches(from_arrow2(stream))?;
    let brands = batches[0].column(0).as_string::<i32>();
    let views = batches[0].column(1).as_primitive::<Float64Type>();
    assert_eq!(brands.value_data().as_ptr(), texts, "texts are shared");
    assert_eq!(views.values().as_ptr(), values, "numbers are shared");

    // Tables of this project are made of such batches.
    let table = Table::from_batches("arrow2", batches)?;
    let views = table.f64_column("views")?;
    assert!(views[7].is_nan() && views[8] == 8.0);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    arrow_to_arrow2()?;
    println!("arrow -> arrow2: {ROWS} rows, the same buffers");
    arrow2_to_arrow()?;
    println!("arrow2 -> arrow: {ROWS} rows, the same buffers");
    Ok(())
}
