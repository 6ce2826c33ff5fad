//! Every kind of bad input, each with its message.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use funnelpulse_core::SeriesKey;
use funnelpulse_features::{Absent, EventSpec, MetricSpec, PanelSpec, Unsorted};
use funnelpulse_io::{
    InputKind, IoError, PanelRead, Table, panel_from_batches, panel_to_batch, read_events, read_panel, recognise,
    write_file,
};
use funnelpulse_testing::shared_file;
use tempfile::TempDir;

const HEADER: &str = "window_start,brand,views,carts,purchases,revenue\n";

fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn read_with(spec: &PanelSpec, csv: &str) -> Result<PanelRead, IoError> {
    let (_folder, path) = file("input.csv", csv);
    read_panel(&Table::read(&path)?, spec)
}

/// Reads hours of series `a`, one text of cells after the hour each.
fn read(rows: &str) -> PanelRead {
    read_with(&PanelSpec::funnel(), &format!("{HEADER}{rows}")).unwrap()
}

/// The message without the folder.
fn message<T: std::fmt::Debug>(path: &Path, result: Result<T, IoError>) -> String {
    result.unwrap_err().to_string().replace(&format!("{}/", path.parent().unwrap().display()), "")
}

#[test]
fn broken_series_are_left_out_and_named() {
    let cases = [
        ("2019-10-01 05:00:00,a,NaN,0,0,0", "column `views` is NaN; leave the cell empty where the value is missing"),
        ("2019-10-01 05:00:00,a,1,inf,0,0", "column `carts` is inf, not a finite number"),
        ("2019-10-01 05:00:00,a,1,1,0,-infinity", "column `revenue` is -inf, not a finite number"),
        ("2019-10-01 05:00:00,a,1,1,-2,0", "column `purchases` is -2, a count can't be negative"),
        ("2019-10-01 05:00:00,a,1,1,many,0", "column `purchases` is `many`, not a number"),
        ("2019-10-01 04:00:00,a,1,1,1,1", "column `window_start` is 2019-10-01T04:00:00Z, as in line 3"),
        ("2019-10-01 03:00:00,a,1,1,1,1", "time 2019-10-01T03:00:00Z comes after 2019-10-01T04:00:00Z; sort the rows"),
        (
            "2019-10-01 05:00:07,a,1,1,1,1",
            "column `window_start` is 2019-10-01T05:00:07Z, off the table's grid of 3600",
        ),
        ("soon,a,1,1,1,1", "column `window_start` is `soon`, not a time such as"),
        (",a,1,1,1,1", "column `window_start` is empty, every row needs a time"),
    ];
    for (row, expected) in cases {
        let good = "2019-10-01 04:00:00,b,1,1,1,-1.5\n2019-10-01 04:00:00,a,1.5,1,1,\n";
        let read = read(&format!("{good}{row}\n2019-10-01 06:00:00,b,,,,\n"));
        assert_eq!(read.panel.keys().map(SeriesKey::as_str).collect::<Vec<_>>(), ["b"], "{row}");
        assert_eq!((read.rows_read, read.problems.len()), (4, 1), "{row}");
        let problem = &read.problems[0];
        assert_eq!((problem.series.as_str(), problem.row), ("a", 4), "{row}");
        assert!(problem.message.starts_with(&format!("line 4: {expected}")), "{}", problem.message);
        let views = read.panel.get("b").unwrap().column("views").unwrap();
        assert!(views[0] == 1.0 && views[1].is_nan(), "an empty cell is a missing value");
    }
}

