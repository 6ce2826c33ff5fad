//! The detector takes part in the whole command: section, training, model file, table, `explain`, `score`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::Path,
};

use funnelpulse::Catalog;
use funnelpulse_cli::{SUCCESS, Streams, USAGE, run, run_with};

/// What a command prints that should succeed.
fn output(folder: &Path, line: &str) -> String {
    let printed = folder.join("printed.txt");
    let streams = Streams::new(File::create(&printed).unwrap(), File::create(folder.join("notes.txt")).unwrap());
    let words = line.replace('@', &format!("{}/", folder.display()));
    let args = std::iter::once("funnelpulse").chain(words.split_whitespace());
    let status = run_with(args, streams, Catalog::default().with(own_detector::entry()));
    assert_eq!(status, SUCCESS, "{line}: {}", fs::read_to_string(folder.join("notes.txt")).unwrap());
    fs::read_to_string(printed).unwrap()
}

/// Ordinary hours of one brand, without a purchase in one of them.
fn table(hours: usize, outage: Option<usize>) -> String {
    let mut text = "window_start,brand,views,carts,purchases,revenue\n".to_owned();
    for hour in 0..hours {
        let views = 200 + 40 * (hour % 24) + (hour * 7919) % 23;
        let purchases = if outage == Some(hour) { 0 } else { views / 12 + hour % 3 };
        let (day, of_day, revenue) = (1 + hour / 24, hour % 24, 20 * purchases);
        let carts = views / 4;
        writeln!(text, "2019-10-{day:02} {of_day:02}:00:00,a,{views},{carts},{purchases},{revenue}").unwrap();
    }
    text
}

#[test]
fn one_entry_makes_it_part_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("history.csv"), table(600, None)).unwrap();
    fs::write(folder.join("today.csv"), table(600, Some(500))).unwrap();
    let detectors = "--set pipeline.detectors=[\"zscore\",\"range\"]";
    output(folder, &format!("train --input @history.csv --model @model {detectors} --set range.outside=0.2"));
    let inspected = output(folder, "model inspect @model --json");
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["config"]["range"]["outside"], 0.2);

    let explain = "explain --model @model --input @today.csv --series a --time 2019-10-21T20:00:00Z";
    let text = output(folder, explain);
    assert!(text.lines().any(|line| line.trim_start().starts_with("range ")), "{text}");
    let json: serde_json::Value = serde_json::from_str(&output(folder, &format!("{explain} --json"))).unwrap();
    let range = json["models"].as_array().unwrap().iter().find(|m| m["detector"] == "range").unwrap();
    assert!(range["score"].as_f64().is_some(), "{json}");

    output(folder, "detect --model @model --input @today.csv --output @found --all-rows");
    let table = funnelpulse::io::Table::read(&folder.join("found/anomalies")).unwrap();
    assert!(table.has("range_anomaly_score"));
    output(folder, "score --detector range --input @today.csv --columns purchases --param outside=0.1 --output @s.csv");
    assert_eq!(fs::read_to_string(folder.join("s.csv")).unwrap().lines().count(), 601);

    // Without the entry the command does not know it.
    let streams = Streams::new(File::create(folder.join("x")).unwrap(), File::create(folder.join("y")).unwrap());
    let args = ["funnelpulse", "score", "--detector", "range", "--input", "x.csv", "--output", "y.csv"];
    assert_eq!(run(args, streams), USAGE);
    assert!(fs::read_to_string(folder.join("y")).unwrap().contains("range"));
}
