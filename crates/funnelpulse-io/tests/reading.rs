//! Folders of files, clocks, duplicates and rows far from all others.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{fmt::Write, fs, path::Path};

use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_features::{Duplicates, MetricSpec, PanelSpec, Unsorted};
use funnelpulse_io::{Epoch, IoError, PanelRead, ReadOptions, Table, read_panel};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn by_file() -> ReadOptions {
    ReadOptions { file_column: Some("series".into()), ..ReadOptions::default() }
}

#[test]
fn a_folder_of_files_is_a_series_each() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["eu/de/berlin.csv", "eu/fr.csv.gz.csv", "us.tsv", "Mixed.CSV"] {
        let rows = if name.ends_with("tsv") {
            "time\tviews\n2019-10-01\t1\n"
        } else {
            "time,views\n2019-10-01,1\n2019-10-02,2\n"
        };
        write(folder.path(), name, rows);
    }
    write(folder.path(), "_hidden/x.csv", "other\n1\n");
    let table = Table::read_with(folder.path(), &by_file()).unwrap();
    let names: Vec<String> = table.string_column("series").unwrap().into_iter().flatten().collect();
    assert_eq!(names, ["Mixed", "Mixed", "eu/de/berlin", "eu/de/berlin", "eu/fr.csv.gz", "eu/fr.csv.gz", "us"]);
    let rows: Vec<usize> = table.files().map(|(_, rows)| rows).collect();
    assert_eq!((rows, table.partition_columns().len()), (vec![2, 2, 2, 1], 0));
    // The panel takes the file as any other key.
    let spec = PanelSpec {
        time: "time".into(),
        keys: vec!["series".into()],
        metrics: vec![MetricSpec::count("views")],
        step_seconds: 86_400,
        ..PanelSpec::funnel()
    };
    let panel = read_panel(&table, &spec).unwrap().panel;
    assert_eq!(
        panel.keys().map(SeriesKey::as_str).collect::<Vec<_>>(),
        ["Mixed", "eu/de/berlin", "eu/fr.csv.gz", "us"]
    );
    // Without the option sub-folders are partitions or refused, as ever.
    assert!(Table::read(folder.path()).unwrap_err().to_string().contains("should be named column=value"));
}

#[test]
fn partitions_and_files_go_together() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "shop=1/a.csv", "time,views\n2019-10-01,1\n");
    write(folder.path(), "shop=2/a.csv", "time,views\n2019-10-01,2\n");
    let table = Table::read_with(folder.path(), &by_file()).unwrap();
    assert_eq!((table.columns()[0].as_str(), table.partition_columns()), ("series", &["shop".to_owned()][..]));
    assert_eq!(table.string_column("series").unwrap()[1].as_deref(), Some("shop=2/a"));
    // A single file has a name too; a name that is taken is refused.
    let one = folder.path().join("shop=1/a.csv");
    assert_eq!(Table::read_with(&one, &by_file()).unwrap().string_column("series").unwrap()[0].as_deref(), Some("a"));
    let taken = ReadOptions { file_column: Some("views".into()), ..ReadOptions::default() };
    assert!(matches!(Table::read_with(&one, &taken), Err(IoError::DuplicateColumn { .. })));
}

const HEADER: &str = "window_start,brand,views,carts,purchases,revenue\n";

fn read(rows: &str, spec: &PanelSpec, options: &ReadOptions) -> PanelRead {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.csv", &format!("{HEADER}{rows}"));
    read_panel(&Table::read_with(&folder.path().join("x.csv"), options).unwrap(), spec).unwrap()
}

