//! `cargo run --release -p funnelpulse-benches --bin checkpoint [KEYS]`
//!
//! Checkpoints of KEYS (100,000) series with an open hour of ten events each: processor time (that of the reading in between
//! included, a thousand polls of an event), bytes, the longest time between two polls, and the memory of so many keys.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context;
use funnelpulse::{
    core::Timestamp,
    features::{Event, EventSpec},
};
use funnelpulse_benches::{feed::START, peak_mib, process_seconds};
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, GoldRows, Input, MemorySink, Polled, Positions, Runner, RunnerConfig,
    Source, Step, StreamError,
};

const KEYS: u64 = 100_000;
/// Events of each key in the open hour.
const EACH: u64 = 10;
/// Checkpoints that are measured.
const RUNS: u64 = 5;
/// Events per poll.
const BATCH: u64 = 10_000;
/// Seconds between two checkpoints.
const INTERVAL: f64 = 4.0;
/// The pause between two polls once all is loaded.
const PAUSE: Duration = Duration::from_millis(1);

/// Events of one hour; one more with each poll after that.
struct Hour {
    keys: u64,
    next: u64,
    polled: Option<Instant>,
    /// The longest times between two polls once all is loaded, and now.
    longest: Rc<Cell<Duration>>,
}

impl Hour {
    fn give(&mut self, take: &mut dyn FnMut(Input<'_>)) {
        let (brand, user) = (format!("brand {}", self.next % self.keys), self.next.to_string());
        let time = Timestamp::from_seconds(START + (self.next / (self.keys * EACH / 3_500).max(1)) as i64);
        let keys = [Some(brand.as_str())];
        let event = Event {
            time,
            event_type: "view",
            keys: &keys,
            product: None,
            user: Some(&user),
            session: None,
            price: None,
        };
        take(Input::Event { partition: 0, event: &event, identity: None });
        self.next += 1;
    }
}

impl Source for Hour {
    fn poll(&mut self, _: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        if self.next == 0 {
            take(Input::Assigned { partition: 0, name: "hour", not_before: None });
        }
        if let Some(polled) = self.polled {
            self.longest.set(self.longest.get().max(polled.elapsed()));
            std::thread::sleep(PAUSE);
        }
        let all = self.keys * EACH;
        let end = if self.next < all { (self.next + BATCH).min(all) } else { self.next + 1 };
        while self.next < end {
            self.give(take);
        }
        self.polled = (self.next > all).then(Instant::now);
        Ok(Polled::Records)
    }

    fn positions(&self) -> Positions {
        Positions::new()
    }

    fn seek(&mut self, _: &Positions) -> Result<(), StreamError> {
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let keys = std::env::args().nth(1).map_or(Ok(KEYS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let longest = Rc::new(Cell::new(Duration::ZERO));
    let mut runner = Runner::new(
        Hour { keys, next: 0, polled: None, longest: longest.clone() },
        Engine::new(&EventSpec::default(), EngineConfig { max_series: keys as usize, ..EngineConfig::new(600) })?,
        GoldRows::new(vec!["brand".into()]),
        MemorySink::default(),
        CheckpointStore::open(folder.path().to_str().context("a name in UTF-8")?)?,
        RunnerConfig { checkpoint_seconds: INTERVAL, ..RunnerConfig::default() },
    )?;
    let now = Timestamp::from_seconds(1_700_000_000);
    while runner.metrics().account.read < keys * EACH {
        anyhow::ensure!(runner.step(now)? == Step::More, "an hour without end");
    }
    runner.checkpoint()?;
    println!("{keys} keys, {} events: {:.0} MiB at the most", keys * EACH, peak_mib().unwrap_or_default());
    for _ in 0..RUNS {
        longest.set(Duration::ZERO);
        let (done, processor) = (runner.metrics().checkpoints, process_seconds());
        while runner.metrics().checkpoints == done {
            runner.step(now)?;
        }
        println!(
            "a checkpoint every {INTERVAL} s: {:.0} ms of processor time, reading stops for {:.0} ms, {:.1} MB",
            1e3 * (process_seconds() - processor),
            1e3 * longest.get().as_secs_f64(),
            runner.metrics().checkpoint_bytes as f64 / 1e6
        );
    }
    Ok(())
}
