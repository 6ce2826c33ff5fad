//! The open cases of `RobustSpot` (Li et al. 2022): stalling viewers per minute of a live stream.

use std::{collections::BTreeMap, error::Error, fs::File, path::Path};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};
use funnelpulse_analytics::History;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::score::Truth;

const ATTRIBUTES: [&str; 5] = ["cdn", "bitrate", "device", "p2p", "isp"];

/// One incident: the past and the minute in question, and what the operators found.
pub(crate) struct Case {
    pub(crate) history: History,
    pub(crate) period: i64,
    pub(crate) truth: Truth,
}

#[derive(Deserialize)]
struct Label {
    case: String,
    timestamp: i64,
    cause: Vec<BTreeMap<String, String>>,
}

/// Reads all cases, in the order of the labels.
pub(crate) fn read(folder: &Path) -> Result<Vec<Case>, Box<dyn Error>> {
    let labels: Vec<Label> = serde_json::from_reader(File::open(folder.join("robustspot_truth.json"))?)?;
    let file = File::open(folder.join("robustspot.parquet"))?;
    let mut histories: BTreeMap<String, History> = BTreeMap::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
        read_batch(&batch?, &mut histories)?;
    }
    labels
        .into_iter()
        .map(|label| {
            let history = histories.remove(&label.case).ok_or_else(|| format!("no rows of {}", label.case))?;
            let truth = label.cause.into_iter().map(|c| c.into_iter().collect()).collect();
            Ok(Case { history, period: label.timestamp, truth })
        })
        .collect()
}

fn read_batch(batch: &RecordBatch, histories: &mut BTreeMap<String, History>) -> Result<(), Box<dyn Error>> {
    let column = |name: &str, to: &DataType| -> Result<_, Box<dyn Error>> {
        Ok(cast(batch.column_by_name(name).ok_or_else(|| format!("no column {name}"))?, to)?)
    };
    let case = column("case", &DataType::Utf8)?;
    let minute = column("min", &DataType::Int64)?;
    let (value, count) = (column("value", &DataType::Float64)?, column("cnt", &DataType::Float64)?);
    let attributes = ATTRIBUTES.iter().map(|name| column(name, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let case = case.as_string::<i32>().value(row);
        let place: Vec<Option<&str>> =
            attributes.iter().map(|a| a.is_valid(row).then(|| a.as_string::<i32>().value(row))).collect();
        histories.entry(case.to_owned()).or_insert_with(|| History::ratio(ATTRIBUTES)).push(
            minute.as_primitive::<Int64Type>().value(row),
            &place,
            value.as_primitive::<Float64Type>().value(row),
            count.as_primitive::<Float64Type>().value(row),
        )?;
    }
    Ok(())
}
