//! The layout of `ADBench`: a NumPy archive per data set, observations in `X`, labels in `y`.

use std::{fs::File, path::Path};

use ndarray::{Array1, Array2};
use ndarray_npy::{NpzReader, ReadNpzError, ReadableElement};

use crate::{EvalError, bench::BenchSeries};

type Archive = NpzReader<File>;

pub(super) fn load(path: &Path, (collection, name): (String, String)) -> Result<BenchSeries, EvalError> {
    let wrong = |error: ReadNpzError| EvalError::suite(path, error);
    let file = File::open(path).map_err(|error| EvalError::suite(path, error))?;
    let mut archive = NpzReader::new(file).map_err(wrong)?;
    let values = matrix::<f64>(&mut archive, |v| v)
        .or_else(|_| matrix::<f32>(&mut archive, f64::from))
        .or_else(|_| matrix::<i64>(&mut archive, |v| v as f64))
        .or_else(|_| matrix::<i32>(&mut archive, f64::from))
        .or_else(|_| matrix::<u8>(&mut archive, f64::from))
        .map_err(wrong)?;
    let labels = vector::<i64>(&mut archive, |v| v as f64)
        .or_else(|_| vector::<f64>(&mut archive, |v| v))
        .or_else(|_| vector::<i32>(&mut archive, f64::from))
        .or_else(|_| vector::<u8>(&mut archive, f64::from))
        .or_else(|_| vector::<bool>(&mut archive, |v| f64::from(u8::from(v))))
        .map_err(wrong)?;
    if labels.len() != values.nrows() {
        let reason = format!("`X` has {} rows, `y` {}", values.nrows(), labels.len());
        return Err(EvalError::suite(path, reason));
    }
    let labels = super::table::as_labels(&labels, path)?;
    let columns = (0..values.ncols()).map(|column| format!("x{column}")).collect();
    Ok(BenchSeries {
        collection,
        name,
        columns,
        values,
        times: None,
        labels,
        train_rows: None,
        unevaluated: 0,
        ordered: false,
    })
}

fn matrix<T: ReadableElement>(archive: &mut Archive, of: impl Fn(T) -> f64) -> Result<Array2<f64>, ReadNpzError> {
    let values: Array2<T> = archive.by_name("X").or_else(|_| archive.by_name("X.npy"))?;
    let shape = values.raw_dim();
    let values = values.into_iter().map(of).collect();
    Ok(Array2::from_shape_vec(shape, values).expect("as many values as before"))
}

fn vector<T: ReadableElement>(archive: &mut Archive, of: impl Fn(T) -> f64) -> Result<Vec<f64>, ReadNpzError> {
    let values: Array1<T> = archive.by_name("y").or_else(|_| archive.by_name("y.npy"))?;
    Ok(values.into_iter().map(of).collect())
}
