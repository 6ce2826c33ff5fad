//! The final windows are the rows of the batch, whatever the arrival order, the number of partitions and the place of
//! a crash.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{cell::Cell, path::Path, rc::Rc, time::Duration};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Float64Type, TimestampMicrosecondType},
};
use funnelpulse_core::{Panel, Timestamp};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
use funnelpulse_features::{EventSpec, FunnelBuilder};
use funnelpulse_io::Table;
use funnelpulse_streaming::{
    Channel, CheckpointStore, Commit, Engine, EngineConfig, FileFormat, FileSink, GoldRows, Input, MemoryRecord,
    MemorySource, Metrics, Polled, Positions, Runner, RunnerConfig, Sink, Source, Step, StreamError,
};

/// Events may be this much older than the newest before them.
const LATENESS: i64 = 900;
/// Records per poll.
const BATCH: usize = 500;

/// The first events of a generated shop.
fn shop(events: usize) -> Vec<MemoryRecord> {
    let config = GeneratorConfig { brands: 3, days: 3, quiet_days: 1, seed: 7, ..GeneratorConfig::default() };
    let shop = GeneratedFunnel::generate(&config).unwrap();
    let mut records: Vec<MemoryRecord> = Vec::new();
    for event in shop.raw_events().take(events) {
        records.push(MemoryRecord::Event {
            time: event.time,
            event_type: event.event_type.into(),
            keys: vec![event.brand.as_deref().map(str::to_uppercase)],
            product: Some(event.product_id.to_string()),
            user: Some(event.user_id.to_string()),
            session: Some(event.session_uuid()),
            price: Some(event.price),
        });
    }
    records
}

fn time_of(record: &MemoryRecord) -> i64 {
    match record {
        MemoryRecord::Event { time, .. } => time.as_micros() / Timestamp::SECOND,
        MemoryRecord::Broken(_) => 0,
    }
}

/// The hash of a number: an arbitrary but fixed order.
fn mixed(index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// Arrival orders that stay within the lateness.
fn arrivals(events: &[MemoryRecord]) -> Vec<(&'static str, Vec<MemoryRecord>)> {
    let sorted_by = |key: &dyn Fn(usize, i64) -> (i64, i64)| {
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by_key(|i| key(*i, time_of(&events[*i])));
        order.into_iter().map(|i| events[i].clone()).collect::<Vec<_>>()
    };
    let mut repeated = Vec::new();
    for (i, event) in events.iter().enumerate() {
        repeated.push(event.clone());
        if i % 3 == 0 {
            // A producer that sends again what it sent a little ago.
            repeated.push(events[i.saturating_sub(i % 7)].clone());
        }
    }
    vec![
        ("in order of time", events.to_vec()),
        ("mixed within blocks", sorted_by(&|i, t| (t / LATENESS, mixed(i) as i64))),
        ("backwards within blocks", sorted_by(&|_, t| (t / LATENESS, -t))),
        ("delayed at random", sorted_by(&|i, t| (t + (mixed(i) % LATENESS as u64) as i64, 0))),
        ("with repeats", repeated),
    ]
}

fn batch(events: &[MemoryRecord]) -> Panel {
    let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3_600).unwrap();
    let mut source = MemorySource::new(vec![events.to_vec()], 1_000);
    let mut push = |input: Input<'_>| {
        if let Input::Event { event, .. } = input {
            funnel.push(event);
        }
    };
    while source.poll(Duration::ZERO, &mut push).unwrap() != Polled::End {}
    funnel.finish().unwrap().panel
}

type Rows = Vec<(i64, String, Vec<u64>)>;

fn rows_of_panel(panel: &Panel) -> Rows {
    let mut rows = Vec::new();
    for (key, frame) in panel {
        for (time, values) in frame.time().iter().zip(frame.values().rows()) {
            rows.push((time.as_micros(), key.to_string(), values.iter().map(|v| v.to_bits()).collect()));
        }
    }
    rows.sort();
    rows
}

fn rows_of(batches: &[RecordBatch]) -> Rows {
    let mut rows = Vec::new();
    for batch in batches {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let names = arrow::compute::cast(batch.column(1), &arrow::datatypes::DataType::Utf8).unwrap();
        for row in 0..batch.num_rows() {
            let values = (2..6).map(|c| batch.column(c).as_primitive::<Float64Type>().value(row).to_bits());
            rows.push((times.value(row), names.as_string::<i32>().value(row).to_owned(), values.collect()));
        }
    }
    rows.sort();
    rows
}

/// Counts down at each call of a source or sink; at zero the process dies.
#[derive(Clone, Default)]
struct Fuse(Rc<Cell<Option<u32>>>, Rc<Cell<u32>>);

