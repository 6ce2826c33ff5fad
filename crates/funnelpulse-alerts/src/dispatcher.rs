//! From the caller to the sinks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Alert, AlertsError, DeliveryError, Sink,
    pace::{Backoff, Bucket},
    spool::{Found, Pending, Spool},
};

/// Settings of [`Dispatcher`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DispatchConfig {
    /// The file that keeps alerts until they are delivered. Without one they are kept in memory
    /// and lost when the process ends.
    pub spool: Option<PathBuf>,
    /// Alerts that may wait to be written to the spool, and alerts that may wait to be delivered,
    /// 1 to 1000000. Beyond that new ones are refused.
    pub capacity: usize,
    /// Alerts per minute and sink in the long run, above 0 to 60000.
    pub per_minute: f64,
    /// Alerts at once after a silence, 1 to 60000.
    pub burst: u32,
    /// Milliseconds before the first retry, 1 to 3600000; they double with each failure.
    pub retry_first_ms: u64,
    /// Most milliseconds between retries, 1 to 86400000.
    pub retry_most_ms: u64,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        Self {
            spool: None,
            capacity: 10_000,
            per_minute: 60.0,
            burst: 10,
            retry_first_ms: 1_000,
            retry_most_ms: 300_000,
        }
    }
}

impl DispatchConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), AlertsError> {
        let check = |ok: bool, name, value: &dyn fmt::Display, allowed| {
            if ok { Ok(()) } else { Err(AlertsError::field(name, value, allowed)) }
        };
        check((1..=1_000_000).contains(&self.capacity), "capacity", &self.capacity, "1 to 1000000")?;
        let rate = self.per_minute > 0.0 && self.per_minute <= 60_000.0;
        check(rate, "per_minute", &self.per_minute, "above 0 to 60000")?;
        check((1..=60_000).contains(&self.burst), "burst", &self.burst, "1 to 60000")?;
        let first = (1..=3_600_000).contains(&self.retry_first_ms);
        check(first, "retry_first_ms", &self.retry_first_ms, "1 to 3600000")?;
        let most = (1..=86_400_000).contains(&self.retry_most_ms);
        check(most, "retry_most_ms", &self.retry_most_ms, "1 to 86400000")
    }
}

/// What became of the alerts of one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkReport {
    /// Delivered since the start.
    pub delivered: u64,
    /// Attempts that failed and were or will be made again.
    pub retries: u64,
    /// Alerts the sink will never take; kept beside the spool, ending `rejected`.
    pub rejected: u64,
    /// Waiting.
    pub pending: u64,
    /// Why the last attempt failed; `None` after one that worked. Holds no secret.
    pub last_error: Option<String>,
}

/// What became of all alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DispatchReport {
    /// Per sink.
    pub sinks: BTreeMap<String, SinkReport>,
    /// Alerts found in the spool at the start.
    pub recovered: u64,
    /// Lines of the spool that were damaged; the file as it was is kept, ending `damaged`.
    pub damaged_lines: u64,
    /// Why the spool could not be written, the last time that happened: the alerts are in memory only.
    pub spool_error: Option<String>,
}

/// An alert that was not taken: too many are waiting, or the dispatcher is shutting down.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("alert {} was not taken: too many are waiting", .0.id)]
pub struct Refused(pub Box<Alert>);

#[derive(Debug)]
struct State {
    pending: BTreeMap<u64, Pending>,
    spool: Option<Spool>,
    report: DispatchReport,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Sent and not yet in `pending`. Not in the state: its lock is held while the spool is synced,
    /// for which no caller shall wait.
    underway: AtomicUsize,
    /// Sent and not yet delivered to all sinks.
    waiting: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements that can panic: sinks run without the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers alerts to sinks, in the order they came, without ever holding up the caller.
///
/// [`send`](Self::send) only queues. A thread writes what is queued to the spool and syncs it; a
/// thread per sink takes it from there, so that a sink that hangs blocks neither the caller nor
/// another sink. A delivery that fails is made again, with growing waits, until it works, also
/// after a restart; an alert that a sink refuses for good is kept beside the spool. Each sink gets
/// no more than its rate. Delivery is at least once.
///
/// ```
/// use std::time::Duration;
/// use funnelpulse_alerts::{Alert, DispatchConfig, Dispatcher, JsonLines};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let sink = JsonLines::new("memory", Vec::new());
/// let dispatcher = Dispatcher::new(DispatchConfig::default(), vec![Box::new(sink)])?;
/// dispatcher.send(Alert::new("runail", Severity::High, Timestamp::from_seconds(0)))?;
/// let report = dispatcher.shutdown(Duration::from_secs(5));
/// assert_eq!(report.sinks["memory"].delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Alert>>,
    writer: Option<JoinHandle<()>>,
    capacity: usize,
}