#[test]
fn a_second_look_at_an_hour_is_found_in_any_order() {
    let rows = "2019-10-01 04:00:00,a,1,1,1,1\n2019-10-01 06:00:00,a,1,1,1,1\n2019-10-01 05:00:00,a,2,2,2,2\n";
    assert!(read(rows).problems[0].message.contains("line 4: time 2019-10-01T05:00:00Z comes after"));
    let sort = PanelSpec { unsorted: Unsorted::Sort, ..PanelSpec::funnel() };
    let sorted = read_with(&sort, &format!("{HEADER}{rows}")).unwrap();
    assert_eq!(sorted.panel.get("a").unwrap().column("views").unwrap().to_vec(), [1.0, 2.0, 1.0]);
    let twice = read_with(&sort, &format!("{HEADER}{rows}2019-10-01 04:00:00,a,9,1,1,1\n")).unwrap();
    assert_eq!(
        twice.problems[0].message,
        "line 5: column `window_start` is 2019-10-01T04:00:00Z, as in line 2; a series has one row per window, or set \
         duplicates to sum, first, last or mean"
    );
}

#[test]
fn whole_files_are_refused() {
    let spec = PanelSpec::funnel();
    let panel = |name: &str, content: &[u8]| {
        let (_folder, path) = file(name, content);
        message(&path, Table::read(&path).and_then(|table| read_panel(&table, &spec)))
    };
    let csv = |content: &str| panel("x.csv", content.as_bytes());
    assert_eq!(csv(""), "x.csv: the file is empty");
    assert_eq!(csv(HEADER), "x.csv: no rows");
    assert_eq!(
        csv("window_start,brand,views,purchases\n"),
        "x.csv: column `carts`, `revenue` is missing (found: window_start, brand, views, purchases)"
    );
    assert_eq!(csv("a,a\n"), "x.csv: column `a` appears twice");
    assert_eq!(
        csv(&format!("{HEADER}2019-10-01,a,1,2,3,4\n2019-10-01,a,1,2\n")),
        "x.csv, line 3: 4 fields, the header has 6"
    );
    assert_eq!(
        csv(&format!("{HEADER}2019-10-01,a,one,2,3,4\n2019-10-02,a,two,2,3,4\n")),
        "x.csv: column `views` should hold numbers, found `one` in line 2"
    );
    assert_eq!(
        csv(&format!("{HEADER}one,a,1,2,3,4\n")),
        "x.csv: column `window_start` should hold times, found `one` in line 2"
    );
    assert_eq!(panel("x.csv", b"a,b\n1,\xff\n"), "x.csv, line 2: field 2 is not valid UTF-8");
    assert_eq!(panel("x.parquet", b""), "x.parquet: the file is empty");
    assert!(panel("x.parquet", b"PAR1 nothing").contains("not a readable Parquet file, truncated or damaged"));
    assert!(panel("x.csv.gz", b"plain text").starts_with("x.csv.gz: "));
    assert_eq!(
        panel("x.json", b"{}"),
        "x.json: the name should end in .csv, .tsv or .jsonl, also with .gz, or in .parquet"
    );
    let nowhere = Path::new("/no/such/file.csv");
    assert!(message(nowhere, Table::read(nowhere)).contains("file.csv: No such file"));
}

#[test]
fn wrong_types_in_arrow() {
    let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let number: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let names = ["window_start", "brand", "views", "carts", "purchases", "revenue"];
    let read = |cells: [&ArrayRef; 6]| {
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(cells.into_iter().cloned())).unwrap();
        panel_from_batches(&[batch], &PanelSpec::funnel()).map(|read| read.panel.total_rows())
    };
    assert_eq!(read([&time, &text, &number, &number, &number, &number]).unwrap(), 1);
    assert_eq!(
        read([&time, &text, &time, &number, &number, &number]).unwrap_err().to_string(),
        "Arrow batches: column `views` should hold numbers, found Timestamp(ms)"
    );
    assert_eq!(
        read([&number, &text, &number, &number, &number, &number]).unwrap_err().to_string(),
        "Arrow batches: column `window_start` should hold times, found `1` in row 1"
    );
}