impl Fuse {
    fn burn(&self) -> Result<(), StreamError> {
        self.1.set(self.1.get() + 1);
        match self.0.get() {
            Some(0) => {
                Err(StreamError::Setting { field: "fuse", value: "0".into(), allowed: "the process is dead".into() })
            }
            left => {
                self.0.set(left.map(|n| n - 1));
                Ok(())
            }
        }
    }
}

struct Mortal<T>(T, Fuse);

impl<S: Source> Source for Mortal<S> {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        self.1.burn()?;
        let polled = self.0.poll(wait, take)?;
        self.1.burn()?;
        Ok(polled)
    }
    fn positions(&self) -> Positions {
        self.0.positions()
    }
    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        self.0.seek(positions)
    }
}

impl<K: Sink> Sink for Mortal<K> {
    fn recover(&mut self, committed: &[String]) -> Result<(), StreamError> {
        self.0.recover(committed)
    }
    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        self.1.burn()?;
        self.0.write(channel, rows)
    }
    fn prepare(&mut self, epoch: u64) -> Result<Vec<String>, StreamError> {
        self.1.burn()?;
        let files = self.0.prepare(epoch)?;
        self.1.burn()?;
        Ok(files)
    }
    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StreamError> {
        self.1.burn()?;
        self.0.commit(commit)?;
        self.1.burn()
    }
}

/// Runs a stream to its end or to its death.
fn run(folder: &Path, partitions: &[Vec<MemoryRecord>], slide: bool, fuse: &Fuse) -> Result<Metrics, StreamError> {
    let config = EngineConfig { slide_seconds: slide.then_some(300), ..EngineConfig::new(LATENESS as u64) };
    let sink = FileSink::new(&folder.join("out"), FileFormat::Parquet, "task-0")?;
    // Checkpoints at once in some runs, beside the rounds that follow in the others.
    let write_beside_from = if slide { 0 } else { usize::MAX };
    let settings = RunnerConfig {
        flush: true,
        checkpoint_records: 1_300,
        checkpoint_seconds: 3_600.0,
        write_beside_from,
        ..RunnerConfig::default()
    };
    let mut runner = Runner::new(
        Mortal(MemorySource::new(partitions.to_vec(), BATCH), fuse.clone()),
        Engine::new(&EventSpec::default(), config)?,
        GoldRows::new(vec!["brand".into()]),
        Mortal(sink, fuse.clone()),
        CheckpointStore::open(folder.join("checkpoints").to_str().unwrap())?,
        settings,
    )?;
    while runner.step(Timestamp::from_seconds(1_900_000_000))? == Step::More {}
    Ok(runner.metrics())
}

fn output(folder: &Path) -> Rows {
    rows_of(Table::read(&folder.join("out")).unwrap().batches())
}

/// Partitions as a producer with a hash of the user fills them.
fn split(events: &[MemoryRecord], count: usize) -> Vec<Vec<MemoryRecord>> {
    let mut partitions = vec![Vec::new(); count];
    for event in events {
        let MemoryRecord::Event { user: Some(user), .. } = event else { continue };
        partitions[user.bytes().map(usize::from).sum::<usize>() % count].push(event.clone());
    }
    partitions
}

#[test]
fn final_rows_are_those_of_the_batch_whatever_happens() {
    let events = shop(30_000);
    let expected = rows_of_panel(&batch(&events));
    assert!(expected.len() > 100, "{}", expected.len());
    for (index, (order, arrived)) in arrivals(&events).iter().enumerate() {
        for partitions in [1, 2, 5] {
            let partitions = split(arrived, partitions);
            let slide = index % 2 == 1;
            let whole = tempfile::tempdir().unwrap();
            let fuse = Fuse::default();
            let metrics = run(whole.path(), &partitions, slide, &fuse).unwrap();
            assert_eq!(output(whole.path()), expected, "{order}, {} partitions", partitions.len());
            assert!(metrics.account.balances() && metrics.account.late == 0, "{:?}", metrics.account);
            let calls = fuse.1.get();
            for kill in 0..20 {
                let folder = tempfile::tempdir().unwrap();
                let fuse = Fuse::default();
                fuse.0.set(Some(calls * kill / 20));
                assert!(run(folder.path(), &partitions, slide, &fuse).is_err());
                fuse.0.set(None);
                let again = run(folder.path(), &partitions, slide, &fuse).unwrap();
                let place = format!("{order}, {} partitions, killed at {kill} of 20", partitions.len());
                assert_eq!(output(folder.path()), expected, "{place}");
                assert_eq!(again.account, metrics.account, "{place}");
            }
        }
    }
}

