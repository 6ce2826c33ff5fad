//! One labelled series of a benchmark.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use funnelpulse_core::Timestamp;
use ndarray::Array2;
use xxhash_rust::xxh3::Xxh3;

use crate::{Evaluation, EvaluationOptions, evaluate, metrics::acf_period};

/// The name of the column of times in what detectors read.
pub const TIME: &str = "timestamp";

/// A labelled series, as the files of a benchmark have it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BenchSeries {
    /// The data set that it belongs to.
    pub collection: String,
    /// Its name, unique within the collection.
    pub name: String,
    /// The names of the columns of `values`.
    pub columns: Vec<String>,
    /// Rows by columns; NaN where a value is missing.
    pub values: Array2<f64>,
    /// The time of each row, where the files have one that can be read.
    pub times: Option<Vec<Timestamp>>,
    /// One label per row; true inside an anomaly.
    pub labels: Vec<bool>,
    /// Rows at the start that the benchmark gives to detectors that learn first.
    pub train_rows: Option<usize>,
    /// Rows at the start that come from a file for training; they are scored but not evaluated.
    pub unevaluated: usize,
    /// True if the rows have an order; false for tables of single observations.
    pub ordered: bool,
}

impl BenchSeries {
    /// What a detector may read: the values, and the times where `times` is set. Never the labels.
    ///
    /// # Errors
    /// Columns with the same name.
    pub fn input(&self, times: bool) -> Result<RecordBatch, arrow::error::ArrowError> {
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        if let Some(all) = self.times.as_ref().filter(|_| times) {
            let texts = all.iter().map(|t| Some(t.to_string())).collect::<StringArray>();
            columns.push((TIME, Arc::new(texts)));
        }
        for (name, column) in self.columns.iter().zip(self.values.columns()) {
            let values = column.iter().map(|v| Some(*v).filter(|v| !v.is_nan())).collect::<Float64Array>();
            columns.push((name, Arc::new(values)));
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
    }

    /// The labels of the rows that are evaluated.
    pub fn evaluated_labels(&self) -> &[bool] {
        &self.labels[self.unevaluated..]
    }

    /// True if the metrics are defined: there are both anomalous and normal rows.
    pub fn can_be_evaluated(&self) -> bool {
        let labels = self.evaluated_labels();
        labels.contains(&true) && labels.contains(&false)
    }

    /// The tolerance of VUS in rows: the period of the first column, as TSB-AD has it; none where rows
    /// have no order.
    pub fn window(&self) -> usize {
        if !self.ordered {
            return 0;
        }
        acf_period(&self.values.column(0).to_vec())
    }

    /// Every metric for these scores, one for each row of the series.
    ///
    /// # Errors
    /// Those of [`evaluate`].
    pub fn evaluate(&self, scores: &[f64], window: Option<usize>) -> Result<Evaluation, crate::EvalError> {
        let options =
            EvaluationOptions { window: window.unwrap_or_else(|| self.window()), ..EvaluationOptions::default() };
        evaluate(self.evaluated_labels(), &scores[self.unevaluated.min(scores.len())..], &options)
    }

    /// A checksum of values, labels and division, by which a run is recognised when it is resumed.
    pub fn checksum(&self) -> u64 {
        let mut hash = Xxh3::new();
        for value in &self.values {
            hash.update(&value.to_bits().to_le_bytes());
        }
        for label in &self.labels {
            hash.update(&[u8::from(*label)]);
        }
        hash.update(&self.train_rows.map_or(0, |rows| rows + 1).to_le_bytes());
        hash.update(&self.unevaluated.to_le_bytes());
        hash.digest()
    }
}