#[test]
fn kinds_are_told_apart() {
    let kind = |header: &str| {
        let (_folder, path) = file("x.csv", format!("{header}\n"));
        recognise(&Table::read(&path).unwrap(), &PanelSpec::funnel(), &EventSpec::default())
    };
    assert_eq!(kind(HEADER.trim()).unwrap(), InputKind::Hourly);
    assert_eq!(kind("window_start,brand,views,cart_additions,purchases,revenue").unwrap(), InputKind::Hourly);
    let events = "event_time,event_type,product_id,category_id,brand,price,user_id,user_session";
    assert_eq!(kind(events).unwrap(), InputKind::Events);
    let error = kind("event_time,event_type,brand,price").unwrap_err().to_string();
    assert!(error.contains("found the columns: event_time, event_type, brand, price"), "{error}");
    assert!(error.contains("events lack product_id, user_id, user_session"), "{error}");
    assert!(error.contains("regular rows lack window_start, views, carts, purchases, revenue"), "{error}");
}

#[test]
fn three_of_ten_thousand_brands_are_malformed() {
    let mut csv = String::from(HEADER);
    for hour in 0..3 {
        for brand in 0..10_000 {
            let views = match (brand, hour) {
                (17, 1) => "-1",
                (4_242, 0) => "NaN",
                (9_999, 2) => "oops",
                _ => "5",
            };
            writeln!(csv, "2019-10-01 0{hour}:00:00,brand{brand:05},{views},1,1,1").unwrap();
        }
    }
    let read = read_with(&PanelSpec::funnel(), &csv).unwrap();
    assert_eq!((read.panel.len(), read.rows_read), (9_997, 30_000));
    let named: Vec<_> = read.problems.iter().map(|p| (p.series.as_str(), p.row)).collect();
    assert_eq!(named, [("brand00017", 10_019), ("brand04242", 4_244), ("brand09999", 30_001)]);
}

#[test]
fn keys_null_empty_and_several() {
    let spec = PanelSpec {
        keys: vec!["shop".into(), "brand".into()],
        metrics: vec![MetricSpec::count("views")],
        absent: Absent::Empty,
        ..PanelSpec::funnel()
    };
    let csv = "window_start,shop,brand,views,remark\n\
               2019-10-01T00:30:00,007,,1,\n2019-10-01T01:30:00,007,x,2,\n2019-10-01T03:30:00,8,a/b,3,\n";
    let read = read_with(&spec, csv).unwrap();
    let keys: Vec<_> = read.panel.keys().map(SeriesKey::as_str).collect();
    assert_eq!(keys, ["007/(none)", "007/x", "8/a\\/b"], "text stays as it is, and half hours are a grid too");
    let zeros = read.panel.get("007/(none)").unwrap().column("views").unwrap();
    assert_eq!(zeros.to_vec(), [1.0, 0.0, 0.0], "hours in which others have rows are known to be empty");

    let batch = panel_to_batch(&read.panel, &spec).unwrap();
    assert_eq!(panel_from_batches(std::slice::from_ref(&batch), &spec).unwrap().panel, read.panel);
    for name in ["x.csv", "x.parquet"] {
        let (_folder, path) = file(name, "");
        write_file(&path, &batch).unwrap();
        assert_eq!(read_panel(&Table::read(&path).unwrap(), &spec).unwrap().panel, read.panel, "{name}");
    }
}

