//! Runs, trained models, and that all ways lead to the same result.

use std::collections::BTreeMap;

use funnelpulse::io::Table;
use funnelpulse_testing::shared_file;
use predicates::{prelude::PredicateBooleanExt, str::contains};

use crate::folder::{Folder, HEADER, ordinary, stderr, stdout};

#[test]
fn train_then_detect_equals_run() {
    let folder = Folder::new().with_shop();
    // One series too short for a model of its own.
    let all = folder.text("hours.csv");
    let (short, long): (Vec<&str>, Vec<&str>) = all.lines().skip(1).partition(|line| line.contains("brand_002"));
    let table = |lines: &[&str]| format!("{}\n{}\n", all.lines().next().unwrap(), lines.join("\n"));
    let short = &short[..100];
    folder.write("in.csv", table(&[&long, short].concat()));
    folder.write("other_order.csv", table(&[short, &long].concat()));

    folder.output("run --input in.csv --output expected --all-rows");
    let expected = folder.contents("expected/anomalies");
    let files = expected.keys().filter(|name| name.extension().is_some_and(|end| end == "parquet"));
    assert_eq!(files.count(), 20, "one a day");
    for threads in [1, 2] {
        folder.output(&format!("train --input in.csv --model model --threads {threads}"));
        folder.output(&format!("detect --model model --input in.csv --output detected --all-rows --threads {threads}"));
        assert!(folder.contents("detected/anomalies") == expected, "{threads} threads");
        folder.output(&format!("run --input in.csv --output again --all-rows --threads {threads}"));
        assert!(folder.contents("again/anomalies") == expected, "{threads} threads");
    }
    folder.output("run --input other_order.csv --output reordered --all-rows --model together");
    assert!(folder.contents("reordered/anomalies") == expected);
    assert!(folder.contents("together") == folder.contents("model"));
    folder.output("train --input other_order.csv --model shop.model");
    folder.output("detect --model shop.model --input other_order.csv --output single --all-rows");
    assert!(folder.contents("single/anomalies") == expected);

    let table = folder.table("expected/anomalies");
    let (brands, models) = (table.string_column("brand").unwrap(), table.string_column("models").unwrap());
    for (brand, model) in brands.iter().flatten().zip(models.iter().flatten()) {
        let source = if brand == "brand_002" { "iforest:pooled" } else { "iforest:own" };
        assert!(model.starts_with(source), "{brand}: {model}");
    }
}

#[test]
fn csv_and_parquet_give_the_same_anomalies() {
    let folder = Folder::new().with_shop();
    // The shop is short: its few anomalies stand out, though not as far as the default asks for.
    let printed = folder.output("run --input hours.csv --output csv --set ensemble.threshold=0.4");
    folder.output("run --input shop/hourly.parquet --output parquet --set ensemble.threshold=0.4");
    let anomalies = folder.contents("csv/anomalies");
    assert!(folder.contents("parquet/anomalies") == anomalies);
    let table = folder.table("csv/anomalies");
    assert!(table.num_rows() > 0, "the generated anomalies stand out");
    assert!(printed.starts_with(&format!("{} anomalies in ", table.num_rows())), "{printed}");
    for column in [
        "window_date",
        "window_start",
        "brand",
        "views",
        "carts",
        "purchases",
        "revenue",
        "conversion_rate",
        "lstm_anomaly_score",
        "prophet_anomaly_score",
        "isolation_forest_anomaly_score",
        "changepoint_anomaly_score",
        "ensemble_anomaly_score",
        "anomaly_confidence",
        "n_models_flagged",
        "is_anomaly",
        "anomaly_severity",
        "anomaly_type",
        "expected_value",
        "prophet_expected_value",
        "deviation_percentage",
        "estimated_revenue_impact",
        "estimated_conversion_loss",
        "contributing_factors",
    ] {
        assert!(table.has(column), "{column}");
    }
}

#[test]
fn results_go_where_they_are_asked_for() {
    let folder = Folder::new().with_shop();
    let rows = folder.table("hours.csv").num_rows();
    let run = folder.run("run --input hours.csv --output out --all-rows --json --report pages/report.html").success();
    let printed: serde_json::Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(stderr(&run), "");
    assert_eq!(printed, folder.json("out/summary.json"));
    assert_eq!(printed["rows_scored"], rows);
    assert_eq!(folder.table("out/anomalies").num_rows(), rows);
    assert!(folder.text("pages/report.html").contains("</html>"));
    assert!(!folder.path("out/hourly.parquet").exists(), "it would be the input");

    folder.output("run --input hours.csv --output out");
    let anomalies = folder.table("out/anomalies").num_rows();
    assert_eq!(printed["summary"]["total"]["anomalies"], anomalies);
    assert!(folder.output("run --input hours.csv --output out --top 0").lines().count() < 6);
}

/// Counts and revenue of every row by brand and time.
fn cells(table: &Table) -> BTreeMap<(String, String), [f64; 4]> {
    let times = table.time_column("window_start").unwrap();
    let brands = table.string_column("brand").unwrap();
    let [views, carts, purchases, revenue] =
        ["views", "carts", "purchases", "revenue"].map(|c| table.f64_column(c).unwrap());
    let row = |i: usize| [views[i], carts[i], purchases[i], revenue[i]];
    (0..table.num_rows()).map(|i| ((brands[i].clone().unwrap(), times[i].to_string()), row(i))).collect()
}