impl Dispatcher {
    /// Opens the spool and starts delivering what is in it. Alerts in it for sinks that are not
    /// among `sinks` are dropped.
    pub fn new(config: DispatchConfig, sinks: Vec<Box<dyn Sink>>) -> Result<Self, AlertsError> {
        config.validate()?;
        let names: BTreeSet<String> = sinks.iter().map(|s| s.name().to_owned()).collect();
        if names.len() != sinks.len() {
            return Err(AlertsError::field("sinks", names.len(), "sinks with different names"));
        }
        let (spool, found) = match &config.spool {
            Some(path) => Spool::open(path).map(|(spool, found)| (Some(spool), found))?,
            None => (None, Found::default()),
        };
        let mut pending = found.pending;
        for waiting in pending.values_mut() {
            waiting.sinks.retain(|sink| names.contains(sink));
        }
        pending.retain(|_, waiting| !waiting.sinks.is_empty());
        let report = DispatchReport {
            sinks: names.iter().map(|name| (name.clone(), SinkReport::default())).collect(),
            recovered: pending.len() as u64,
            damaged_lines: found.damaged as u64,
            spool_error: None,
        };
        let next = pending.last_key_value().map_or(0, |(number, _)| number + 1);
        let state = State { pending, spool, report, next, closed: false };
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(state.pending.len()),
            underway: AtomicUsize::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (queue, received) = sync_channel(config.capacity);
        let writer = {
            let shared = shared.clone();
            start("alerts-spool", move || write(&shared, &received, &names))?
        };
        for (seed, sink) in sinks.into_iter().enumerate() {
            let (shared, config) = (shared.clone(), config.clone());
            start("alerts-sink", move || deliver(&shared, sink, &config, seed as u64))?;
        }
        Ok(Self { shared, queue: Some(queue), writer: Some(writer), capacity: config.capacity })
    }

    /// Queues an alert for all sinks; never waits. Gives it back where too many are waiting.
    pub fn send(&self, alert: Alert) -> Result<(), Refused> {
        let Some(queue) = &self.queue else { return Err(Refused(Box::new(alert))) };
        let Shared { underway, waiting, .. } = &*self.shared;
        if waiting.fetch_add(1, SeqCst) >= self.capacity {
            waiting.fetch_sub(1, SeqCst);
            return Err(Refused(Box::new(alert)));
        }
        underway.fetch_add(1, SeqCst);
        queue.try_send(alert).map_err(|error| {
            waiting.fetch_sub(1, SeqCst);
            underway.fetch_sub(1, SeqCst);
            let (TrySendError::Full(alert) | TrySendError::Disconnected(alert)) = error;
            Refused(Box::new(alert))
        })
    }

    /// Waits until every alert sent so far is in the spool; `false` when that takes longer.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.wait(timeout, |_| self.shared.underway.load(SeqCst) == 0)
    }

    /// What became of the alerts.
    pub fn report(&self) -> DispatchReport {
        let state = self.shared.lock();
        let mut report = state.report.clone();
        for sink in state.pending.values().flat_map(|p| &p.sinks) {
            if let Some(sink) = report.sinks.get_mut(sink) {
                sink.pending += 1;
            }
        }
        report
    }

    /// Takes no more alerts, writes all that were sent to the spool, gives sinks up to `timeout` to
    /// deliver them and stops. What is left is delivered after the next start.
    pub fn shutdown(mut self, timeout: Duration) -> DispatchReport {
        self.close(timeout);
        self.report()
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.lock();
        let result = self.shared.changed.wait_timeout_while(state, timeout, |state| !done(state));
        let (state, _) = result.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    fn close(&mut self, timeout: Duration) {
        // Without the sender the writer ends as soon as it has written everything.
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // It has no panicking call; if it had panicked there would be nothing left to wait for.
            let _ = writer.join();
            self.wait(timeout, |state| state.pending.is_empty());
        }
        let mut state = self.shared.lock();
        state.closed = true;
        // A sink that hangs in a delivery must not keep the spool from its next owner.
        state.spool = None;
        self.shared.changed.notify_all();
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AlertsError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| AlertsError::file(name, e))
}

