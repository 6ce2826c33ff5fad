//! Exactly once on a real broker. Skipped, with the reason, where Java or the jars of Kafka can't be had.
//!
//! After Kafka's own end-to-end test of transactions: numbered messages in several partitions are copied in transactions
//! of 750, clients are killed or stopped, the broker is killed, and a consumer that reads committed records all the time
//! sees each number once and in order. `FUNNELPULSE_KAFKA_KILLS=100 FUNNELPULSE_KAFKA_MESSAGES=50000` makes it long.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, too, stop at what should not happen")]

mod broker;
mod clients;
mod password;
mod processes;
mod stages;

use std::{
    collections::BTreeMap,
    path::Path,
    process::Child,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use funnelpulse_core::{BoxError, Timestamp};
use funnelpulse_features::EventSpec;
use funnelpulse_io::ReadOptions;
use funnelpulse_streaming::{
    CheckpointStore, ClosedWindow, Engine, EngineConfig, Input, KafkaConfig, KafkaSink, KafkaSource, Models, Operator,
    Output, Runner, RunnerConfig, Source,
};
use rdkafka::{
    Message,
    consumer::BaseConsumer,
    producer::{BaseRecord, Producer},
};

use self::broker::Broker;

const PARTITIONS: i32 = 3;
/// Second of message 0.
const START: u64 = 1_569_888_000;

/// One row per message, none for the windows in between.
struct Copier;

impl Operator for Copier {
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        let rows: Vec<_> = window.rows.iter().filter(|row| row.counts.views > 0).collect();
        let names: StringArray = rows.iter().map(|row| Some(row.series.as_str())).collect();
        let views: Int64Array = rows.iter().map(|row| Some(row.counts.views as i64)).collect();
        let columns = [("message", Arc::new(names) as ArrayRef), ("views", Arc::new(views) as ArrayRef)];
        Ok(Output { rows: vec![RecordBatch::try_from_iter(columns)?], alerts: Vec::new() })
    }

    fn state(&self) -> Result<Vec<u8>, BoxError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8], _: &dyn Models) -> Result<(), BoxError> {
        Ok(())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as i64)
}

fn runner(servers: &str, folder: &Path) -> Runner<KafkaSource, Copier, KafkaSink> {
    let config = EngineConfig {
        window_seconds: 1,
        jump_confirmations: 1,
        expire_windows: Some(1),
        max_open: 1_000_000,
        ..EngineConfig::new(0)
    };
    let spec = EventSpec::default();
    let input = KafkaConfig { group: "copier".into(), ..KafkaConfig::new(servers, "numbers") };
    let output = KafkaConfig { group: "copier".into(), ..KafkaConfig::new(servers, "copies") };
    Runner::new(
        KafkaSource::new(&input, &spec, &ReadOptions::default()).unwrap().with_batch(250),
        Engine::new(&spec, config).unwrap(),
        Copier,
        KafkaSink::new(&output, vec!["message".into()], None).unwrap(),
        CheckpointStore::open(folder.join("checkpoints").to_str().unwrap()).unwrap(),
        RunnerConfig { checkpoint_records: 750, checkpoint_seconds: 5.0, ..RunnerConfig::default() },
    )
    .unwrap()
}

/// Not a test: the process that is killed. Stops in order once its standard input is closed.
#[test]
#[ignore = "the process that the test below starts"]
fn copying_process() {
    let (Ok(servers), Ok(folder)) = (std::env::var("COPY_SERVERS"), std::env::var("COPY_FOLDER")) else { return };
    let stop = processes::stop_with_input();
    // A pause per round, so that there is something left to kill.
    let clock = || {
        std::thread::sleep(Duration::from_millis(10));
        now()
    };
    let metrics = runner(&servers, Path::new(&folder)).run(&stop, clock).unwrap();
    assert!(metrics.account.balances());
}

fn copy(servers: &str, folder: &Path) -> Child {
    let variables = [("COPY_SERVERS", servers), ("COPY_FOLDER", folder.to_str().unwrap())];
    processes::start("copying_process", variables, &folder.join("copier.log"))
}

