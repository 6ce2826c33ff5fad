//! Alerts do not wait for the time of a checkpoint, and are delivered by one.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use funnelpulse_core::{BoxError, Timestamp};
use funnelpulse_features::EventSpec;
use funnelpulse_streaming::{
    Alert, CheckpointStore, ClosedWindow, Deliver, Engine, EngineConfig, Input, MemoryRecord, MemorySink, MemorySource,
    Models, Operator, Output, Polled, Positions, Runner, RunnerConfig, Source, StreamError,
};

const START: i64 = 1_569_888_000;

/// Events that come and, after them, nothing for ever.
struct Waiting(MemorySource);

impl Source for Waiting {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        Ok(match self.0.poll(wait, take)? {
            Polled::End => Polled::Nothing,
            other => other,
        })
    }

    fn positions(&self) -> Positions {
        self.0.positions()
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        self.0.seek(positions)
    }
}

/// An alert for each window.
struct Alarmed;

impl Operator for Alarmed {
    fn window(&mut self, window: &ClosedWindow) -> Result<Output, BoxError> {
        let alert = Alert { id: window.start.to_string(), body: "{}".to_owned() };
        Ok(Output { rows: Vec::new(), alerts: vec![alert] })
    }

    fn state(&self) -> Result<Vec<u8>, BoxError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8], _: &dyn Models) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Keeps what is delivered; fails as long as it is broken.
#[derive(Clone, Default)]
struct Receiver {
    delivered: Arc<Mutex<Vec<String>>>,
    broken: Arc<Mutex<bool>>,
}

impl Deliver for Receiver {
    fn deliver(&mut self, alerts: &[Alert]) -> Result<(), BoxError> {
        if *self.broken.lock().unwrap() {
            return Err("no answer".into());
        }
        self.delivered.lock().unwrap().extend(alerts.iter().map(|alert| alert.id.clone()));
        Ok(())
    }
}

fn runner(receiver: &Receiver, config: RunnerConfig) -> Runner<Waiting, Alarmed, MemorySink> {
    let event = |hour: i64| MemoryRecord::Event {
        time: Timestamp::from_seconds(START + 3_600 * hour),
        event_type: "view".into(),
        keys: vec![Some("Runail".into())],
        product: None,
        user: None,
        session: None,
        price: None,
    };
    let source = Waiting(MemorySource::new(vec![vec![event(0), event(1), event(2), event(3)]], 100));
    let engine = Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap();
    let store = CheckpointStore::open("memory://alerts").unwrap();
    let runner = Runner::new(source, engine, Alarmed, MemorySink::default(), store, config).unwrap();
    runner.with_alerts(Box::new(receiver.clone()))
}

fn now() -> Timestamp {
    Timestamp::from_seconds(START + 86_400)
}

#[test]
fn alerts_are_delivered_before_the_time_of_the_checkpoint() {
    let receiver = Receiver::default();
    let config = RunnerConfig { checkpoint_seconds: 3_600.0, alert_seconds: 0.05, ..RunnerConfig::default() };
    let mut runner = runner(&receiver, config);
    for _ in 0..100 {
        runner.step(now()).unwrap();
        if !receiver.delivered.lock().unwrap().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let delivered = receiver.delivered.lock().unwrap().clone();
    assert!(delivered.contains(&"2019-10-01T00:00:00Z".to_owned()), "{delivered:?}");
    assert_eq!(runner.metrics().checkpoints, 1, "delivered by a checkpoint that holds them");
    // Nothing new: the next checkpoint is that of the hour.
    std::thread::sleep(Duration::from_millis(60));
    runner.step(now()).unwrap();
    assert_eq!(runner.metrics().checkpoints, 1);
}

#[test]
fn alerts_that_can_not_be_delivered_bring_about_no_checkpoints() {
    let receiver = Receiver::default();
    *receiver.broken.lock().unwrap() = true;
    let config = RunnerConfig { checkpoint_seconds: 0.5, alert_seconds: 0.01, ..RunnerConfig::default() };
    let mut runner = runner(&receiver, config);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(15));
        runner.step(now()).unwrap();
    }
    let metrics = runner.metrics();
    assert!(metrics.checkpoints == 1 && metrics.alert_error.is_some(), "{metrics:?}");
    // They are delivered when the receiver answers again.
    *receiver.broken.lock().unwrap() = false;
    std::thread::sleep(Duration::from_millis(510));
    runner.step(now()).unwrap();
    assert!(runner.metrics().alerts_waiting == 0 && runner.metrics().alerts > 0);
}