/// Moves alerts from the queue to the spool, until the queue is closed and empty.
fn write(shared: &Shared, queue: &Receiver<Alert>, sinks: &BTreeSet<String>) {
    for alert in queue {
        let mut guard = shared.lock();
        let state = &mut *guard;
        let (number, pending) = (state.next, Pending { alert: Arc::new(alert), sinks: sinks.clone() });
        if let Some(Err(e)) = state.spool.as_mut().map(|spool| spool.put(number, &pending)) {
            state.report.spool_error = Some(e.to_string());
        }
        state.next += 1;
        shared.underway.fetch_sub(1, SeqCst);
        if sinks.is_empty() {
            shared.waiting.fetch_sub(1, SeqCst);
        } else {
            state.pending.insert(number, pending);
        }
        shared.changed.notify_all();
    }
}

/// Delivers to one sink, until the dispatcher is closed.
fn deliver(shared: &Shared, mut sink: Box<dyn Sink>, config: &DispatchConfig, seed: u64) {
    let name = sink.name().to_owned();
    let mut bucket = Bucket::new(config.per_minute, config.burst, Instant::now());
    let millis = Duration::from_millis;
    let mut backoff = Backoff::new(millis(config.retry_first_ms), millis(config.retry_most_ms), seed);
    while let Some((number, alert)) = next(shared, &name) {
        if let Err(wait) = bucket.take(Instant::now()) {
            pause(shared, wait);
            continue;
        }
        // A sink that panics on an alert would do so again, and its thread is needed for the others.
        let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink.deliver(&alert)));
        let outcome = attempt.unwrap_or_else(|_| Err(DeliveryError::permanent("the sink panicked")));
        let mut guard = shared.lock();
        let state = &mut *guard;
        let report = state.report.sinks.entry(name.clone()).or_default();
        report.last_error = outcome.as_ref().err().map(ToString::to_string);
        match outcome {
            Ok(()) => report.delivered += 1,
            Err(DeliveryError::Permanent { reason }) => {
                report.rejected += 1;
                if let Some(Err(e)) = state.spool.as_ref().map(|spool| spool.reject(&alert, &name, &reason)) {
                    state.report.spool_error = Some(e.to_string());
                }
            }
            Err(DeliveryError::Temporary { retry_after, .. }) => {
                report.retries += 1;
                drop(guard);
                let asked = retry_after.unwrap_or_default().min(millis(config.retry_most_ms));
                pause(shared, backoff.next().max(asked));
                continue;
            }
        }
        backoff.reset();
        finish(shared, state, number, &name);
        shared.changed.notify_all();
    }
}

/// Waits for the first alert that `sink` lacks; `None` when the dispatcher is closed.
fn next(shared: &Shared, sink: &str) -> Option<(u64, Arc<Alert>)> {
    let mut state = shared.lock();
    loop {
        if state.closed {
            return None;
        }
        if let Some((number, pending)) = state.pending.iter().find(|(_, p)| p.sinks.contains(sink)) {
            return Some((*number, pending.alert.clone()));
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits, but not longer than the dispatcher is open.
fn pause(shared: &Shared, time: Duration) {
    let result = shared.changed.wait_timeout_while(shared.lock(), time, |state| !state.closed);
    drop(result.unwrap_or_else(PoisonError::into_inner));
}

fn finish(shared: &Shared, state: &mut State, number: u64, sink: &str) {
    if let Some(pending) = state.pending.get_mut(&number) {
        pending.sinks.remove(sink);
        if pending.sinks.is_empty() {
            state.pending.remove(&number);
            shared.waiting.fetch_sub(1, SeqCst);
        }
    }
    if let Some(spool) = &mut state.spool
        && let Err(e) = spool.done(number, sink).and_then(|()| spool.compact(&state.pending))
    {
        state.report.spool_error = Some(e.to_string());
    }
}

#[cfg(test)]
mod tests;
