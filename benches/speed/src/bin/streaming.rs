//! `cargo run --release -p funnelpulse-benches --bin streaming`
//!
//! Events of a generated shop to closed windows on one thread, from JSON lines and from Parquet: read, decoded,
//! deduplicated, counted, and written as rows. Processor time, the best of three runs.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use funnelpulse::{
    core::Timestamp,
    eval::generator::{GeneratedFunnel, GeneratorConfig, RawEvent},
    features::EventSpec,
    io::{ReadOptions, write_file},
};
use funnelpulse_benches::processor_seconds;
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, FolderSource, GoldRows, Reading, Runner, RunnerConfig, WriterSink,
};

/// Events of each file.
const EVENTS: usize = 2_000_000;
/// Runs of each.
const RUNS: usize = 3;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let config = GeneratorConfig { brands: 40, days: 60, ..GeneratorConfig::default() };
    let shop = GeneratedFunnel::generate(&config)?;
    let events: Vec<RawEvent> = shop.raw_events().take(EVENTS).collect();
    let (lines, parquet) = (folder.path().join("lines"), folder.path().join("parquet"));
    fs::create_dir(&lines)?;
    fs::create_dir(&parquet)?;
    let bytes = write_lines(&events, &lines.join("events.jsonl"))?;
    write_file(&parquet.join("events.parquet"), &table(&events)?)?;
    println!("{} events, {:.0} bytes of JSON each", events.len(), bytes as f64 / events.len() as f64);
    for (name, path) in [("JSON lines", &lines), ("Parquet", &parquet)] {
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let start = processor_seconds();
            let windows = windows(path)?;
            anyhow::ensure!(windows > 0, "no window closed");
            best = best.min(processor_seconds() - start);
        }
        println!("{name} to closed windows: {:.2} million events per second", events.len() as f64 / best / 1e6);
    }
    Ok(())
}

/// Runs a stream over the files to its end. Returns the number of windows.
fn windows(path: &Path) -> anyhow::Result<u64> {
    let spec = EventSpec::default();
    let source = FolderSource::new(path, &spec, &ReadOptions::default(), Reading::Once)?;
    let engine = Engine::new(&spec, EngineConfig::new(600))?;
    let settings = RunnerConfig { flush: true, ..RunnerConfig::default() };
    let store = CheckpointStore::open("memory://streaming")?;
    let (operator, sink) = (GoldRows::new(vec!["brand".into()]), WriterSink::new(io::sink()));
    let mut runner = Runner::new(source, engine, operator, sink, store, settings)?;
    let metrics = runner.run(&false.into(), || Timestamp::from_seconds(1_700_000_000))?;
    anyhow::ensure!(metrics.account.read == metrics.account.counted, "{:?}", metrics.account);
    Ok(metrics.windows)
}

fn write_lines(events: &[RawEvent], path: &Path) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    for event in events {
        let brand = event.brand.as_deref().map_or("null".to_owned(), |brand| format!("\"{brand}\""));
        writeln!(
            out,
            "{{\"event_time\":\"{}\",\"event_type\":\"{}\",\"product_id\":{},\"brand\":{brand},\"price\":{},\
             \"user_id\":{},\"user_session\":\"{}\"}}",
            event.time,
            event.event_type,
            event.product_id,
            event.price,
            event.user_id,
            event.session_uuid()
        )?;
    }
    out.flush()?;
    Ok(fs::metadata(path)?.len())
}

fn table(events: &[RawEvent]) -> anyhow::Result<arrow::array::RecordBatch> {
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
    let times: TimestampMicrosecondArray = events.iter().map(|e| Some(e.time.as_micros())).collect();
    let texts = |of: &dyn Fn(&RawEvent) -> Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<StringArray>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_time", Arc::new(times.with_timezone("UTC"))),
        ("event_type", texts(&|e| Some(e.event_type.to_owned()))),
        ("product_id", Arc::new(events.iter().map(|e| Some(e.product_id)).collect::<UInt64Array>())),
        ("brand", texts(&|e| e.brand.as_ref().map(ToString::to_string))),
        ("price", Arc::new(events.iter().map(|e| Some(e.price)).collect::<Float64Array>())),
        ("user_id", Arc::new(events.iter().map(|e| Some(e.user_id)).collect::<UInt64Array>())),
        ("user_session", texts(&|e| Some(e.session_uuid()))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
