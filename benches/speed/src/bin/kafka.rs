//! `cargo run --release -p funnelpulse-benches --features kafka --bin kafka -- SERVERS TOPIC RESULTS [EVENTS]`
//!
//! Events as JSON from a topic of a real broker to hourly windows in another one, deduplicated, in transactions, with a
//! checkpoint every ten seconds; and the same events from memory. Then few events with many rows. The topics are there and
//! empty; TOPIC-rows and RESULTS-rows, too. Processor time of this process, the client's threads included.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{io::Cursor, time::Instant};

use anyhow::{Context, ensure};
use funnelpulse::{core::Timestamp, features::EventSpec, io::ReadOptions};
use funnelpulse_benches::{feed::Feed, process_seconds};
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, GoldRows, KafkaConfig, KafkaMessages, KafkaSink, KafkaSource, Metrics,
    PipeSource, Runner, RunnerConfig, Sink, Source, TextFormat, WriterSink,
};

/// Events of the first run: 0.0084 rows per event of 100 brands in a week.
const EVENTS: u64 = 4_000_000;
const BRANDS: u64 = 100;
const WEEK: u64 = 7 * 24;
/// Events of the second: each has a brand of its own, which has two rows.
const SINGLE: u64 = 500_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, results, rest @ ..] = &arguments[..] else {
        anyhow::bail!("kafka SERVERS TOPIC RESULTS [EVENTS]");
    };
    let events = rest.first().map_or(Ok(EVENTS), |text| text.parse())?;
    let feed = Feed { events, hours: WEEK, brands: BRANDS };
    let bytes = produce(servers, topic, &feed)?;
    println!("{events} events of {:.0} bytes", bytes as f64 / events as f64);
    let seconds = from_kafka(servers, topic, results, &feed, EngineConfig::new(600))?.1;
    let memory = from_memory(&feed)?;
    println!("from memory {:.0} ns per event, Kafka {:.2} times as much", 1e9 * memory, seconds / memory);

    let feed = Feed { events: SINGLE, hours: 24, brands: SINGLE };
    let topics = [format!("{topic}-rows"), format!("{results}-rows")];
    produce(servers, &topics[0], &feed)?;
    // A brand has a row in its minute and one of zeros in the next.
    let config = EngineConfig { window_seconds: 60, expire_windows: Some(1), ..EngineConfig::new(0) };
    let (metrics, seconds) = from_kafka(servers, &topics[0], &topics[1], &feed, config)?;
    let rows = metrics.rows as f64;
    println!("{:.2} rows per event: {:.0} rows per second", rows / SINGLE as f64, rows / seconds / SINGLE as f64);
    Ok(())
}

fn produce(servers: &str, topic: &str, feed: &Feed) -> anyhow::Result<u64> {
    let mut messages = KafkaMessages::new(&KafkaConfig::new(servers, topic))?;
    let (mut text, mut bytes) = (String::new(), 0);
    for index in 0..feed.events {
        feed.json(index, &mut text);
        bytes += text.len() as u64;
        messages.send(&(index % 7).to_string(), text.as_bytes())?;
        if index % 100_000 == 0 {
            messages.flush()?;
        }
    }
    messages.flush()?;
    Ok(bytes)
}

/// Numbers of the run, and seconds of processor time per event.
fn from_kafka(
    servers: &str,
    topic: &str,
    results: &str,
    feed: &Feed,
    engine: EngineConfig,
) -> anyhow::Result<(Metrics, f64)> {
    let spec = EventSpec::default();
    let group = format!("bench-{topic}");
    let config = |topic: &str| KafkaConfig { group: group.clone(), ..KafkaConfig::new(servers, topic) };
    let source = KafkaSource::new(&config(topic), &spec, &ReadOptions::default())?.bounded();
    let sink = KafkaSink::new(&config(results), vec!["brand".into(), "window_start".into()], None)?;
    let (metrics, seconds, wall) = run(source, sink, engine)?;
    ensure!(metrics.account.counted == feed.events, "{:?}", metrics.account);
    println!(
        "Kafka to windows to Kafka: {:.0} events per second, {:.0} ns each, {:.1} s on the clock, {} rows, {} transactions",
        feed.events as f64 / seconds,
        1e9 * seconds / feed.events as f64,
        wall,
        metrics.rows,
        metrics.transactions
    );
    Ok((metrics, seconds / feed.events as f64))
}

/// Seconds of processor time per event.
fn from_memory(feed: &Feed) -> anyhow::Result<f64> {
    let (mut all, mut text) = (String::new(), String::new());
    for index in 0..feed.events {
        feed.json(index, &mut text);
        all.push_str(&text);
        all.push('\n');
    }
    let spec = EventSpec::default();
    let source = PipeSource::new(Cursor::new(all), TextFormat::JsonLines, &spec, &ReadOptions::default())?;
    let (metrics, seconds, _) = run(source, WriterSink::new(std::io::sink()), EngineConfig::new(600))?;
    ensure!(metrics.account.counted == feed.events, "{:?}", metrics.account);
    Ok(seconds / feed.events as f64)
}

/// Numbers, seconds of processor time, and seconds on the clock.
fn run<S: Source, K: Sink>(source: S, sink: K, engine: EngineConfig) -> anyhow::Result<(Metrics, f64, f64)> {
    let folder = tempfile::tempdir()?;
    let store = CheckpointStore::open(folder.path().to_str().context("a name in UTF-8")?)?;
    let engine = Engine::new(&EventSpec::default(), engine)?;
    let settings = RunnerConfig { flush: true, ..RunnerConfig::default() };
    let mut runner = Runner::new(source, engine, GoldRows::new(vec!["brand".into()]), sink, store, settings)?;
    let (processor, clock) = (process_seconds(), Instant::now());
    let metrics = runner.run(&false.into(), || Timestamp::from_seconds(1_700_000_000))?;
    Ok((metrics, process_seconds() - processor, clock.elapsed().as_secs_f64()))
}
