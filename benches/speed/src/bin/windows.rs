//! `cargo run --release -p funnelpulse-benches --bin windows [EVENTS [FOLDER]]`
//!
//! EVENTS (1,000,000) distinct events of 1,000 brands over seven days, in order of time, as JSON lines, CSV and Parquet,
//! ten files each, to windows in Parquet: an hour, and an hour every five minutes. Events per second of processor time, the
//! best of three runs each. The files stay in FOLDER, if one is named.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, TimeUnit},
};
use funnelpulse::{
    core::Timestamp,
    features::EventSpec,
    io::{ReadOptions, write_file},
};
use funnelpulse_benches::process_seconds;
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, FileFormat, FileSink, FolderSource, GoldRows, Reading, Runner, RunnerConfig,
};

/// 2019-10-01T00:00:00Z.
const START: i64 = 1_569_888_000;
const DAYS: i64 = 7;
const BRANDS: u64 = 1_000;
const FILES: u64 = 10;

fn main() -> anyhow::Result<()> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let kept = std::env::args().nth(2).map_or_else(|| folder.path().to_path_buf(), PathBuf::from);
    for (format, write) in [("jsonl", json as fn(&Path, &[Row]) -> _), ("csv", csv), ("parquet", parquet)] {
        let input = kept.join(format);
        std::fs::create_dir_all(&input)?;
        for file in 0..FILES {
            let rows: Vec<Row> = (events * file / FILES..events * (file + 1) / FILES).map(|i| row(i, events)).collect();
            write(&input.join(format!("part-{file}.{format}")), &rows)?;
        }
        for slide in [None, Some(300)] {
            let mut best = f64::INFINITY;
            let mut rows = 0;
            for run in 0..3 {
                let out = folder.path().join(format!("{format}-{slide:?}-{run}"));
                let (seconds, written) = stream(&input, &out, slide)?;
                best = best.min(seconds);
                rows = written;
                std::fs::remove_dir_all(&out)?;
            }
            let rate = events as f64 / best / 1e6;
            println!("{format}, slide {slide:?}: {rate:.2} M events/s, {rows} rows to Parquet");
        }
    }
    Ok(())
}

/// Seconds of processor time, and the rows that were written.
fn stream(input: &Path, out: &Path, slide_seconds: Option<u64>) -> anyhow::Result<(f64, u64)> {
    let spec = EventSpec::default();
    let config = EngineConfig { slide_seconds, ..EngineConfig::new(60) };
    let started = process_seconds();
    let mut operator = GoldRows::new(spec.keys.clone());
    if slide_seconds.is_some() {
        operator = operator.with_early();
    }
    let mut runner = Runner::new(
        FolderSource::new(input, &spec, &ReadOptions::default(), Reading::Once)?,
        Engine::new(&spec, config)?,
        operator,
        FileSink::new(out, FileFormat::Parquet, "task-0")?,
        CheckpointStore::open(&out.join("_checkpoints").to_string_lossy())?,
        RunnerConfig { flush: true, ..RunnerConfig::default() },
    )?;
    let metrics = runner.run(&false.into(), || Timestamp::from_seconds(1_900_000_000))?;
    assert!(metrics.account.balances() && metrics.account.late == 0, "{:?}", metrics.account);
    let seconds = process_seconds() - started;
    Ok((seconds, metrics.rows))
}

struct Row {
    time: i64,
    kind: &'static str,
    product: i64,
    brand: String,
    price: f64,
    user: i64,
    session: String,
}

/// Event `i` of `events`.
fn row(i: u64, events: u64) -> Row {
    let random = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let (a, b) = (random >> 32, random & 0xFFFF_FFFF);
    Row {
        time: START + (i128::from(i) * i128::from(DAYS * 86_400) / i128::from(events)) as i64,
        kind: ["view", "view", "view", "view", "view", "view", "cart", "cart", "cart", "purchase"][(a % 10) as usize],
        product: 5_700_000 + (b % 50_000) as i64,
        brand: format!("brand{}", a % BRANDS),
        price: (b % 10_000) as f64 / 100.0,
        user: 500_000_000 + i as i64 / 7,
        session: format!("{random:016x}-{:08x}", i / 7),
    }
}

fn time_text(time: i64) -> String {
    Timestamp::from_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
}

fn json(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = String::new();
    for Row { time, kind, product, brand, price, user, session } in rows {
        // As Spark and Flink read it, too.
        let time = Timestamp::from_seconds(*time);
        writeln!(
            text,
            r#"{{"event_time":"{time}","event_type":"{kind}","product_id":{product},"brand":"{brand}","price":{price:.2},"user_id":{user},"user_session":"{session}"}}"#
        )?;
    }
    Ok(std::fs::write(path, text)?)
}

fn csv(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut text = "event_time,event_type,product_id,brand,price,user_id,user_session\n".to_owned();
    for Row { time, kind, product, brand, price, user, session } in rows {
        writeln!(text, "{},{kind},{product},{brand},{price:.2},{user},{session}", time_text(*time))?;
    }
    Ok(std::fs::write(path, text)?)
}

fn parquet(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let text = |get: fn(&Row) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(get))) as ArrayRef;
    let number = |get: fn(&Row) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(get))) as ArrayRef;
    let micros = number(|r| r.time * Timestamp::SECOND);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let batch = RecordBatch::try_from_iter([
        ("event_time", arrow::compute::cast(&micros, &utc)?),
        ("event_type", text(|r| r.kind)),
        ("product_id", number(|r| r.product)),
        ("brand", text(|r| &r.brand)),
        ("price", Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.price)))),
        ("user_id", number(|r| r.user)),
        ("user_session", text(|r| &r.session)),
    ])?;
    Ok(write_file(path, &batch)?)
}
