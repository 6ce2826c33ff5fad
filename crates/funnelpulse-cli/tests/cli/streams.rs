//! `stream`: final rows are the rows of `detect`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use arrow::{array::AsArray, datatypes::Float64Type};
use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;

use crate::{alerts::slow_receiver, folder::Folder};

/// A model of sixteen days in `model`, and the events of the five days after them in `new`.
fn shop() -> Folder {
    let folder = Folder::new();
    folder.output("generate --out shop --brands 3 --days 21 --difficulty easy --events");
    fs::create_dir(folder.path("new")).unwrap();
    let events = fs::read_dir(folder.path("shop/events")).unwrap();
    let mut days: Vec<_> = events.map(|entry| entry.unwrap().path()).collect();
    days.sort();
    for day in &days[days.len() - 5..] {
        fs::rename(day, folder.path("new").join(day.file_name().unwrap())).unwrap();
    }
    folder.output("train --input shop/events --model model --set pipeline.detectors=['zscore','incidents']");
    folder
}

/// The score of every final row in a folder of JSON lines, by series and hour.
fn finals(folder: &Folder, name: &str) -> BTreeMap<(String, String), f64> {
    let entries = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let mut rows = BTreeMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            if row["final"] != true {
                continue;
            }
            let hour = row["window_start"].as_str().unwrap()[..13].to_owned();
            let place = (row["brand"].as_str().unwrap().to_owned(), hour);
            let before = rows.insert(place, row["ensemble_anomaly_score"].as_f64().unwrap());
            assert_eq!(before, None, "final twice: {row}");
        }
    }
    rows
}

#[test]
fn final_rows_are_those_of_detect_and_a_second_start_repeats_nothing() {
    let folder = shop();
    let line = "stream --model model --input new --output out --format jsonl --lateness 0 --json";
    let counts: Value = serde_json::from_str(&folder.output(line)).unwrap();
    assert_eq!(counts["windows"], 120, "{counts}");
    let parts = ["counted", "duplicates", "ignored", "late", "rejected", "unreadable"];
    let sum: u64 = parts.iter().map(|name| counts[name].as_u64().unwrap()).sum();
    assert_eq!(counts["read"], sum, "every event is accounted for: {counts}");

    let streamed = finals(&folder, "out");
    assert_eq!(streamed.len(), 3 * 48, "five days less the three that can still change");
    folder.output("detect --model model --input new --output batch --all-rows");
    let batch = folder.table("batch/anomalies");
    let mut compared = 0;
    for rows in batch.batches() {
        let brand = rows.column_by_name("brand").unwrap().as_string::<i32>();
        let score = rows.column_by_name("ensemble_anomaly_score").unwrap().as_primitive::<Float64Type>();
        let time = batch.time_column("window_start").unwrap();
        for row in 0..rows.num_rows() {
            let place = (brand.value(row).to_owned(), time[compared + row].to_string()[..13].to_owned());
            if let Some(final_score) = streamed.get(&place) {
                assert_eq!(*final_score, score.value(row), "{place:?}");
            }
        }
        compared += rows.num_rows();
    }
    assert_eq!(compared, 3 * 120);

    let again: Value = serde_json::from_str(&folder.output(line)).unwrap();
    assert_eq!(again["rows"], 0, "all was read before: {again}");
    assert_eq!(finals(&folder, "out"), streamed);
}

