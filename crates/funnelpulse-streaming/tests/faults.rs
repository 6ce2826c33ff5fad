//! A day of a feed in which everything goes wrong: a stray event of 1970, junk keys, poisoned messages, repeats, late
//! events, a wall clock that jumps. The stream goes on, every record is accounted for, memory stays bounded, and dead
//! letters say why.
//!
//! The large one: `FUNNELPULSE_FAULTS=5000000 cargo test --release -p funnelpulse-streaming --test faults -- --nocapture`

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]
#![allow(clippy::print_stdout, reason = "figures of a test program")]

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use arrow::array::{AsArray, RecordBatch};
use funnelpulse_core::Timestamp;
use funnelpulse_features::{Event, EventSpec};
use funnelpulse_streaming::{
    Channel, CheckpointStore, Commit, Engine, EngineConfig, GoldRows, Input, Polled, Positions, Runner, RunnerConfig,
    Sink, Source, Step, StreamError,
};

/// Records of the test; more by `FUNNELPULSE_FAULTS`.
const RECORDS: u64 = 200_000;
/// Of so many records one is of its kind.
const POISONED: u64 = 1_000;
const JUNK: u64 = 5;
const REPEATED: u64 = 7;
const LATE: u64 = 501;
/// The brands of the shop.
const BRANDS: u64 = 20;
/// 2024-01-01T00:00:00Z, and the seconds of the day.
const START: i64 = 1_704_067_200;
const DAY: u64 = 86_400;
/// Series that are known at most: the brands, and some junk until it expires.
const MOST_SERIES: usize = 2_000;
const MOST_REMEMBERED: usize = 1_000_000;

/// The feed: record `next` of `records` in the order of a day, the same each time.
struct Feed {
    next: u64,
    records: u64,
    assigned: bool,
}

