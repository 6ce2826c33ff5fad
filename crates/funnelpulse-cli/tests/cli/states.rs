//! `detect --state`: consecutive tables are scored as one long table.

use std::{collections::BTreeMap, fs};

use arrow::{
    array::{Array, AsArray},
    compute::filter_record_batch,
    datatypes::Float64Type,
};
use funnelpulse::{core::Timestamp, io::write_file};
use predicates::str::contains;

use crate::folder::Folder;

/// Days of training, and those that follow.
const DAYS: (usize, usize) = (16, 6);

/// A model, `rest.parquet` with the days after its training, and `day-0.parquet` ... with each of them.
fn shop() -> Folder {
    let folder = Folder::new();
    folder.output("generate --out shop --brands 3 --days 22 --difficulty easy");
    let table = folder.table("shop/hourly.parquet");
    let (times, batch) = (table.time_column("window_start").unwrap(), &table.batches()[0]);
    let start = *times.iter().min().unwrap();
    let part = |name: &str, days: std::ops::Range<usize>| {
        let at = |day: usize| start.offset(day as i64 * Timestamp::DAY);
        let kept = times.iter().map(|time| Some(at(days.start) <= *time && *time < at(days.end))).collect();
        write_file(&folder.path(name), &filter_record_batch(batch, &kept).unwrap()).unwrap();
    };
    part("train.parquet", 0..DAYS.0);
    part("rest.parquet", DAYS.0..DAYS.0 + DAYS.1);
    for day in 0..DAYS.1 {
        part(&format!("day-{day}.parquet"), DAYS.0 + day..DAYS.0 + day + 1);
        part(&format!("until-{day}.parquet"), DAYS.0..DAYS.0 + day + 1);
    }
    folder.output("train --input train.parquet --model model --set pipeline.detectors=['zscore','incidents']");
    folder
}

/// The bits of every number of every row, by series and time.
fn rows(folder: &Folder, name: &str) -> BTreeMap<(String, String), Vec<Option<u64>>> {
    let table = folder.table(&format!("{name}/anomalies"));
    let times = table.time_column("window_start").unwrap();
    let mut rows = BTreeMap::new();
    for batch in table.batches() {
        let brands = batch.column_by_name("brand").unwrap().as_string::<i32>();
        let fields = batch.schema();
        // The rank is that among the rows of one table.
        let numbers = || batch.columns().iter().zip(fields.fields()).filter(|(_, field)| field.name() != "rank");
        for row in 0..batch.num_rows() {
            let bits = |array: &arrow::array::ArrayRef| {
                let values = array.as_primitive_opt::<Float64Type>()?;
                values.is_valid(row).then(|| values.value(row).to_bits())
            };
            let place = (brands.value(row).to_owned(), times[rows.len()].to_string());
            rows.insert(place, numbers().map(|(array, _)| bits(array)).collect());
        }
    }
    rows
}

#[test]
fn day_after_day_equals_one_long_table() {
    let folder = shop();
    let mut compared = 0;
    for day in 0..DAYS.1 {
        folder.output(&format!(
            "detect --model model --input day-{day}.parquet --state state --output out-{day} --all-rows"
        ));
        folder.output(&format!("detect --model model --input until-{day}.parquet --output long-{day} --all-rows"));
        let (followed, long) = (rows(&folder, &format!("out-{day}")), rows(&folder, &format!("long-{day}")));
        assert!(followed.len() >= 72, "a day of three series");
        for (place, row) in followed {
            assert_eq!(row, long[&place], "{place:?} after day {day}");
            compared += 1;
        }
    }
    assert!(compared > 72 * DAYS.1);
}

#[test]
fn a_table_that_does_not_follow_is_refused_and_changes_nothing() {
    let folder = shop();
    folder.output("detect --model model --input day-1.parquet --state state --output out");
    let before = fs::read(folder.path("state")).unwrap();
    for again in ["day-1.parquet", "day-0.parquet"] {
        folder.refuses(&format!("detect --model model --input {again} --state state --output out"), "state: series");
    }
    assert!(fs::read(folder.path("state")).unwrap() == before);
    folder.write("broken", "no state");
    let line = "detect --model model --input day-2.parquet --state broken --output out";
    folder.run(line).code(1).stderr(contains("broken: "));
    let line = "detect --model model --input day-2.parquet --state day-2.parquet --output out";
    folder.run(line).code(1).stderr(contains("would be overwritten"));
}
