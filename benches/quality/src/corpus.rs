//! Labelled series in files.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use funnelpulse::{
    core::{Columns, Frame},
    io::Table,
};

/// A series and its labels.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) file: String,
    pub(crate) values: Vec<f64>,
    pub(crate) labels: Vec<bool>,
}

impl Labelled {
    pub(crate) fn frame(&self) -> anyhow::Result<Frame> {
        let column = ndarray::Array2::from_shape_vec((self.values.len(), 1), self.values.clone())?;
        Ok(Frame::from_rows(Columns::new(["value"])?, column)?)
    }
}

/// The series of a table with the columns `file`, `values` and `label`, sorted by file; the rows of a
/// file are in order.
pub(crate) fn read(path: &Path, values: &str) -> anyhow::Result<Vec<Labelled>> {
    let table = Table::read(path)?;
    let (values, labels) = (table.f64_column(values)?, table.f64_column("label")?);
    let mut series: BTreeMap<String, Labelled> = BTreeMap::new();
    for (row, file) in table.string_column("file")?.into_iter().enumerate() {
        let file = file.with_context(|| format!("{}: row {row} has no file", path.display()))?;
        let new = || Labelled { file: file.clone(), values: Vec::new(), labels: Vec::new() };
        let entry = series.entry(file.clone()).or_insert_with(new);
        entry.values.push(values[row]);
        entry.labels.push(labels[row] > 0.0);
    }
    Ok(series.into_values().collect())
}