/// An arbitrary but fixed number.
fn mixed(index: u64) -> u64 {
    (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn is_repeat(index: u64) -> bool {
    // Of what could not be read there is nothing to repeat.
    index.is_multiple_of(REPEATED) && !index.is_multiple_of(POISONED)
}

/// Two hours late, from the fourth hour on.
fn is_late(index: u64, records: u64) -> bool {
    index % LATE == LATE - 1 && index * 24 / records >= 3
}

impl Feed {
    fn give(&self, take: &mut dyn FnMut(Input<'_>)) {
        let (partition, index) = (0, self.next);
        if index % POISONED == POISONED - 1 {
            return take(Input::Broken { partition, reason: "no JSON: expected `{`".into(), value: b"\xff\x00poison" });
        }
        // A repeat is the record before it.
        let of = if is_repeat(index) { index - 1 } else { index };
        let is_stray = of == self.records / 2;
        let seconds = of * DAY / self.records;
        let seconds = if is_late(of, self.records) { seconds - 7_200 } else { seconds };
        let time = if is_stray { Timestamp::from_seconds(3) } else { Timestamp::from_seconds(START + seconds as i64) };
        let brand = format!("brand {}", mixed(of) % BRANDS);
        let junk = format!("junk {:016x}", mixed(of));
        let key = if of % JUNK == 1 { &junk } else { &brand };
        let user = of.to_string();
        let event = Event {
            time,
            event_type: ["view", "view", "cart", "purchase", "refund"][(mixed(of) / 7 % 5) as usize],
            keys: &[Some(key)],
            product: Some("5"),
            user: Some(&user),
            session: None,
            price: Some(9.5),
        };
        take(Input::Event { partition, event: &event, identity: None });
    }
}

impl Source for Feed {
    fn poll(&mut self, _: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        if !self.assigned {
            self.assigned = true;
            take(Input::Assigned { partition: 0, name: "feed", not_before: None });
        }
        let end = (self.next + 1_000).min(self.records);
        while self.next < end {
            self.give(take);
            self.next += 1;
        }
        Ok(if self.next == self.records { Polled::End } else { Polled::Records })
    }

    fn positions(&self) -> Positions {
        Positions::new()
    }

    fn seek(&mut self, _: &Positions) -> Result<(), StreamError> {
        Ok(())
    }
}

/// What went out.
#[derive(Default)]
struct Written {
    /// Views by brand, of all windows.
    views: BTreeMap<String, f64>,
    /// Dead letters by reason.
    letters: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
struct Tally(Rc<RefCell<Written>>);

impl Sink for Tally {
    fn recover(&mut self, _: &[String]) -> Result<(), StreamError> {
        Ok(())
    }

    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        let mut written = self.0.borrow_mut();
        let texts = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().clone();
        if channel == Channel::DeadLetters {
            for reason in texts("reason").iter().flatten() {
                *written.letters.entry(reason.to_owned()).or_default() += 1;
            }
            return Ok(());
        }
        let views = rows.column_by_name("views").unwrap().as_primitive::<arrow::datatypes::Float64Type>();
        for (brand, views) in texts("brand").iter().zip(views).filter(|(brand, _)| !brand.unwrap().contains("junk")) {
            *written.views.entry(brand.unwrap().to_owned()).or_default() += views.unwrap();
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<String>, StreamError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &Commit<'_>) -> Result<(), StreamError> {
        Ok(())
    }
}

/// Resident memory of this process in MiB; 0 where the system does not say.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096.0 / (1024.0 * 1024.0)
}

/// The wall clock at a record: with a leap of a year in the morning, and back to 1970 in the evening.
fn wall_clock(read: u64, records: u64) -> Timestamp {
    let now = Timestamp::from_seconds(START + (read * DAY / records) as i64);
    match read * 24 / records {
        8 => now.offset(365 * Timestamp::DAY),
        20 => Timestamp::from_seconds(0),
        _ => now,
    }
}

/// The views of each brand as the feed means them.
fn due(records: u64) -> BTreeMap<String, f64> {
    let mut views = BTreeMap::new();
    for index in (0..records).filter(|index| index % POISONED != POISONED - 1 && !is_repeat(*index)) {
        let is_other = index % JUNK == 1 || is_late(index, records) || index == records / 2;
        if !is_other && mixed(index) / 7 % 5 < 2 {
            *views.entry(format!("brand {}", mixed(index) % BRANDS)).or_default() += 1.0;
        }
    }
    views
}

#[test]
fn a_day_of_faults_is_accounted_for_in_bounded_memory() {
    let records = std::env::var("FUNNELPULSE_FAULTS").map_or(RECORDS, |text| text.parse().unwrap());
    let config = EngineConfig {
        max_series: MOST_SERIES,
        max_remembered: MOST_REMEMBERED,
        expire_windows: Some(2),
        idle_seconds: Some(600),
        silent_seconds: Some(1_800),
        ..EngineConfig::new(600)
    };
    let sink = Tally::default();
    let mut runner = Runner::new(
        Feed { next: 0, records, assigned: false },
        Engine::new(&EventSpec::default(), config).unwrap(),
        GoldRows::new(vec!["brand".into()]),
        sink.clone(),
        CheckpointStore::open("memory://faults").unwrap(),
        RunnerConfig { flush: true, checkpoint_records: 20_000, max_dead_letters: 2_000, ..RunnerConfig::default() },
    )
    .unwrap();
    let (mut most_series, mut most_remembered, mut memory) = (0, 0, Vec::new());
    let mut read = 0;
    loop {
        let step = runner.step(wall_clock(read, records)).unwrap();
        let metrics = runner.metrics();
        assert!(metrics.account.balances(), "{:?}", metrics.account);
        (most_series, most_remembered) = (most_series.max(metrics.series), most_remembered.max(metrics.remembered));
        if metrics.account.read * 24 / records > read * 24 / records {
            memory.push(resident());
        }
        read = metrics.account.read;
        if step == Step::Done {
            break;
        }
    }
    let metrics = runner.metrics();
    println!("{:?}\nat most {most_series} series, {most_remembered} remembered events", metrics.account);
    println!("resident MiB by hour: {memory:.0?}");
    assert_eq!((metrics.account.read, metrics.windows), (records, 24));
    assert!(most_series <= MOST_SERIES && most_remembered <= MOST_REMEMBERED);
    // Not a byte for each junk key: the second half of the day takes no more than the first.
    let (noon, night) = (memory[memory.len() / 2], *memory.last().unwrap());
    assert!(night <= 1.1 * noon + 8.0, "{memory:?}");
    let written = sink.0.borrow();
    println!("dead letters: {:?}, {} not written", written.letters, metrics.dead_letters_dropped);
    let reasons =
        ["no JSON", "late: its window is closed", "the time is before `earliest`", "`max_series` series are known"];
    for reason in reasons {
        assert!(written.letters.keys().any(|why| why.contains(reason)), "no letter says {reason}");
    }
    let letters: u64 = written.letters.values().sum::<u64>() + metrics.dead_letters_dropped;
    let account = &metrics.account;
    assert_eq!(letters, account.late + account.rejected_total() + account.dead_lettered, "each has a letter");
    // The brands are as if nothing had gone wrong.
    assert_eq!(written.views, due(records));
}
