//! Files and pipes as sources: order of files, growth, damage.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{fs, io::Write, path::Path, time::Duration};

use arrow::{array::AsArray, datatypes::Float64Type};
use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::{ReadOptions, Table, read_events, write_file};
use funnelpulse_streaming::{
    Channel, CheckpointStore, Engine, EngineConfig, FileFormat, FileSink, FolderSource, GoldRows, Input, MemorySink,
    Metrics, PipeSource, Polled, Reading, Runner, RunnerConfig, Sink, Source, TextFormat,
};

const HEADER: &str = "event_time,event_type,product_id,brand,price,user_id,user_session\n";
const NOW: Timestamp = Timestamp::from_seconds(1_900_000_000);

/// A line of CSV for an event so many minutes after 2019-10-01.
fn line(minute: u32, brand: &str) -> String {
    let time = Timestamp::from_seconds(1_569_888_000 + i64::from(minute) * 60).to_string();
    format!("{time},view,{minute},{brand},1.5,u{minute},s\n")
}

fn json(minute: u32, brand: &str) -> String {
    let time = Timestamp::from_seconds(1_569_888_000 + i64::from(minute) * 60).to_string();
    format!(
        r#"{{"event_time":"{time}","event_type":"view","product_id":{minute},"brand":"{brand}","price":1.5,"user_id":"u{minute}","user_session":"s"}}"#
    ) + "\n"
}

fn folder_source(folder: &Path, reading: Reading) -> FolderSource {
    FolderSource::new(folder, &EventSpec::default(), &ReadOptions::default(), reading).unwrap()
}

fn run<S: Source, K: Sink>(source: S, sink: K, checkpoints: &str, flush: bool) -> Metrics {
    let engine = Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap();
    let store = CheckpointStore::open(checkpoints).unwrap();
    let config = RunnerConfig { flush, ..RunnerConfig::default() };
    let rows = GoldRows::new(vec!["brand".into()]);
    Runner::new(source, engine, rows, sink, store, config).unwrap().run(&false.into(), || NOW).unwrap()
}

/// Views over all rows.
fn views(sink: &MemorySink) -> f64 {
    let rows = sink.rows(Channel::Rows);
    rows.iter().flat_map(|b| b.column(2).as_primitive::<Float64Type>().values().to_vec()).sum()
}

#[test]
fn backfill_in_any_order_of_files_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    fs::create_dir_all(events.join("older")).unwrap();
    let mut all = HEADER.to_owned();
    let minutes = |from: u32, to: u32| (from..to).map(|m| (m, ["a", "b", "c"][(m % 3) as usize]));
    // The names say the reverse of the times, two files overlap, and the formats differ.
    let csv = |name: &str, from: u32, to: u32| {
        let lines: String = minutes(from, to).map(|(m, b)| line(m, b)).collect();
        fs::write(events.join(name), format!("{HEADER}{lines}")).unwrap();
    };
    csv("a.csv", 3_000, 4_000);
    csv("b.csv", 2_000, 3_000);
    let lines: String = minutes(500, 2_000).map(|(m, b)| json(m, b)).collect();
    fs::write(events.join("c.jsonl"), lines.trim_end()).unwrap();
    csv("d.csv", 1_000, 1_500);
    let whole = folder.path().join("part.csv");
    fs::write(&whole, format!("{HEADER}{}", minutes(0, 500).map(|(m, b)| line(m, b)).collect::<String>())).unwrap();
    write_file(&events.join("older/z.parquet"), &Table::read(&whole).unwrap().batches()[0]).unwrap();
    for (m, b) in minutes(0, 4_000).chain(minutes(1_000, 1_500)) {
        all += &line(m, b);
    }
    fs::write(&whole, all).unwrap();
    let gold = read_events(&Table::read(&whole).unwrap(), &EventSpec::default(), 3_600).unwrap();
    let sink = MemorySink::default();
    let metrics = run(folder_source(&events, Reading::Once), sink.clone(), "memory://", true);
    assert_eq!((metrics.account.late, metrics.account.dead_lettered), (0, 0));
    assert_eq!((metrics.account.counted, metrics.account.duplicate), (4_000, 500));
    assert_eq!(metrics.rows, gold.panel.total_rows() as u64);
    assert_eq!(views(&sink), 4_000.0);
}

