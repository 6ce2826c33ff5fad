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
    while let Some((number, alert)) = next(shared, &name) {
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
            None => backoff.reset(),
            Some(asked) => pause(shared, backoff.next().max(asked.min(most))),
        }
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
