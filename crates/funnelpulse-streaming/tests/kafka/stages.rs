//! Two stages: one process, then three, then two turn events into windows, one of them is killed; the windows of all add up
//! to the rows of the batch.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use arrow::{array::AsArray, datatypes::Float64Type};
use funnelpulse_core::Timestamp;
use funnelpulse_features::{Event, EventSpec, FunnelBuilder};
use funnelpulse_io::ReadOptions;
use funnelpulse_streaming::{
    Channel, CheckpointStore, Engine, EngineConfig, GoldRows, KafkaConfig, KafkaSource, MemorySink, Runner,
    RunnerConfig, WindowStage, WindowStageConfig,
};
use rdkafka::{
    Message,
    consumer::BaseConsumer,
    producer::{BaseRecord, Producer},
};

use super::{broker, clients, now, processes};

const PARTITIONS: i32 = 3;
/// Second of the first event; seconds between two events of a partition.
const START: i64 = 1_569_888_000;
const STEP: i64 = 20;
/// Events of each partition: two days.
const EVENTS: i64 = 8_640;
/// The last event closes the windows before it.
const LAST: i64 = START + EVENTS * STEP + 7_200;
/// Longest wait for windows: a group notices a dead process after ten seconds.
const PATIENCE: Duration = Duration::from_secs(90);

fn engine_config() -> EngineConfig {
    EngineConfig { jump_confirmations: 1, ..EngineConfig::new(0) }
}

/// Not a test: one of the processes. Stops in order once its standard input is closed.
#[test]
#[ignore = "the process that the test below starts"]
fn window_process() {
    let (Ok(servers), Ok(folder)) = (std::env::var("STAGE_SERVERS"), std::env::var("STAGE_FOLDER")) else { return };
    let stop = processes::stop_with_input();
    let input = KafkaConfig { group: "windows".into(), ..KafkaConfig::new(&servers, "events") };
    let output = KafkaConfig::new(&servers, "windows");
    let config = WindowStageConfig {
        engine: engine_config(),
        checkpoints: format!("{folder}/states"),
        checkpoint_seconds: 0.2,
        site: "shop".into(),
        bounded: false,
    };
    let mut stage = WindowStage::new(&input, &output, &EventSpec::default(), &ReadOptions::default(), config).unwrap();
    stage.run(&stop, now).unwrap();
}

/// A process of the group; it does not outlive a test that fails.
struct Process(Child);

impl Process {
    fn start(servers: &str, folder: &Path) -> Self {
        let variables = [("STAGE_SERVERS", servers), ("STAGE_FOLDER", folder.to_str().unwrap())];
        Self(processes::start("stages::window_process", variables, &folder.join("stages.log")))
    }

    fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The event `n` of a partition: brand, type, user and price.
fn event(partition: i32, n: i64) -> (String, &'static str, String, f64) {
    let kind = ["view", "view", "cart", "view", "purchase"][(n % 5) as usize];
    (format!("brand {}", (n * 7 + i64::from(partition)) % 4), kind, format!("{partition}-{n}"), 2.5 + (n % 3) as f64)
}

fn produce(servers: &str, events: std::ops::Range<i64>) {
    let producer = clients::producer(servers);
    for n in events {
        for partition in 0..PARTITIONS {
            let time = if n == EVENTS { LAST } else { START + n * STEP };
            let (brand, kind, user, price) = event(partition, n);
            let value = format!(
                r#"{{"event_time":{time},"event_type":"{kind}","brand":"{brand}","user_id":"{user}","price":{price}}}"#
            );
            producer.send(BaseRecord::<(), str>::to("events").partition(partition).payload(&value)).unwrap();
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

/// The windows as a consumer of committed records sees them.
struct Windows {
    consumer: BaseConsumer,
    seen: BTreeSet<(i64, i64)>,
}

impl Windows {
    fn new(servers: &str) -> Self {
        Self { consumer: clients::committed(servers, "windows"), seen: BTreeSet::new() }
    }

    /// Reads until every partition has a window that ends at this time or later.
    fn read_to(&mut self, second: i64, log: &Path) {
        let started = Instant::now();
        let done = |seen: &BTreeSet<(i64, i64)>| {
            (0..i64::from(PARTITIONS)).all(|p| seen.iter().any(|(partition, end)| *partition == p && *end >= second))
        };
        while !done(&self.seen) {
            let mut text = String::new();
            if started.elapsed() > PATIENCE {
                File::open(log).unwrap().read_to_string(&mut text).unwrap();
                panic!("no window up to {second} of all partitions in {:?}; the log:\n{text}", self.seen);
            }
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let value: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let place = (value["partition"].as_i64().unwrap(), value["end"].as_i64().unwrap() / 1_000_000);
            assert!(self.seen.insert(place), "window {place:?} twice");
        }
    }
}

type Rows = Vec<(i64, String, [u64; 4])>;

/// The rows of the batch before the window of the last events.
fn batch() -> Rows {
    let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3_600).unwrap();
    for n in 0..=EVENTS {
        for partition in 0..PARTITIONS {
            let (brand, kind, user, price) = event(partition, n);
            let time = Timestamp::from_seconds(if n == EVENTS { LAST } else { START + n * STEP });
            funnel.push(&Event {
                time,
                event_type: kind,
                keys: &[Some(&brand)],
                product: None,
                user: Some(&user),
                session: None,
                price: Some(price),
            });
        }
    }
    let mut rows = Rows::new();
    for (key, frame) in &funnel.finish().unwrap().panel {
        for (time, values) in frame.time().iter().zip(frame.values().rows()) {
            let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
            rows.push((time.as_micros(), key.to_string(), bits.try_into().unwrap()));
        }
    }
    rows.retain(|(time, ..)| *time < (LAST - LAST % 3_600) * 1_000_000);
    rows.sort();
    rows
}

/// Stage two to the end of what is there.
fn second_stage(servers: &str, folder: &Path) -> Rows {
    let spec = EventSpec::default();
    let config = KafkaConfig { group: "detection".into(), ..KafkaConfig::new(servers, "windows") };
    let sink = MemorySink::default();
    let mut runner = Runner::new(
        KafkaSource::new(&config, &spec, &ReadOptions::default()).unwrap().bounded().windows(),
        Engine::new(&spec, engine_config()).unwrap(),
        GoldRows::new(vec!["brand".into()]),
        sink.clone(),
        CheckpointStore::open(folder.join("second").to_str().unwrap()).unwrap(),
        RunnerConfig { flush: true, ..RunnerConfig::default() },
    )
    .unwrap();
    let metrics = runner.run(&false.into(), now).unwrap();
    assert!(metrics.account.balances() && metrics.account.read == metrics.account.counted, "{:?}", metrics.account);
    let mut rows = Rows::new();
    for batch in sink.rows(Channel::Rows) {
        let names = batch.column(1).as_string::<i32>().clone();
        let times = batch.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>().clone();
        for row in 0..batch.num_rows() {
            let bits = [2, 3, 4, 5].map(|c| batch.column(c).as_primitive::<Float64Type>().value(row).to_bits());
            rows.push((times.value(row), names.value(row).to_owned(), bits));
        }
    }
    rows.sort();
    rows
}

#[test]
fn processes_that_come_and_go_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = broker(folder.path()) else { return };
    let servers = broker.servers();
    broker.create_topic("events", PARTITIONS);
    broker.create_topic("windows", 1);
    let log = folder.path().join("stages.log");
    let start = || Process::start(&servers, folder.path());
    let mut windows = Windows::new(&servers);
    let third = EVENTS / 3;
    let until = |n: i64| START + (n - 1) * STEP - 3_600;

    let first = start();
    produce(&servers, 0..third);
    windows.read_to(until(third), &log);
    let (second, mut victim) = (start(), start());
    produce(&servers, third..2 * third);
    windows.read_to(until(2 * third), &log);
    // Somewhere in the middle of what comes now.
    produce(&servers, 2 * third..EVENTS - third / 2);
    victim.0.kill().unwrap();
    produce(&servers, EVENTS - third / 2..EVENTS + 1);
    // The last event is two hours after the others, and closes their window.
    windows.read_to(START + EVENTS * STEP, &log);
    first.stop();
    second.stop();
    let rows = second_stage(&servers, folder.path());
    let expected = batch();
    assert!(expected.len() > 150, "{}", expected.len());
    assert_eq!(rows, expected);
}
