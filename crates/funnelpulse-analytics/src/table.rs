//! Findings as an Arrow table, with the columns of the original system.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
    record_batch::RecordBatch,
};
use funnelpulse_core::Timestamp;

use crate::{Anomaly, Findings, SeriesFindings};

/// One row of the result.
struct Row<'a> {
    series: &'a SeriesFindings,
    index: usize,
    anomaly: Option<&'a Anomaly>,
}

impl Findings {
    /// The result as a table: the anomalies by rank, or with `all_rows` every scored row by series
    /// and time.
    ///
    /// | columns | |
    /// |---|---|
    /// | `window_start`, `window_date`, the key column | which hour of which series; several keys share a column `series` |
    /// | `views` ... | the stored metrics, and the primary one |
    /// | `lstm_`, `prophet_`, `isolation_forest_`, `changepoint_anomaly_score` | calibrated scores of the original detectors, null where one did not run |
    /// | `zscore_`, `incident_anomaly_score` ... | calibrated scores of every other detector that ran |
    /// | `ensemble_anomaly_score`, `anomaly_confidence`, `n_models_flagged`, `is_anomaly`, `anomaly_severity`, `anomaly_type` | the verdict |
    /// | `expected_value`, `prophet_expected_value`, `deviation_percentage` | of the primary metric |
    /// | `estimated_revenue_impact` | revenue above (+) or below (-) expectation |
    /// | `estimated_conversion_loss` | conversions below (+) or above (-) expectation |
    /// | `contributing_factors`, `alert_priority`, `alert_id`, `rank`, `models` | the explanation, and which models scored |
    ///
    /// The explanation is null in rows that are no anomaly.
    ///
    /// # Panics
    /// Never: the columns have one length by construction.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// // Two anomalies among six rows.
    /// let findings = findings(0.5);
    /// assert_eq!(findings.to_batch(false).num_rows(), 2);
    /// assert_eq!(findings.to_batch(true).num_rows(), 6);
    /// # }
    /// ```
    pub fn to_batch(&self, all_rows: bool) -> RecordBatch {
        let rows = self.select(all_rows);
        let mut columns = self.columns(&rows);
        columns.integer("rank", |r| Some(r.anomaly?.rank as i64));
        columns.text("models", |r| Some(r.series.models_in_words()));
        columns.finish()
    }

    /// The same table of these rows, each the position of its series and its row there, in this
    /// order. Without `rank`, which is a place among all rows.
    ///
    /// # Panics
    /// If a series or a row is not there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
    /// # use found::findings;
    /// # fn main() {
    /// // The second row of the first series.
    /// let batch = findings(0.5).rows_to_batch(&[(0, 1)]);
    /// assert_eq!((batch.num_rows(), batch.column_by_name("rank").is_none()), (1, true));
    /// # }
    /// ```
    pub fn rows_to_batch(&self, rows: &[(usize, usize)]) -> RecordBatch {
        let row = |&(series, index): &(usize, usize)| {
            let series = &self.series()[series];
            Row { series, index, anomaly: series.anomalies.iter().find(|a| a.row == index) }
        };
        let rows: Vec<Row<'_>> = rows.iter().map(row).collect();
        let mut columns = self.columns(&rows);
        columns.text("models", |r| Some(r.series.models_in_words()));
        columns.finish()
    }