#[test]
fn events_make_the_hours_that_they_were_made_from() {
    let folder = Folder::new();
    folder.output("generate --out shop --brands 2 --days 3 --events --difficulty easy");
    let run = folder.run("run --input shop/events --output out").success();
    let summary = folder.json("out/summary.json");
    let events = &summary["events"];
    let count = |name: &str| events[name].as_u64().unwrap();
    assert_eq!(count("read"), folder.table("shop/events").num_rows() as u64);
    assert_eq!(count("read"), count("views") + count("carts") + count("purchases") + count("duplicates"));
    assert!(stderr(&run).starts_with(&format!("{} events read: ", count("read"))));

    let (made, given) = (cells(&folder.table("out/hourly.parquet")), cells(&folder.table("shop/hourly.parquet")));
    assert_eq!(count("duplicates"), 0);
    for (key, given) in &given {
        let made = made.get(key).unwrap_or_else(|| panic!("{key:?} is missing"));
        assert_eq!(made[..3], given[..3], "{key:?}");
        assert!((made[3] - given[3]).abs() <= 1e-9 * given[3].max(1.0), "{key:?}: {made:?}, {given:?}");
    }
    for (key, made) in made.iter().filter(|(key, _)| !given.contains_key(*key)) {
        assert_eq!(*made, [0.0; 4], "{key:?}: nothing happened in an hour without a row");
    }

    folder.output("train --input shop/events --model model");
    folder.output("detect --model model --input shop/events --output detected");
    assert!(folder.contents("detected/anomalies") == folder.contents("out/anomalies"));
    assert!(folder.contents("detected")["hourly.parquet".as_ref() as &std::path::Path].is_some());
}

#[test]
fn generated_shops_depend_on_the_seed_alone() {
    let folder = Folder::new();
    for (out, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        folder.output(&format!("generate --out {out} --brands 2 --days 2 --seed {seed} --events"));
    }
    assert!(folder.contents("a") == folder.contents("b"));
    assert!(folder.contents("a") != folder.contents("c"));
    let labels = folder.table("a/labels.parquet");
    assert_eq!(labels.columns(), ["window_start", "brand", "label", "kind"]);
    assert_eq!(labels.num_rows(), folder.table("a/hourly.parquet").num_rows());
}

#[test]
fn both_names_of_carts_and_rows_without_a_brand_are_read() {
    let folder = Folder::new();
    folder.write("carts.csv", format!("{HEADER}{}", ordinary("", 30)));
    folder.write("additions.csv", format!("{}{}", HEADER.replace("carts", "cart_additions"), ordinary("", 30)));
    folder.output("run --input carts.csv --output carts --all-rows");
    folder.output("run --input additions.csv --output additions --all-rows");
    assert!(folder.contents("carts/anomalies") == folder.contents("additions/anomalies"));
    let brands = folder.table("carts/anomalies").string_column("brand").unwrap();
    assert_eq!(brands, vec![Some("(none)".to_owned()); 30]);
}

#[test]
fn series_that_the_model_does_not_know_are_left_out() {
    let folder = Folder::new();
    folder.write("history.csv", format!("{HEADER}{}", ordinary("a", 30)));
    folder.write("today.csv", format!("{HEADER}{}{}", ordinary("a", 30), ordinary("b", 30)));
    folder.output("train --input history.csv --model model");
    let detect = "detect --model model --input today.csv --output out";
    folder.run(detect).success().stderr(contains("b: not in the model"));
    folder.run(&format!("{detect} --strict")).code(3);
    folder.write("other.csv", format!("{HEADER}{}", ordinary("b", 30)));
    folder.run("detect --model model --input other.csv --output out").code(3);
}

#[test]
fn a_real_feed_is_accounted_for_to_the_last_event() {
    let Some(input) = shared_file("data/ecommerce/rees46_multicategory_sample.parquet") else { return };
    let folder = Folder::new();
    let mut command = folder.command("run --output out --input");
    let run = command.arg(&input).assert().code(3);
    run.stderr(contains("17434 events read").and(contains("too short to score")));
    let events = &folder.json("out/summary.json")["events"];
    let count = |name: &str| events[name].as_u64().unwrap();
    let others = |name: &str| -> u64 {
        let kinds = events[name].as_object().unwrap().values();
        kinds.map(|v| v.as_u64().or_else(|| v["count"].as_u64()).unwrap()).sum()
    };
    let counted = count("views") + count("carts") + count("purchases");
    assert_eq!(count("read"), counted + count("duplicates") + others("ignored") + others("rejected"));
    let hourly = folder.table("out/hourly.parquet");
    let sum = |column: &str| hourly.f64_column(column).unwrap().iter().sum::<f64>();
    assert_eq!(sum("views") + sum("carts") + sum("purchases"), counted as f64);
    assert_eq!(folder.table("out/anomalies").num_rows(), 0);
}
