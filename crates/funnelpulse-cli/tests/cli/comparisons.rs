//! `compare`: periods, series, models.

use predicates::str::contains;
use serde_json::Value;

use crate::folder::{Folder, HEADER, hour, ordinary};

/// Two weeks of two brands; `b` sells nothing on the last two days and has no rows in three hours.
fn two_weeks() -> Folder {
    let folder = Folder::new();
    let closed = |(h, line): (usize, &str)| {
        let parts: Vec<&str> = line.split(',').collect();
        let line = if h >= 288 { format!("{},0,0", parts[..4].join(",")) } else { line.to_owned() };
        (!(200..203).contains(&h)).then_some(line + "\n")
    };
    let b: String = ordinary("b", 336).lines().enumerate().filter_map(closed).collect();
    folder.write("in.csv", format!("{HEADER}{}{b}", ordinary("a", 336)));
    folder
}

fn json(folder: &Folder, line: &str) -> Value {
    serde_json::from_str(&folder.output(&format!("{line} --json"))).unwrap()
}

fn sum(parts: &Value, field: &str) -> f64 {
    parts.as_array().unwrap().iter().map(|part| part[field].as_f64().unwrap()).sum()
}

#[test]
fn periods_are_compared() {
    let folder = two_weeks();
    let compare = "compare --input in.csv --period 2019-10-08..2019-10-15";
    let text = folder.output(compare);
    for expected in [
        "2019-10-08..2019-10-15 against 2019-10-01..2019-10-08",
        "conversion_rate",
        "The change of revenue by -",
        "purchase rate",
        "It comes from\n  b  ",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    // The same weekdays of the week before are what a period alone is compared with.
    let against = format!("{compare} --against 2019-10-01..2019-10-08");
    assert_eq!(folder.output(&against), text);

    let found = json(&folder, &against);
    let revenue = &found["totals"][3];
    assert_eq!((&revenue["metric"], &found["measure"]), (&"revenue".into(), &"revenue".into()));
    let change = revenue["difference"].as_f64().unwrap();
    assert!(change < 0.0);
    assert!((sum(&found["stages"]["stages"], "contribution") - change).abs() < 1e-6, "{found}");
    assert!((sum(&found["contributions"], "difference") - change).abs() < 1e-6, "{found}");
    assert_eq!(found["contributions"][0]["stage"], "purchase_rate");

    folder.output(&format!("{against} --output out.json"));
    assert_eq!(folder.json("out.json"), found);
    let one = folder.output("compare --input in.csv --series b --period 2019-10-09..2019-10-10");
    assert!(one.contains("b in 2019-10-09..2019-10-10 against b in 2019-10-02..2019-10-03"), "{one}");
    assert!(
        one.contains("21 hours with data of 1 series; 3 hours without: 2019-10-09 08:00..2019-10-09 11:00"),
        "{one}"
    );
    assert!(one.contains("per hour"), "{one}");
    assert!(folder.output(&format!("{compare} --top 1")).contains("1 other "));
}

#[test]
fn series_are_compared() {
    let folder = two_weeks();
    let text = folder.output("compare --input in.csv --series b --against-series a");
    assert!(text.starts_with("b against a\n") && !text.contains("It comes from"), "{text}");
    let day = json(&folder, "compare --input in.csv --series b --against-series a --period 2019-10-02..2019-10-03");
    assert_eq!(day["totals"][0]["difference"], 0.0);
    assert_eq!((&day["before"]["rows"], &day["contributions"]), (&24.into(), &Value::Array(Vec::new())));
}

#[test]
fn models_are_compared() {
    let folder = Folder::new().with_shop();
    folder.write("loose.toml", "alerts.budget = '1 per series per day'");
    folder.output("train --input hours.csv --model new.fpm --config loose.toml");
    folder.output("train --input hours.csv --model old --set pipeline.detectors=[\"zscore\"]");
    let compare = "compare --input hours.csv --model new.fpm --against-model old";
    let text = folder.output(&format!("{compare} --labels shop/labels.parquet"));
    for expected in ["new.fpm against old, on ", "found by both", "rank correlation", "AUC-PR", "recall"] {
        assert!(text.contains(expected), "{text}");
    }
    let found = json(&folder, compare);
    assert_eq!(found["rows"], folder.table("hours.csv").num_rows());
    assert!(found["after"]["quality"].is_null());
    // A model against itself: everything agrees.
    let same = json(&folder, "compare --input hours.csv --model new.fpm --against-model new.fpm");
    assert_eq!((&same["rank_correlation"], &same["both"]), (&1.0.into(), &same["after"]["anomalies"]));
    assert_eq!((&same["after"], &same["differences"]), (&same["before"], &Value::Array(Vec::new())));
    let day = json(&folder, &format!("{compare} --series brand_001 --period 2019-10-10..2019-10-11"));
    assert_eq!((&day["rows"], &day["series"]), (&24.into(), &1.into()));

    folder.write("labels.csv", format!("window_start,brand,label\n{},brand_001,2\n", hour(0)));
    folder
        .refuses(&format!("{compare} --labels labels.csv"), "labels.csv: row 1, column `label`: 2 is neither 0 nor 1");
    folder.write("labels.csv", format!("window_start,brand,label\n{},stranger,1\n", hour(0)));
    folder.refuses(&format!("{compare} --labels labels.csv"), "rows has a label");
    folder.output("train --input hours.csv --model other --set input.absent=empty");
    folder.refuses("compare --input hours.csv --model new.fpm --against-model other", "read tables differently");
    folder.refuses(&format!("{compare} --series brand_01"), "no series `brand_01`, did you mean `brand_00");
}

#[test]
fn what_can_not_be_compared_is_refused() {
    let folder = two_weeks();
    let refuses =
        |arguments: &str, message: &str| folder.refuses(&format!("compare --input in.csv {arguments}"), message);
    refuses("--series c --against-series a", "in.csv: there is no series `c`");
    refuses("--series a --against-series a", "a would be compared with itself");
    refuses(
        "--period 2020-01-01..2020-01-02",
        "no row lies in 2020-01-01..2020-01-02 (the rows run from 2019-10-01 to 2019-10-14 23:00)",
    );
    refuses("--period 2019-10-01..2019-10-02", "no row lies in 2019-09-24..2019-09-25");
    folder.refuses("compare --input nowhere.csv --period 2019-10-08..2019-10-09", "nowhere.csv: No such file");
    for (arguments, message) in [
        ("--period 2019-10-08", "`2019-10-08` is not a period: expected START..END"),
        ("--period 2019-10-08..2019-10-01", "ends before it starts"),
        ("--period 2019-10-08..2019-10-08", "is empty"),
        ("--period 2019-10-08..noon", "`noon` is not a time"),
        ("", "--against-series"),
        ("--series a", "--against-series"),
        ("--against 2019-10-01..2019-10-02", "--period"),
        ("--model new.fpm", "--against-model"),
        ("--model a --against-model b --set iforest.n_trees=3", "cannot be used with"),
    ] {
        folder.run(&format!("compare --input in.csv {arguments}")).code(2).stderr(contains(message));
    }
}