#[test]
fn a_folder_that_grows_is_followed_and_a_second_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    let checkpoints = folder.path().join("checkpoints");
    let checkpoints = checkpoints.to_str().unwrap();
    fs::create_dir_all(&events).unwrap();
    let out = folder.path().join("out");
    let sink = || FileSink::new(&out, FileFormat::Parquet, "task-0").unwrap();
    fs::write(events.join("1.csv"), format!("{HEADER}{}{}", line(0, "a"), line(61, "a"))).unwrap();
    let metrics = run(folder_source(&events, Reading::Once), sink(), checkpoints, false);
    assert_eq!((metrics.account.read, metrics.windows), (2, 1));
    // The file grows and another comes.
    let mut file = fs::OpenOptions::new().append(true).open(events.join("1.csv")).unwrap();
    file.write_all(line(70, "b").as_bytes()).unwrap();
    fs::write(events.join("2.jsonl"), json(130, "a")).unwrap();
    let metrics = run(folder_source(&events, Reading::Once), sink(), checkpoints, true);
    assert_eq!((metrics.account.read, metrics.account.counted, metrics.epoch), (4, 4, 2));
    let table = Table::read(&out).unwrap();
    let rows: Vec<f64> = table.f64_column("views").unwrap();
    assert_eq!(rows, [1.0, 1.0, 1.0, 1.0, 0.0]);
    // Nothing new, nothing done.
    let metrics = run(folder_source(&events, Reading::Once), sink(), checkpoints, true);
    assert_eq!((metrics.account.read, metrics.checkpoints), (4, 0));
}

#[test]
fn a_line_counts_once_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.jsonl");
    let text = json(0, "a");
    fs::write(&path, &text[..20]).unwrap();
    let mut source = folder_source(folder.path(), Reading::Watch(Duration::ZERO));
    let mut events = 0;
    let mut poll = |source: &mut FolderSource| {
        let mut take = |input: Input<'_>| match input {
            Input::Event { .. } => events += 1,
            Input::Broken { reason, .. } => panic!("{reason}"),
            _ => {}
        };
        for _ in 0..5 {
            source.poll(Duration::ZERO, &mut take).unwrap();
        }
        events
    };
    assert_eq!(poll(&mut source), 0);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&text.as_bytes()[20..]).unwrap();
    assert_eq!(poll(&mut source), 1);
    file.write_all(json(1, "a").as_bytes()).unwrap();
    assert_eq!(poll(&mut source), 2);
}

#[test]
fn damaged_files_and_records_are_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), format!("{HEADER}{}1,2\nyesterday,view,1,a,1,u,s\n", line(0, "a"))).unwrap();
    fs::write(folder.path().join("b.csv"), "no,such,columns\n1,2,3\n").unwrap();
    fs::write(folder.path().join("c.parquet"), b"PAR1 but not really PAR1").unwrap();
    fs::write(folder.path().join("d.jsonl"), b"{\"event_time\": 5\n\xff\xfe\nnull\n").unwrap();
    fs::write(folder.path().join("e.csv"), format!("{HEADER}\"{}", "x".repeat(5 << 20))).unwrap();
    fs::write(folder.path().join("f.jsonl"), format!("{{{}\n{}", " ".repeat(9 << 20), json(5, "b"))).unwrap();
    let sink = MemorySink::default();
    let metrics = run(folder_source(folder.path(), Reading::Once), sink.clone(), "memory://", true);
    let account = &metrics.account;
    assert!(account.balances());
    let letters = sink.rows(Channel::DeadLetters);
    let reasons: Vec<String> =
        letters.iter().flat_map(|b| b.column(1).as_string::<i32>().iter().flatten().map(str::to_owned)).collect();
    let all = reasons.join("\n");
    assert_eq!(account.counted, 2, "{all}");
    for part in [
        "2 fields, the header has 7",
        "the time can't be read",
        "no column event_time",
        "c.parquet",
        "not a JSON object",
        "not UTF-8",
        "longer than 4194304 bytes",
    ] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let text: String = HEADER.to_owned() + &(0..10_000).map(|m| line(m, "a")).collect::<String>();
    let (spec, options) = (EventSpec::default(), ReadOptions::default());
    let source = PipeSource::new(std::io::Cursor::new(text), TextFormat::Csv, &spec, &options).unwrap();
    let sink = MemorySink::default();
    let metrics = run(source, sink.clone(), "memory://", true);
    assert_eq!((metrics.account.counted, metrics.windows), (10_000, 167));
    let mut source = PipeSource::new(&b"a,b\n1,2\n"[..], TextFormat::Csv, &spec, &options).unwrap();
    let error = source.poll(Duration::from_secs(5), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("no column event_time"), "{error}");
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let error =
        FolderSource::new(Path::new("/nowhere/events"), &EventSpec::default(), &ReadOptions::default(), Reading::Once);
    assert!(error.unwrap_err().to_string().starts_with("/nowhere/events: "));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.xml");
    fs::write(&path, "x").unwrap();
    let mut source = folder_source(&path, Reading::Once);
    let error = source.poll(Duration::ZERO, &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("not .csv, .tsv, .jsonl, .ndjson, .json or .parquet"), "{error}");
    assert_eq!(folder_source(folder.path(), Reading::Once).poll(Duration::ZERO, &mut |_| {}).unwrap(), Polled::End);
}
