//! `stream` as a service: its status, its signals, its feed.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use predicates::{prelude::PredicateBooleanExt, str::contains};
use serde_json::Value;

use crate::folder::Folder;

/// Longest wait for something that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// SIGTERM ends a stream within this time.
const DRAINED: Duration = Duration::from_secs(10);

/// A model of 16 days in `model`, and the events of the days after them in `feed.jsonl`.
pub(crate) fn shop() -> Folder {
    let folder = Folder::new();
    let shop = "--brands 3 --days 20 --difficulty easy";
    folder.output(&format!("generate --out shop {shop} --until-day 16"));
    let feed = folder.output(&format!("generate {shop} --from-day 16 --replay 0 --to -"));
    folder.write("feed.jsonl", feed);
    folder.output("train --input shop/hourly.parquet --model model --set pipeline.detectors=['zscore','incidents']");
    folder
}

/// The answer to a request.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks until the answer has this in it.
pub(crate) fn wait_for(address: &str, path: &str, wanted: &str) -> String {
    let start = Instant::now();
    loop {
        let answer = get(address, path);
        if answer.contains(wanted) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "no `{wanted}` in {path}:\n{answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A command that runs; it does not outlive a test that fails.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stream that follows `new` until it is stopped, and where its status is.
fn follow(folder: &Folder) -> (Running, String) {
    let line = "stream --model model --input new --output out --format jsonl --lateness 600 --follow \
                --checkpoint-seconds 1 --status 127.0.0.1:0";
    started(folder, line)
}

/// A command with status pages, and their address.
pub(crate) fn started(folder: &Folder, line: &str) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_funnelpulse"))
        .current_dir(folder.path(""))
        .args(line.split_whitespace())
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = child.stderr.take().unwrap();
    let running = Running(child);
    let mut errors = BufReader::new(errors).lines();
    let first = errors.next().unwrap().unwrap();
    let address = first.strip_prefix("http://").and_then(|rest| rest.split(": ").next()).unwrap().to_owned();
    // The log must not fill the pipe.
    thread::spawn(move || errors.for_each(drop));
    (running, address)
}

/// SIGTERM, and the counts that the stream prints at its end.
pub(crate) fn stop(mut running: Running) -> String {
    let child = &mut running.0;
    let start = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < DRAINED, "it still runs after {DRAINED:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success(), "SIGTERM is no failure");
    let mut counts = String::new();
    child.stdout.take().unwrap().read_to_string(&mut counts).unwrap();
    counts
}

/// A number of the metrics.
pub(crate) fn number(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
}

#[cfg(unix)]
#[test]
fn metrics_hold_the_conservation_law_and_sigterm_ends_it_with_a_checkpoint() {
    let folder = shop();
    fs::create_dir(folder.path("new")).unwrap();
    let feed = folder.text("feed.jsonl");
    let middle = feed[..feed.len() / 2].rfind('\n').unwrap() + 1;
    let (child, address) = follow(&folder);
    wait_for(&address, "/readyz", "200 OK");
    fs::write(folder.path("new/a.jsonl"), format!("{}no event\n", &feed[..middle])).unwrap();
    let metrics = wait_for(&address, "/metrics", "funnelpulse_records_total{fate=\"dead_lettered\"} 1");
    let of = |fate: &str| number(&metrics, &format!("funnelpulse_records_total{{fate=\"{fate}\"}}"));
    let parts = ["counted", "duplicate", "ignored", "late", "rejected", "dead_lettered"];
    assert_eq!(of("read"), parts.iter().map(|fate| of(fate)).sum::<f64>());
    let metrics = wait_for(&address, "/metrics", "funnelpulse_epoch 1");
    assert!(number(&metrics, "funnelpulse_scoring_window_seconds_count") > 24.0, "{metrics}");
    assert!(number(&metrics, "funnelpulse_resident_memory_bytes") > 1e6);
    assert!(metrics.contains("funnelpulse_trainings_total{fate=\"failed\"} 0"), "{metrics}");
    assert!(number(&metrics, "funnelpulse_windows_total{kind=\"final\"}") > 24.0, "{metrics}");
    assert!(number(&metrics, "funnelpulse_state_bytes") > 1000.0);
    assert!(number(&metrics, "funnelpulse_lag_seconds") > 0.0);
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/else").starts_with("HTTP/1.1 404"));
    let first = stop(child);
    assert!(first.contains("1 unreadable"), "{first}");
    // The second start goes on where the first ended: every row once.
    fs::write(folder.path("new/b.jsonl"), &feed[middle..]).unwrap();
    folder.output("stream --model model --input new --output out --format jsonl --lateness 600");
    folder.output("stream --model model --input feed.jsonl --output whole --format jsonl --lateness 600");
    assert!(rows(&folder, "out") == rows(&folder, "whole"));
}

/// Every row that was written, sorted.
pub(crate) fn rows(folder: &Folder, name: &str) -> Vec<String> {
    let files = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rows")));
    let text = |path: std::path::PathBuf| fs::read_to_string(path).unwrap();
    let mut rows: Vec<String> =
        files.flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(!rows.is_empty());
    rows.sort();
    rows
}

#[test]
fn memory_is_said_beforehand() {
    let folder = shop();
    let line = "stream --model model --input feed.jsonl --output out --lateness 3600 --estimate 1000000";
    let parts: Value = serde_json::from_str(&folder.output(&format!("{line} --json"))).unwrap();
    assert_eq!((&parts["series"], &parts["open_windows"]), (&Value::from(3), &Value::from(3)));
    let sum = ["model", "detection", "counts", "remembered_events"]
        .map(|part| parts[format!("{part}_bytes")].as_u64().unwrap())
        .iter()
        .sum::<u64>();
    assert!(sum.abs_diff(parts["total_bytes"].as_u64().unwrap()) <= 4, "{parts}");
    folder.run(line).success().stdout(contains("the detection of 3 series").and(contains("in all")));
    assert!(!folder.path("out").exists(), "it only says");
}

#[test]
fn a_reader_of_a_replay_that_has_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_funnelpulse"))
        .args(["generate", "--brands", "2", "--days", "6", "--replay", "0", "--to", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(line.contains("event_time") && done.status.success() && !errors.contains("error"), "{errors}");
}

#[test]
fn a_replay_goes_at_its_speed_and_bad_settings_are_refused() {
    let folder = Folder::new();
    let shop = "generate --brands 2 --days 4";
    let fast = folder.output(&format!("{shop} --from-day 1 --until-day 2 --replay 0"));
    let start = Instant::now();
    // A day in about two seconds.
    let slow = folder.output(&format!("{shop} --from-day 1 --until-day 2 --replay 43200"));
    assert!(start.elapsed() > Duration::from_millis(1500));
    assert!(fast == slow && fast.lines().count() > 100);
    let event: Value = serde_json::from_str(fast.lines().next().unwrap()).unwrap();
    assert!(event["event_time"].as_str().unwrap().starts_with("2019-10-02T00"), "{event}");
    folder.refuses(&format!("{shop} --replay=-1"), "--replay");
    folder.refuses(&format!("{shop} --replay 1 --to file"), "expected - or kafka://");
    folder.refuses(&format!("{shop} --replay 1 --from-day 3 --until-day 3"), "days are counted");
    folder.run("generate --days 4").code(2).stderr(contains("--out"));
    let status = "stream --model none --input none --output out --lateness 0 --status nowhere";
    folder.run(status).code(1).stderr(contains("HOST:PORT"));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.output(&format!("completions {shell}"));
        assert!(script.contains("changepoints") && script.contains("bench"), "{shell}");
    }
    folder.output("man --out man");
    let page = folder.text("man/funnelpulse-bench.1");
    assert!(page.contains("time") && page.contains("external") && page.starts_with(".ie"), "{page}");
    assert!(folder.path("man/funnelpulse.1").is_file() && folder.path("man/funnelpulse-config-show.1").is_file());
}

#[test]
fn the_log_says_what_was_read() {
    let folder = Folder::new().with_shop();
    let run = "run --input hours.csv --output out";
    let logged = folder.run(&format!("{run} -v")).success();
    let log = crate::folder::stderr(&logged);
    assert!(log.contains("INFO") && log.contains("rows=1440 series=3"), "{log}");
    let quiet = folder.run(&format!("{run} --quiet")).success();
    assert!(!crate::folder::stderr(&quiet).contains("INFO"));
}