    /// The columns of every table.
    fn columns<'a>(&'a self, rows: &'a [Row<'a>]) -> Columns<'a> {
        let mut columns = Columns { rows, fields: Vec::new(), arrays: Vec::new() };
        let time = |r: &Row<'_>| r.series.time[r.index];
        columns.push("window_start", Arc::new(microseconds(rows.iter().map(time))));
        columns.text("window_date", |r| Some(date(time(r))));
        let key = match self.keys() {
            [only] => only.as_str(),
            _ => "series",
        };
        columns.text(key, |r| Some(r.series.series.to_string()));

        let primary = self.primary_metric();
        let shown = (0..self.stored_metrics()).chain((primary >= self.stored_metrics()).then_some(primary));
        for metric in shown {
            columns.number(&self.metrics()[metric], |r| r.series.observed[[r.index, metric]]);
        }
        for detector in self.detectors() {
            columns.number(&detector.score, |r| {
                let model = r.series.models.iter().find(|m| m.detector == detector.detector);
                model.map_or(f64::NAN, |m| m.scores[r.index])
            });
        }
        let verdict = |r: &Row<'_>| r.series.verdicts[r.index];
        columns.number("ensemble_anomaly_score", |r| verdict(r).score);
        columns.number("anomaly_confidence", |r| verdict(r).confidence);
        columns.integer("n_models_flagged", |r| Some(verdict(r).n_models_flagged as i64));
        let flags: BooleanArray = rows.iter().map(|r| Some(verdict(r).is_anomaly)).collect();
        columns.push("is_anomaly", Arc::new(flags));
        columns.text("anomaly_severity", |r| Some(r.anomaly?.severity.to_string()));
        columns.text("anomaly_type", |r| Some(r.anomaly?.anomaly_type.to_string()));
        let expected = |r: &Row<'_>| r.series.expected[[r.index, primary]];
        columns.number("expected_value", expected);
        for detector in self.detectors() {
            let Some(column) = &detector.expected else { continue };
            columns.number(column, |r| {
                let model = r.series.models.iter().find(|m| m.detector == detector.detector);
                model.and_then(|m| m.expected.as_ref()).map_or(f64::NAN, |e| e[r.index])
            });
        }
        columns.number("deviation_percentage", |r| {
            100.0 * (r.series.observed[[r.index, primary]] - expected(r)) / expected(r).abs()
        });
        let impact = |r: &Row<'_>| r.anomaly.map(|a| a.impact);
        columns.number("estimated_revenue_impact", |r| impact(r).and_then(|i| i.revenue).unwrap_or(f64::NAN));
        columns.number("estimated_conversion_loss", |r| impact(r).and_then(|i| i.lost_conversions).unwrap_or(f64::NAN));
        columns.text("contributing_factors", |r| {
            let factors: Vec<String> = r.anomaly?.factors.iter().map(ToString::to_string).collect();
            Some(factors.join("; "))
        });
        columns.text("alert_priority", |r| Some(r.anomaly?.notice.priority.to_string()));
        columns.text("alert_id", |r| Some(r.anomaly?.notice.id.clone()));
        columns
    }

    fn select(&self, all_rows: bool) -> Vec<Row<'_>> {
        if !all_rows {
            let ranked = self.ranked().into_iter();
            return ranked
                .map(|(series, anomaly)| Row { series, index: anomaly.row, anomaly: Some(anomaly) })
                .collect();
        }
        self.series().iter().flat_map(rows_of).collect()
    }
}

/// Every row of a series, with its anomaly where it is one.
fn rows_of(series: &SeriesFindings) -> impl Iterator<Item = Row<'_>> {
    let mut anomalies = series.anomalies.iter().peekable();
    (0..series.time.len()).map(move |index| Row { series, index, anomaly: anomalies.next_if(|a| a.row == index) })
}

/// The date of a time, `2019-10-26`.
fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map_or(text.clone(), |(date, _)| date.to_owned())
}

fn microseconds(times: impl Iterator<Item = Timestamp>) -> TimestampMicrosecondArray {
    times.map(|t| Some(t.as_micros())).collect::<TimestampMicrosecondArray>().with_timezone("UTC")
}

struct Columns<'a> {
    rows: &'a [Row<'a>],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, name: &str, array: ArrayRef) {
        let data_type = match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            other => other.clone(),
        };
        // A metric may be called like one of our columns; the first one keeps the name.
        if self.fields.iter().all(|f| f.name() != name) {
            self.fields.push(Field::new(name, data_type, true));
            self.arrays.push(array);
        }
    }

    /// NaN and infinity become null.
    fn number(&mut self, name: &str, value: impl Fn(&Row<'a>) -> f64) {
        let values: Float64Array = self.rows.iter().map(|r| Some(value(r)).filter(|v| v.is_finite())).collect();
        self.push(name, Arc::new(values));
    }

    fn integer(&mut self, name: &str, value: impl Fn(&Row<'a>) -> Option<i64>) {
        self.push(name, Arc::new(self.rows.iter().map(value).collect::<Int64Array>()));
    }

    fn text(&mut self, name: &str, value: impl Fn(&Row<'a>) -> Option<String>) {
        self.push(name, Arc::new(self.rows.iter().map(value).collect::<StringArray>()));
    }

    fn finish(self) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
            .expect("every column has a value per row and its own type")
    }
}