#[test]
fn a_process_that_dies_again_and_again_gets_there() {
    let events = shop(12_000);
    let expected = rows_of_panel(&batch(&events));
    let partitions = split(&events, 2);
    let folder = tempfile::tempdir().unwrap();
    let fuse = Fuse::default();
    let mut deaths = 0;
    loop {
        fuse.0.set(Some(10 + deaths % 7));
        match run(folder.path(), &partitions, false, &fuse) {
            Ok(metrics) => {
                assert!(metrics.account.balances());
                break;
            }
            Err(_) => deaths += 1,
        }
        assert!(deaths < 1_000, "no progress");
    }
    assert!(deaths > 5, "{deaths}");
    assert_eq!(output(folder.path()), expected);
}

#[test]
fn a_second_process_on_the_same_checkpoints_is_refused() {
    let events = shop(12_000);
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        Runner::new(
            MemorySource::new(vec![events.clone()], 100),
            Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap(),
            GoldRows::new(vec!["brand".into()]),
            FileSink::new(&folder.path().join(name), FileFormat::JsonLines, "task-0").unwrap(),
            CheckpointStore::open(folder.path().join("checkpoints").to_str().unwrap()).unwrap(),
            RunnerConfig::default(),
        )
        .unwrap()
    };
    let (mut first, mut second) = (start("a"), start("b"));
    let now = Timestamp::from_seconds(1_900_000_000);
    first.step(now).unwrap();
    second.step(now).unwrap();
    first.checkpoint().unwrap();
    let error = second.checkpoint().unwrap_err().to_string();
    assert!(error.starts_with("epoch 1 was already written to"), "{error}");
}

#[test]
fn poisoned_records_junk_keys_and_strays_do_no_harm() {
    let mut records = Vec::new();
    for (i, event) in shop(12_000).into_iter().enumerate() {
        if i % 10 == 0 {
            records.push(MemoryRecord::Broken("\u{0}poison".repeat(10_000)));
        }
        if i % 1_000 == 0 {
            for year_1970 in [0, 5] {
                let MemoryRecord::Event { event_type, keys, .. } = &event else { continue };
                records.push(MemoryRecord::Event {
                    time: Timestamp::from_seconds(year_1970),
                    event_type: event_type.clone(),
                    keys: keys.clone(),
                    product: None,
                    user: None,
                    session: None,
                    price: None,
                });
            }
        }
        records.push(event);
        if i % 2 == 0 {
            let MemoryRecord::Event { time, .. } = records[records.len() - 1] else { continue };
            let key = vec![Some(format!("junk-{i}"))];
            let event_type = "view".into();
            records.push(MemoryRecord::Event {
                time,
                event_type,
                keys: key,
                product: None,
                user: None,
                session: None,
                price: None,
            });
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig { max_series: 50, ..EngineConfig::new(900) };
    let sink = FileSink::new(folder.path(), FileFormat::JsonLines, "task-0").unwrap();
    let mut runner = Runner::new(
        MemorySource::new(vec![records.clone()], 500),
        Engine::new(&EventSpec::default(), config).unwrap(),
        GoldRows::new(vec!["brand".into()]),
        sink,
        CheckpointStore::open("memory://").unwrap(),
        RunnerConfig { flush: true, max_dead_letters: 100, max_dead_letter_bytes: 64, ..Default::default() },
    )
    .unwrap();
    // The clock of this machine leaps forward and back.
    let mut seconds = 1_900_000_000;
    let mut step = 0;
    loop {
        step += 1;
        seconds += if step % 2 == 0 { 100_000_000 } else { -99_999_999 };
        if runner.step(Timestamp::from_seconds(seconds)).unwrap() == Step::Done {
            break;
        }
    }
    let metrics = runner.metrics();
    let account = &metrics.account;
    assert!(account.balances(), "{account:?}");
    assert_eq!(account.read, records.len() as u64);
    assert_eq!(account.dead_lettered, 1_200);
    assert_eq!((account.late, metrics.series), (0, 50));
    assert_eq!(metrics.dead_letters, 100);
    assert_eq!(metrics.dead_letters + metrics.dead_letters_dropped, account.rejected_total() + 1_200);
    let letters = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.to_string_lossy().contains("dead-letters").then(|| std::fs::read_to_string(path).unwrap())
    });
    let text: String = letters.collect();
    assert!(text.contains("the time is before `earliest`"), "{}", &text[..text.len().min(500)]);
    assert!(text.lines().all(|line| line.len() < 300));
}