fn produce(servers: &str, messages: u64) {
    let producer = clients::producer(servers);
    for n in 0..=messages {
        for p in 0..PARTITIONS {
            let time = START + n;
            let value = format!(r#"{{"event_time":{time},"event_type":"view","brand":"{p}-{n}","user_id":"{p}"}}"#);
            producer.send(BaseRecord::<(), str>::to("numbers").partition(p).payload(&value)).unwrap();
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// The copies as a consumer of committed records sees them.
struct Copies {
    consumer: BaseConsumer,
    /// The next number per partition.
    next: BTreeMap<String, u64>,
    total: u64,
}

impl Copies {
    fn new(servers: &str) -> Self {
        Self { consumer: clients::committed(servers, "copies"), next: BTreeMap::new(), total: 0 }
    }

    /// Reads until so many copies were seen; false if they do not come.
    fn read_to(&mut self, total: u64, patience: Duration) -> bool {
        let started = Instant::now();
        while self.total < total && started.elapsed() < patience {
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let value: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let name = value["message"].as_str().unwrap();
            let (partition, number) = name.split_once('-').unwrap();
            let next = self.next.entry(partition.to_owned()).or_default();
            assert_eq!(number.parse::<u64>().unwrap(), *next, "partition {partition}: lost, doubled or out of order");
            assert_eq!(value["views"], 1, "{name}");
            assert_eq!(message.key().unwrap(), format!("[\"{name}\"]").as_bytes());
            *next += 1;
            self.total += 1;
        }
        self.total >= total
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn broker(folder: &Path) -> Option<Broker> {
    match Broker::start(folder) {
        Ok(broker) => Some(broker),
        Err(reason) => {
            println!("skipped: no Kafka broker here: {reason}");
            None
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = broker(folder.path()) else { return };
    let kills = setting("FUNNELPULSE_KAFKA_KILLS", 5);
    let messages = setting("FUNNELPULSE_KAFKA_MESSAGES", 6_000);
    let servers = broker.servers();
    broker.create_topic("numbers", PARTITIONS);
    broker.create_topic("copies", 1);
    produce(&servers, messages);
    let expected = messages * PARTITIONS as u64;
    let log = || std::fs::read_to_string(folder.path().join("copier.log")).unwrap_or_default();
    let mut copies = Copies::new(&servers);
    let mut child = copy(&servers, folder.path());
    for kill in 0..kills {
        // Somewhere within a transaction: the consumer is behind what is written.
        let seen = copies.read_to(expected * (kill + 1) / (kills + 2), Duration::from_secs(60));
        assert!(seen, "{} of {expected} copies before kill {kill}; the log:\n{}", copies.total, log());
        match kill % 5 {
            1 => {
                drop(child.stdin.take());
                let status = child.wait().unwrap();
                assert!(status.success(), "a clean stop: {status}; the log:\n{}", log());
            }
            3 => {
                broker.crash();
                child.kill().unwrap();
                child.wait().unwrap();
            }
            _ => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        child = copy(&servers, folder.path());
    }
    let complete = copies.read_to(expected, Duration::from_secs(60));
    assert!(complete, "{} of {expected} copies; the log:\n{}", copies.total, log());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "a clean stop; the log:\n{}", log());
    // Nothing more comes: the last number of each partition is in a window that is still open.
    assert!(!copies.read_to(expected + 1, Duration::from_secs(2)), "{} copies of {expected}", copies.total);
}

#[test]
fn records_that_were_not_read_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = broker(folder.path()) else { return };
    broker.create_topic("numbers", PARTITIONS);
    produce(&broker.servers(), 199);
    let config = KafkaConfig { group: "slow".into(), ..KafkaConfig::new(broker.servers(), "numbers") };
    let mut source = KafkaSource::new(&config, &EventSpec::default(), &ReadOptions::default()).unwrap().with_batch(1);
    let (started, mut read, mut most) = (Instant::now(), 0, 0);
    loop {
        assert!(started.elapsed() < Duration::from_secs(60), "{read} records read, at most {most} behind");
        let mut take = |input: Input<'_>| read += u64::from(matches!(input, Input::Event { .. }));
        source.poll(Duration::from_millis(10), &mut take).unwrap();
        // So slow that the client says a few times where the partitions end.
        std::thread::sleep(Duration::from_millis(15));
        let behind: u64 = source.behind().values().sum();
        assert!(behind + read <= 600, "{behind} behind after {read}");
        most = most.max(behind);
        if read == 600 && most > 0 && behind == 0 {
            break;
        }
    }
}

#[test]
fn a_missing_topic_and_a_missing_broker_are_named() {
    let spec = EventSpec::default();
    let open = |servers: &str| {
        KafkaSource::new(&KafkaConfig::new(servers, "nowhere"), &spec, &ReadOptions::default()).unwrap_err().to_string()
    };
    let text = open("127.0.0.1:9");
    assert!(text.contains("`nowhere` at 127.0.0.1:9: no broker answered within 15 s"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = broker(folder.path()) else { return };
    let text = open(&broker.servers());
    assert!(text.ends_with("the topic does not exist; create it first"), "{text}");
    let config = KafkaConfig::new(broker.servers(), "nowhere");
    let text = KafkaSink::new(&config, Vec::new(), None).unwrap_err().to_string();
    assert!(text.ends_with("the topic does not exist; create it first"), "{text}");
}
