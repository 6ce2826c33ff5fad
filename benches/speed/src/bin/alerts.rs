//! `cargo run --release -p funnelpulse-benches --bin alerts [RATE]`
//!
//! From an event to its alert: a generated shop of 40 brands, three weeks of training by the default detectors, then three
//! days whose events come at RATE (50,000) a second, an hour in about a second: each event of the shop comes from so many
//! visitors. The delay of an alert is the time from the event that closes the hour to the delivery, on the clock with all
//! cores and default settings.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use funnelpulse::{
    Pipeline,
    alerts::NotifierConfig,
    core::{BoxError, Frame, Panel, Timestamp, parse_timestamp},
    eval::generator::{GeneratedFunnel, GeneratorConfig, RawEvent},
    features::{Event, EventSpec},
};
use funnelpulse_benches::hours;
use funnelpulse_streaming::{
    Alert, CheckpointStore, Deliver, Engine, EngineConfig, Input, LiveDetection, MemorySink, Polled, Position,
    Positions, Runner, RunnerConfig, Source, StreamError,
};

/// Events per second.
const RATE: f64 = 50_000.0;
/// Hours that are trained on, and followed.
const TRAINED: usize = 21 * 24;
const FOLLOWED: usize = 3 * 24;
/// Events that are handed out at a time at the most: those of a hundredth of a second.
const BATCH: usize = 500;

/// Events that come at a fixed rate from the first poll on.
struct Paced {
    events: Vec<RawEvent>,
    /// Visitors of each event.
    visitors: usize,
    rate: f64,
    next: usize,
    begun: Option<Instant>,
    /// When the first event of each hour came.
    hours: Arc<Mutex<BTreeMap<Timestamp, Instant>>>,
}

impl Source for Paced {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        let begun = *self.begun.get_or_insert_with(|| {
            take(Input::Assigned { partition: 0, name: "events", not_before: None });
            Instant::now()
        });
        let all = self.events.len() * self.visitors;
        if self.next == all {
            return Ok(Polled::End);
        }
        let there = |now: Instant| (now.duration_since(begun).as_secs_f64() * self.rate) as usize;
        let mut until = there(Instant::now());
        if until <= self.next {
            std::thread::sleep(wait.min(Duration::from_secs_f64(BATCH as f64 / self.rate)));
            until = there(Instant::now());
        }
        let until = until.min(self.next + BATCH).min(all);
        for index in self.next..until {
            let came = begun + Duration::from_secs_f64(index as f64 / self.rate);
            let event = &self.events[index / self.visitors];
            let hour = event.time.floor_to(Timestamp::HOUR);
            self.hours.lock().expect("no panic").entry(hour).or_insert(came);
            give(event, index % self.visitors, take);
        }
        let came = if until > self.next { Polled::Records } else { Polled::Nothing };
        self.next = self.next.max(until);
        Ok(came)
    }

    fn positions(&self) -> Positions {
        Positions::from([("events".to_owned(), Position { next: self.next as u64, done: false })])
    }

    fn seek(&mut self, _: &Positions) -> Result<(), StreamError> {
        Ok(())
    }
}

fn give(event: &RawEvent, visitor: usize, take: &mut dyn FnMut(Input<'_>)) {
    let (user, session) = (format!("{}-{visitor}", event.user_id), format!("{}-{visitor}", event.session_uuid()));
    let product = event.product_id.to_string();
    let event = Event {
        time: event.time,
        event_type: event.event_type,
        keys: &[event.brand.as_deref()],
        product: Some(&product),
        user: Some(&user),
        session: Some(&session),
        price: Some(event.price),
    };
    take(Input::Event { partition: 0, event: &event, identity: None });
}

/// Notes how long alerts took.
struct Noting {
    hours: Arc<Mutex<BTreeMap<Timestamp, Instant>>>,
    seconds: Arc<Mutex<Vec<f64>>>,
}

impl Deliver for Noting {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<(), BoxError> {
        let (hours, mut seconds) = (self.hours.lock().expect("no panic"), self.seconds.lock().expect("no panic"));
        for alert in alerts {
            let body: serde_json::Value = serde_json::from_str(&alert.body)?;
            // That of an incident which is over has the time of its end.
            if body["status"] == "resolved" {
                continue;
            }
            let end = parse_timestamp(body["time"].as_str().ok_or("no time")?)?;
            // The hour is over with the first event of a later one.
            if let Some((_, came)) = hours.range(end..).next() {
                seconds.push(came.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let rate = std::env::args().nth(1).map_or(Ok(RATE), |text| text.parse())?;
    let days = (TRAINED + FOLLOWED).div_ceil(24);
    let shop = GeneratedFunnel::generate(&GeneratorConfig { days, ..GeneratorConfig::default() })?;
    let start = shop.panel().iter().filter_map(|(_, frame)| frame.time().first().copied()).min();
    let split = start.ok_or_else(|| anyhow!("an empty shop"))?.offset(TRAINED as i64 * Timestamp::HOUR);
    let events: Vec<RawEvent> = shop.raw_events().filter(|event| event.time >= split).collect();
    let visitors = (rate * FOLLOWED as f64 / events.len() as f64).ceil() as usize;
    let model =
        Arc::new(Pipeline::builder().build()?.fit(&scaled(&hours(shop.panel(), 0..TRAINED)?, visitors as f64)?)?);
    let now = events.last().map_or(split, |event| event.time);
    println!("{} events of {FOLLOWED} hours at {rate} a second", events.len() * visitors);

    let (came, seconds) = (Arc::default(), Arc::default());
    let source = Paced { events, visitors, rate, next: 0, begun: None, hours: Arc::clone(&came) };
    let operator = LiveDetection::new(model)?.with_alerts(NotifierConfig::default())?;
    let engine = Engine::new(&EventSpec::default(), EngineConfig::new(0))?;
    let store = CheckpointStore::open("memory://alerts")?;
    let receiver = Box::new(Noting { hours: came, seconds: Arc::clone(&seconds) });
    let runner = Runner::new(source, engine, operator, MemorySink::default(), store, RunnerConfig::default())?;
    let metrics = runner.with_alerts(receiver).run(&false.into(), || now)?;

    let mut seconds = seconds.lock().expect("no panic").clone();
    seconds.sort_by(f64::total_cmp);
    anyhow::ensure!(!seconds.is_empty(), "no alert");
    let at = |share: f64| seconds[((share * seconds.len() as f64) as usize).min(seconds.len() - 1)];
    println!(
        "{} alerts: median {:.2} s, p99 {:.2} s, slowest {:.2} s; {} checkpoints; a window took {:.0} ms, at the most {:.0}",
        seconds.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        metrics.checkpoints,
        1e3 * metrics.operator_seconds / metrics.windows as f64,
        1e3 * metrics.slowest_window_seconds
    );
    Ok(())
}

/// The same rows with so many times the counts.
fn scaled(panel: &Panel, times: f64) -> anyhow::Result<Panel> {
    let mut all = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        let values = frame.values().mapv(|value| times * value);
        all.insert(key.clone(), Frame::new(frame.time().to_vec(), frame.columns().clone(), values)?)?;
    }
    Ok(all)
}