#[test]
fn standard_input_goes_to_standard_output_and_bad_settings_are_refused() {
    let folder = shop();
    folder.refuses("stream --model model --input - --output - --lateness 0", "--checkpoints is needed");
    folder.refuses("stream --model missing --input new --output out --lateness 0", "missing");
    folder.refuses("stream --model model --input nowhere --output out --lateness 0", "nowhere");
    let event = |second: u32| {
        let time = format!("2019-10-17 00:{:02}:{:02} UTC", second / 60, second % 60);
        format!("{{\"event_time\":\"{time}\",\"event_type\":\"view\",\"brand\":\"brand_001\",\"user_id\":{second}}}\n")
    };
    let mut input: String = (0..30).map(event).collect();
    input.push_str(&event(30).replace('}', ",\"price\":-1}"));
    input.push_str("no json\n");
    let run = folder.command("stream --model model --input - --output - --checkpoints kept --lateness 0 --json");
    let done = { run }.write_stdin(input).assert().success();
    done.stdout(contains("\"brand\":\"brand_001\"").and(contains("\"views\":30.0")))
        .stderr(contains("\"counted\":30").and(contains("\"unreadable\":1")).and(contains(
        "warning: rejected: price is negative, not finite or not a number (1 event); the dead letters beside the rows",
    )));
    let none = folder.command("stream --model model --input - --output useless --lateness 0");
    let done = { none }.write_stdin("no json\nnone either\n").assert().code(3);
    done.stderr(contains("warning: none of 2 records counts: 2 unreadable, 0 rejected, 0 late"));
}

#[test]
fn an_alert_reaches_a_slow_receiver_before_the_command_ends() {
    let folder = shop();
    let (port, bodies) = slow_receiver();
    let settings = format!("state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\n");
    folder.write("alerts.toml", settings);
    let line = "stream --model model --input - --output out --lateness 0 --silence 1 --alerts alerts.toml --json";
    let mut command = Command::new(env!("CARGO_BIN_EXE_funnelpulse"));
    command.current_dir(folder.path("")).args(line.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for second in 1..=5 {
        let time = format!("2019-10-17 00:00:0{second} UTC");
        writeln!(input, r#"{{"event_time": "{time}", "event_type": "view", "brand": "brand_001", "user_id": 7}}"#)
            .unwrap();
    }
    // Longer than the feed may be silent.
    thread::sleep(Duration::from_millis(2500));
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts["deliveries_waiting"], 0, "{counts}");
    let bodies = bodies.lock().unwrap();
    assert!(bodies.iter().any(|body| body.contains("no event since 2019-10-17T00:00:0")), "{bodies:?}");
}

/// Files of this process and of those it becomes may have so many KiB: as if the disk were full.
#[cfg(target_os = "linux")]
const FULL: &str = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_a_second_start_loses_nothing() {
    let folder = shop();
    let line =
        |out: &str| format!("stream --model model --input new --output {out} --format jsonl --lateness 0 --json");
    let mut full = Command::new("bash");
    full.current_dir(folder.path("")).args(["-c", FULL, env!("CARGO_BIN_EXE_funnelpulse")]);
    let output = full.args(line("out").split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("File too large") && error.contains("out"), "{error}");
    assert!(finals(&folder, "out").is_empty(), "nothing of an epoch that was not committed is seen");

    let counts: Value = serde_json::from_str(&folder.output(&line("out"))).unwrap();
    folder.output(&line("undisturbed"));
    assert_eq!(counts["windows"], 120, "{counts}");
    let streamed = finals(&folder, "out");
    assert!(!streamed.is_empty() && streamed == finals(&folder, "undisturbed"));
}

#[test]
fn a_model_of_other_columns_is_refused_at_the_start() {
    let folder = Folder::new();
    let row = |hour: u32| {
        let (day, clock) = (1 + hour / 24, hour % 24);
        format!("2024-01-{day:02} {clock:02}:00:00,a,{},{}\n", 100 + clock, 20 + hour % 7)
    };
    let rows: String = (0..24 * 14).map(row).collect();
    folder.write("servers.csv", format!("time,server,requests,latency\n{rows}"));
    let settings = "pipeline.detectors = ['zscore']\n[input]\ntime = 'time'\nkeys = ['server']\n\
                    metrics = [{ name = 'requests', kind = 'count' }, { name = 'latency', kind = 'amount' }]\n";
    folder.write("servers.toml", settings);
    folder.output("train --input servers.csv --model servers --config servers.toml");
    fs::create_dir(folder.path("new")).unwrap();
    folder.refuses(
        "stream --model servers --input new --output out --lateness 0",
        "the rows of the stream have `views, carts, purchases, revenue`, the model needs",
    );
}
