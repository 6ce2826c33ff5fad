//! The threads of a dispatcher.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst, mpsc::Receiver},
    time::{Duration, Instant},
};

use super::{DispatchConfig, Queued, Shared, State};
use crate::{
    Alert, DeliveryError, Sink,
    pace::{Backoff, Bucket},
    spool::Pending,
};

/// Moves alerts from the queue to the spool, until the queue is closed and empty.
pub(super) fn write(shared: &Shared, queue: &Receiver<Queued>, sinks: &BTreeSet<String>) {
    for Queued { alert, once } in queue {
        let mut state = shared.lock();
        let known = once && knows(&state, &alert.id);
        if !known {
            keep(&mut state, Pending { alert: Arc::new(alert), sinks: sinks.clone() });
        }
        shared.underway.fetch_sub(1, SeqCst);
        if known || sinks.is_empty() {
            shared.waiting.fetch_sub(1, SeqCst);
        }
        shared.changed.notify_all();
    }
}

fn knows(state: &State, id: &str) -> bool {
    let finished = state.spool.as_ref().is_some_and(|spool| spool.has_finished(id));
    finished || state.pending.values().any(|p| p.alert.id == id)
}

/// Puts an alert into the spool, and among those that wait.
fn keep(state: &mut State, pending: Pending) {
    let number = state.next;
    state.next = state.next.saturating_add(1);
    if let Some(Err(e)) = state.spool.as_mut().map(|spool| spool.put(number, &pending)) {
        state.report.spool_error = Some(e.to_string());
    }
    if !pending.sinks.is_empty() {
        state.pending.insert(number, pending);
    }
}

/// Delivers to one sink, until the dispatcher is closed.
pub(super) fn deliver(shared: &Shared, mut sink: Box<dyn Sink>, config: &DispatchConfig, seed: u64) {
    let name = sink.name().to_owned();
    let mut bucket = Bucket::new(config.per_minute, config.burst, Instant::now());
    let most = Duration::from_millis(config.retry_most_ms);
    let mut backoff = Backoff::new(Duration::from_millis(config.retry_first_ms), most, seed);
    let mut turn = Turn::default();
    while let Some((number, alert)) = next(shared, &name, turn.passed) {
        if let Err(wait) = bucket.take(Instant::now()) {
            pause(shared, wait);
            continue;
        }
        if !begin(shared, &name) {
            return;
        }
        // A sink that panics on an alert would do so again, and its thread is needed for the others.
        let attempt = catch_unwind(AssertUnwindSafe(|| sink.deliver(&alert)));
        let outcome = attempt.unwrap_or_else(|_| Err(DeliveryError::permanent("the sink panicked")));
        match note(shared, number, &name, outcome) {
            None => {
                backoff.reset();
                turn = Turn::default();
            }
            Some(asked) => {
                turn.failed(number);
                pause(shared, backoff.next().max(asked.min(most)));
            }
        }
    }
}

/// Failures in a row after which an alert lets the next one try: one that a receiver can't take must
/// not hold up all others for ever.
const PATIENT_FAILURES: u32 = 3;

/// Whose turn it is.
#[derive(Debug, Default)]
struct Turn {
    number: u64,
    failures: u32,
    /// The alert that let others try.
    passed: Option<u64>,
}

impl Turn {
    fn failed(&mut self, number: u64) {
        self.failures = if self.number == number { self.failures + 1 } else { 1 };
        self.number = number;
        if self.failures >= PATIENT_FAILURES {
            self.failures = 0;
            self.passed = Some(number);
        }
    }
}

/// Waits for an alert that `sink` lacks; `None` when the dispatcher is closed.
fn next(shared: &Shared, sink: &str, passed: Option<u64>) -> Option<(u64, Arc<Alert>)> {
    let mut state = shared.lock();
    loop {
        if state.closed {
            return None;
        }
        if let Some(found) = choose(&state, sink, passed) {
            return Some(found);
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The first alert that `sink` lacks, or the first behind the one that let others try. Alerts of one
/// incident never overtake each other.
fn choose(state: &State, sink: &str, passed: Option<u64>) -> Option<(u64, Arc<Alert>)> {
    let mut lacking = state.pending.iter().filter(|(_, p)| p.sinks.contains(sink)).peekable();
    let first = lacking.peek().map(|(number, p)| (**number, p.alert.clone()))?;
    let Some(passed) = passed else { return Some(first) };
    let mut incidents = BTreeSet::new();
    let other = lacking.find(|(number, p)| incidents.insert(&p.alert.incident) && **number > passed);
    Some(other.map_or(first, |(number, p)| (*number, p.alert.clone())))
}

/// Marks a delivery as under way, unless the dispatcher is closed.
fn begin(shared: &Shared, sink: &str) -> bool {
    let mut state = shared.lock();
    if !state.closed {
        state.busy.insert(sink.to_owned());
    }
    !state.closed
}

/// Notes how an attempt ended. Where it is to be made again: how long the receiver wants to be
/// left alone.
fn note(shared: &Shared, number: u64, sink: &str, outcome: Result<(), DeliveryError>) -> Option<Duration> {
    let mut guard = shared.lock();
    let state = &mut *guard;
    state.busy.remove(sink);
    let report = state.report.sinks.entry(sink.to_owned()).or_default();
    report.last_error = outcome.as_ref().err().map(ToString::to_string);
    let again = match outcome {
        Ok(()) => {
            report.delivered += 1;
            None
        }
        Err(DeliveryError::Permanent { reason }) => {
            report.rejected += 1;
            reject(state, number, sink, &reason);
            None
        }
        Err(DeliveryError::Temporary { retry_after, .. }) => {
            report.retries += 1;
            Some(retry_after.unwrap_or_default())
        }
    };
    if again.is_none() {
        finish(shared, state, number, sink);
    }
    shared.changed.notify_all();
    again
}

/// Keeps an alert that a sink refused for good.
fn reject(state: &mut State, number: u64, sink: &str, reason: &str) {
    let (Some(pending), Some(spool)) = (state.pending.get(&number), &state.spool) else { return };
    if let Err(e) = spool.reject(&pending.alert, sink, reason) {
        state.report.spool_error = Some(e.to_string());
    }
}

/// Notes that a sink needs an alert no more.
fn finish(shared: &Shared, state: &mut State, number: u64, sink: &str) {
    let Some(pending) = state.pending.get_mut(&number) else { return };
    pending.sinks.remove(sink);
    let last = pending.sinks.is_empty();
    let id = pending.alert.id.clone();
    if last {
        state.pending.remove(&number);
        shared.waiting.fetch_sub(1, SeqCst);
    }
    if let Some(spool) = &mut state.spool
        && let Err(e) = spool.done(number, sink, last.then_some(id)).and_then(|()| spool.compact(&state.pending))
    {
        state.report.spool_error = Some(e.to_string());
    }
}

/// Waits, but not longer than the dispatcher is open.
fn pause(shared: &Shared, time: Duration) {
    let result = shared.changed.wait_timeout_while(shared.lock(), time, |state| !state.closed);
    drop(result.unwrap_or_else(PoisonError::into_inner));
}