#[test]
fn duplicates_are_merged_as_the_settings_say_and_counted() {
    let rows = "2019-10-01 05:00,a,10,1,,5\n2019-10-01 05:00,a,20,3,2,\n2019-10-01 06:00,a,7,1,1,1\n";
    let views = |duplicates| {
        let read = read(rows, &PanelSpec { duplicates, ..PanelSpec::funnel() }, &ReadOptions::default());
        (read.panel.get("a").map(|frame| frame.values().row(0).to_vec()), read.duplicates, read.problems)
    };
    assert_eq!(views(Duplicates::Sum).0.unwrap(), [30.0, 4.0, 2.0, 5.0]);
    assert_eq!(views(Duplicates::First).0.unwrap(), [10.0, 1.0, 2.0, 5.0]);
    assert_eq!(views(Duplicates::Last).0.unwrap(), [20.0, 3.0, 2.0, 5.0]);
    assert_eq!(views(Duplicates::Mean).0.unwrap(), [15.0, 2.0, 2.0, 5.0]);
    assert_eq!((views(Duplicates::Sum).1, views(Duplicates::Error).1), (1, 0));
    let problem = &views(Duplicates::Error).2[0].message;
    let expected =
        "line 3: column `window_start` is 2019-10-01T05:00:00Z, as in line 2; a series has one row per window";
    assert!(problem.starts_with(expected) && problem.contains("set duplicates to sum"), "{problem}");
}

#[test]
fn the_same_row_twice_is_one_row() {
    let rows = "2019-10-01 05:00,a,10,1,,5\n2019-10-01 05:00,a,10,1,,5\n2019-10-01 06:00,a,7,1,1,1\n";
    let read = read(rows, &PanelSpec::funnel(), &ReadOptions::default());
    assert_eq!((read.panel.get("a").unwrap().nrows(), read.duplicates, read.problems.len()), (2, 1, 0));
}

#[test]
fn duplicates_need_not_be_together_when_rows_are_sorted() {
    let rows = "2019-10-01 06:00,a,7,1,1,1\n2019-10-01 05:00,a,10,1,1,5\n2019-10-01 06:00,a,8,1,1,1\n";
    let spec = PanelSpec { duplicates: Duplicates::Last, unsorted: Unsorted::Sort, ..PanelSpec::funnel() };
    let read = read(rows, &spec, &ReadOptions::default());
    assert_eq!(read.panel.get("a").unwrap().column("views").unwrap().to_vec(), [10.0, 8.0]);
    let spec = PanelSpec { unsorted: Unsorted::Refuse, ..spec };
    let refused = self::read(rows, &spec, &ReadOptions::default()).problems;
    assert!(refused[0].message.contains("sort the rows or set unsorted"), "{}", refused[0].message);
}

/// A day of Berlin on which clocks are set back has 25 hours.
#[test]
fn local_hours_across_a_change_of_the_clock() {
    let berlin = ReadOptions { timezone: Some("Europe/Berlin".into()), ..ReadOptions::default() };
    let mut rows = String::new();
    for brand in ["a", "b"] {
        for (views, hour) in [0, 1, 2, 2, 3, 4].into_iter().enumerate() {
            writeln!(rows, "2024-10-27 {hour:02}:00,{brand},{views},1,1,1").unwrap();
        }
    }
    let read = read(&rows, &PanelSpec::funnel(), &berlin);
    assert_eq!((read.problems.len(), read.duplicates), (0, 0), "{:?}", read.problems);
    let start = funnelpulse_core::parse_timestamp("2024-10-26T22:00Z").unwrap();
    for brand in ["a", "b"] {
        let times = read.panel.get(brand).unwrap().time();
        let expected: Vec<Timestamp> = (0..6).map(|h| start.offset(h * Timestamp::HOUR)).collect();
        assert_eq!(times, expected, "{brand}");
    }
    // Read as UTC the second 2:00 is a duplicate.
    assert_eq!(self::read(&rows, &PanelSpec::funnel(), &ReadOptions::default()).problems.len(), 2);
    // Spring: 2:00 does not exist and is 3:00.
    let spring = "2024-03-31 01:00,a,1,1,1,1\n2024-03-31 02:00,a,2,1,1,1\n";
    let read = self::read(spring, &PanelSpec::funnel(), &berlin);
    let last = read.panel.get("a").unwrap().time()[1];
    assert_eq!(last.to_string(), "2024-03-31T01:00:00Z");
}

