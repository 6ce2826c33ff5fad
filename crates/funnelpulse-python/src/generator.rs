//! Labelled funnels.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int8Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    error::ArrowError,
};
use funnelpulse::{
    eval::generator::{Difficulty, GeneratedFunnel, GeneratorConfig},
    features::PanelSpec,
    io::panel_to_batch,
};
use pyo3::prelude::*;

use crate::{
    error::{Failure, heavy},
    table::{Table, arrow_failure},
};

/// Generates a shop with labelled anomalies: the hourly table and its labels, the same rows that
/// `funnelpulse generate` writes. `difficulty` is `"easy"`, `"medium"` or `"hard"`.
#[pyfunction]
#[pyo3(signature = (brands=20, days=56, seed=42, *, difficulty="medium"))]
pub(crate) fn generate(
    py: Python<'_>,
    brands: usize,
    days: usize,
    seed: u64,
    difficulty: &str,
) -> PyResult<(Table, Table)> {
    let difficulty = match difficulty {
        "easy" => Difficulty::Easy,
        "medium" => Difficulty::Medium,
        "hard" => Difficulty::Hard,
        other => {
            return Err(Failure::config(format!("difficulty: expected easy, medium or hard, found {other}")).into());
        }
    };
    heavy(py, || {
        let defaults = GeneratorConfig::default();
        let quiet_days = defaults.quiet_days.min(days / 2);
        let config = GeneratorConfig { brands, days, seed, difficulty, quiet_days, ..defaults };
        let shop = GeneratedFunnel::generate(&config).map_err(Failure::config)?;
        let table = panel_to_batch(shop.panel(), &PanelSpec::funnel())?;
        Ok((table.into(), labels(&shop).map_err(arrow_failure)?.into()))
    })
}

/// One row per row of the hourly table: whether it is anomalous, and of which kind.
fn labels(shop: &GeneratedFunnel) -> Result<RecordBatch, ArrowError> {
    let keys = || shop.panel().iter().flat_map(|(key, frame)| frame.time().iter().map(move |&t| (key, t)));
    let kinds = || shop.panel().keys().flat_map(|key| shop.kinds(key.as_str()).unwrap_or_default());
    let times: TimestampMicrosecondArray = keys().map(|(_, time)| Some(time.as_micros())).collect();
    let brands: StringArray = keys().map(|(key, _)| Some(key.as_str())).collect();
    let labels: Int8Array = kinds().map(|kind| Some(i8::from(kind.is_some()))).collect();
    let names: StringArray = kinds().map(|kind| kind.as_ref().map(|kind| kind.as_str())).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("window_start", Arc::new(times.with_timezone("UTC"))),
        ("brand", Arc::new(brands)),
        ("label", Arc::new(labels)),
        ("kind", Arc::new(names)),
    ];
    RecordBatch::try_from_iter(columns)
}