#[test]
fn events_with_every_kind_of_fault() {
    let csv = "event_time,event_type,product_id,brand,price,user_id,user_session\n\
               2019-10-01 00:00:00 UTC,view,1,a,1.5,7,s\n\
               2019-10-01 00:00:00 UTC,view,1,a,1.5,7,s\n\
               2019-10-01 00:00:01 UTC,cart,1,A ,1.5,7,s\n\
               2019-10-01 00:00:02 UTC,purchase,1,a,1.5,7,s\n\
               2019-10-01 00:00:03 UTC,remove_from_cart,1,,1.5,7,s\n\
               ,view,1,a,1.5,7,s\n\
               never,view,1,a,1.5,7,s\n\
               2019-10-01 00:00:04 UTC,,1,a,1.5,7,s\n\
               2019-10-01 00:00:05 UTC,view,1,a,free,7,s\n\
               2019-10-01 00:00:05 UTC,view,1,a,-1,7,s\n\
               2019-10-01 00:00:05 UTC,view,1,a,NaN,7,s\n\
               2019-10-01 00:00:06 UTC,view,1,,,7,s\n";
    let (_folder, path) = file("x.csv", csv);
    let gold = read_events(&Table::read(&path).unwrap(), &EventSpec::default(), 3600).unwrap();
    let report = &gold.report;
    assert_eq!((report.read, report.counted(), report.duplicates), (12, 4, 1));
    assert_eq!((report.ignored_total(), report.rejected_total()), (1, 6));
    let text = report.to_string();
    assert!(text.contains("2 with no readable time, first row 6 (``), row 7 (`never`)"), "{text}");
    assert!(text.contains("not a number, first row 9 (`free`), row 10 (`-1`), row 11 (`NaN`)"), "{text}");
    assert_eq!(gold.panel.get("a").unwrap().values(), ndarray::array![[1.0, 1.0, 1.0, 1.5]]);
    assert_eq!(gold.panel.get("(none)").unwrap().values(), ndarray::array![[1.0, 0.0, 0.0, 0.0]]);

    let lacking = EventSpec { price: "amount".into(), ..EventSpec::default() };
    assert!(message(&path, read_events(&Table::read(&path).unwrap(), &lacking, 3600)).contains("column `amount` is"));
}

#[test]
fn damaged_parquet_never_panics() {
    let rows = 500;
    let text: ArrayRef = Arc::new((0..rows).map(|i| Some(format!("brand {}", i % 7))).collect::<StringArray>());
    let number: ArrayRef = Arc::new((0..rows).map(|i| (i % 5 > 0).then_some(f64::from(i))).collect::<Float64Array>());
    let (_folder, path) = file("x.parquet", "");
    write_file(&path, &RecordBatch::try_from_iter([("brand", text), ("views", number)]).unwrap()).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(Table::read(&path).unwrap().num_rows(), rows as usize);
    for length in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(Table::read(&path).is_err(), "{length} of {} bytes", whole.len());
    }
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 1 << (position % 8);
        fs::write(&path, &damaged).unwrap();
        // Parquet has no checksum over everything: what still decodes has the right shape.
        if let Ok(table) = Table::read(&path) {
            let _ = table.columns().iter().map(|c| table.string_column(c)).collect::<Vec<_>>();
        }
    }
}

#[test]
fn real_events_are_accounted_for() {
    let Some(path) = shared_file("data/ecommerce/rees46_multicategory_sample.parquet") else { return };
    let table = Table::read(&path).unwrap();
    assert_eq!(recognise(&table, &PanelSpec::funnel(), &EventSpec::default()).unwrap(), InputKind::Events);
    let gold = read_events(&table, &EventSpec::default(), 3600).unwrap();
    assert_eq!(gold.report.read, 17_434);
    assert!(gold.report.balances());
    let counted: f64 =
        gold.panel.iter().map(|(_, f)| f.values().columns().into_iter().take(3).map(|c| c.sum()).sum::<f64>()).sum();
    assert_eq!(counted, gold.report.counted() as f64);
}

#[test]
fn real_hours_of_another_shop() {
    let Some(path) = shared_file("data/ecommerce/online_retail_hourly_stockfamily.parquet") else { return };
    let spec = PanelSpec {
        keys: vec!["family".into()],
        metrics: vec![MetricSpec::count("orders"), MetricSpec::count("units"), MetricSpec::amount("revenue")],
        ..PanelSpec::funnel()
    };
    let read = read_panel(&Table::read(&path).unwrap(), &spec).unwrap();
    assert_eq!((read.rows_read, read.problems.as_slice()), (33_878, &[][..]));
    assert_eq!(read.panel.total_rows(), 33_878);
}