#[test]
fn columns_of_numbers_are_times() {
    let rows = "1569888000,a,1,1,1,1\n1569891600,a,2,1,1,1\n";
    let read = read(rows, &PanelSpec::funnel(), &ReadOptions::default());
    assert_eq!(read.panel.get("a").unwrap().time()[1].to_string(), "2019-10-01T01:00:00Z");
    let millis = ReadOptions { epoch: Epoch::Milliseconds, ..ReadOptions::default() };
    let read = self::read("0,a,1,1,1,1\n3600000,a,2,1,1,1\n", &PanelSpec::funnel(), &millis);
    assert_eq!(read.panel.get("a").unwrap().time()[1].to_string(), "1970-01-01T01:00:00Z");
}

#[test]
fn rows_far_from_all_others_are_set_aside_and_named() {
    let mut rows = "1970-01-01 00:00,a,5,1,1,1\n0001-01-01 00:00,c,5,1,1,1\n".to_owned();
    for hour in 0..48 {
        for brand in ["a", "b"] {
            writeln!(rows, "2019-10-{:02} {:02}:00,{brand},5,1,1,1", 1 + hour / 24, hour % 24).unwrap();
        }
    }
    rows += "9999-12-31 23:00,b,5,1,1,1\n";
    let read = read(&rows, &PanelSpec::funnel(), &ReadOptions::default());
    let strays: Vec<String> = read.strays.iter().map(ToString::to_string).collect();
    let expected =
        ["series `a`, 1970-01-01T00:00:00Z", "series `b`, 9999-12-31T23:00:00Z", "series `c`, 0001-01-01T00:00:00Z"];
    assert_eq!(strays, expected);
    assert_eq!(read.panel.keys().map(SeriesKey::as_str).collect::<Vec<_>>(), ["a", "b"], "c has no other row");
    assert_eq!((read.panel.total_rows(), read.rows_read), (96, 99));
    assert_eq!(read.panel.get("a").unwrap().time()[0].to_string(), "2019-10-01T00:00:00Z");
}

#[test]
fn what_is_no_stray_stays() {
    // A table of years; a shop that closed for two years; few rows.
    let years: String = (0..60).fold(String::new(), |mut text, year| {
        writeln!(text, "{}-01-01 00:00,a,5,1,1,1", 1960 + year).unwrap();
        text
    });
    let yearly = PanelSpec { step_seconds: 86_400, ..PanelSpec::funnel() };
    assert!(read(&years, &yearly, &ReadOptions::default()).strays.is_empty());
    let mut closed = String::new();
    for (year, days) in [(2017, 28), (2020, 28)] {
        for day in 1..=days {
            writeln!(closed, "{year}-01-{day:02} 00:00,a,5,1,1,1").unwrap();
        }
    }
    assert!(read(&closed, &yearly, &ReadOptions::default()).strays.is_empty());
    let few = "1970-01-01 00:00,a,5,1,1,1\n2019-10-01 00:00,a,5,1,1,1\n";
    assert!(read(few, &yearly, &ReadOptions::default()).strays.is_empty());
}

#[test]
fn semicolons_decimal_commas_and_json_lines_are_read_as_commas_are() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "time,views,name\n2020-03-09 10:14:33,0.5,x\n2020-03-09 10:14:34,1200,\n");
    write(folder.path(), "b.csv", "time;views;name\n2020-03-09 10:14:33;0,5;x\n2020-03-09 10:14:34;1200;\n");
    let lines = "{\"time\": \"2020-03-09 10:14:33\", \"views\": 0.5, \"name\": \"x\"}\n\n\
                 {\"views\": 1200, \"time\": 1583748874}\n";
    write(folder.path(), "c.jsonl", lines);
    let read = |name: &str| Table::read(&folder.path().join(name)).unwrap();
    let expected = read("a.csv");
    for name in ["b.csv", "c.jsonl"] {
        let table = read(name);
        assert_eq!(table.num_rows(), 2, "{name}");
        assert_eq!(table.f64_column("views").unwrap(), [0.5, 1200.0], "{name}");
        assert_eq!(table.time_column("time").unwrap(), expected.time_column("time").unwrap(), "{name}");
        assert_eq!(table.string_column("name").unwrap(), [Some("x".to_owned()), None], "{name}");
    }
    write(folder.path(), "d.jsonl", "{\"a\": 1}\n[2]\n");
    let error = Table::read(&folder.path().join("d.jsonl")).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("not a JSON object"), "{error}");
}
