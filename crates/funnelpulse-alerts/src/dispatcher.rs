//! From the caller to the sinks.

mod config;
mod report;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub use config::DispatchConfig;
pub use report::{DispatchReport, Refused, SinkReport};

use crate::{
    Alert, AlertsError, Sink,
    spool::{Found, Pending, Spool},
};

#[derive(Debug)]
struct State {
    pending: BTreeMap<u64, Pending>,
    spool: Option<Spool>,
    report: DispatchReport,
    next: u64,
    /// Sinks with a delivery under way.
    busy: BTreeSet<String>,
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

/// An alert on its way to the spool.
#[derive(Debug)]
struct Queued {
    alert: Alert,
    /// Left out where the spool has had an alert of this id.
    once: bool,
}

/// Delivers alerts to sinks, in the order they came, without ever holding up the caller. An alert that
/// fails three times in a row lets alerts of other incidents go first.
///
/// [`send`](Self::send) only queues. A thread writes what is queued to the spool and syncs it; a
/// thread per sink takes it from there, so that a sink that hangs blocks neither the caller nor
/// another sink. A delivery that fails is made again, with growing waits, until it works, also
/// after a restart; an alert that a sink refuses for good is kept beside the spool. Each sink gets
/// no more than its rate. Delivery is at least once: each acknowledgement is on disk before the next
/// alert is sent, so that only a crash between the two sends an alert again, with the same
/// [key](Alert::idempotency_key).
///
/// A program that ends calls [`shutdown`](Self::shutdown) with its
/// [patience](DispatchConfig::patience) and learns how many alerts wait for its next start.
///
/// ```
/// use funnelpulse_alerts::{Alert, DispatchConfig, Dispatcher, JsonLines};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let sink = JsonLines::new("memory", Vec::new());
/// let config = DispatchConfig::default();
/// let dispatcher = Dispatcher::new(config.clone(), vec![Box::new(sink)])?;
/// dispatcher.send(Alert::new("runail", Severity::High, Timestamp::from_seconds(0)))?;
/// let report = dispatcher.shutdown(config.patience());
/// assert_eq!((report.sinks["memory"].delivered, report.waiting()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Queued>>,
    writer: Option<JoinHandle<()>>,
    config: DispatchConfig,
}

impl Dispatcher {
    /// Opens the spool and starts delivering what is in it. Alerts in it for sinks that are not
    /// among `sinks` go to the file ending `rejected`.
    pub fn new(config: DispatchConfig, sinks: Vec<Box<dyn Sink>>) -> Result<Self, AlertsError> {
        config.validate()?;
        let names: BTreeSet<String> = sinks.iter().map(|s| s.name().to_owned()).collect();
        if names.len() != sinks.len() {
            return Err(AlertsError::field("sinks", names.len(), "sinks with different names"));
        }
        let (spool, mut found) = match &config.spool {
            Some(path) => Spool::open(path).map(|(spool, found)| (Some(spool), found))?,
            None => (None, Found::default()),
        };
        let orphaned = match &spool {
            Some(spool) => set_aside(spool, &mut found.pending, &names)?,
            None => 0,
        };
        let report = DispatchReport {
            sinks: names.iter().map(|name| (name.clone(), SinkReport::default())).collect(),
            recovered: found.pending.len() as u64,
            orphaned,
            damaged_lines: found.damaged as u64,
            spool_error: None,
        };
        let next = found.next;
        let state = State { pending: found.pending, spool, report, next, busy: BTreeSet::new(), closed: false };
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(state.pending.len()),
            underway: AtomicUsize::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (queue, received) = sync_channel(config.capacity);
        let writer = {
            let shared = shared.clone();
            start("alerts-spool", move || worker::write(&shared, &received, &names))?
        };
        for (seed, sink) in sinks.into_iter().enumerate() {
            let (shared, config) = (shared.clone(), config.clone());
            start("alerts-sink", move || worker::deliver(&shared, sink, &config, seed as u64))?;
        }
        Ok(Self { shared, queue: Some(queue), writer: Some(writer), config })
    }

    /// Queues an alert for all sinks; never waits. Gives it back where too many are waiting.
    pub fn send(&self, alert: Alert) -> Result<(), Refused> {
        self.queue(Queued { alert, once: false })
    }

    /// The same, except that an alert is left out where the spool has had one of the same id, be it
    /// waiting or delivered: for a caller that is not sure after a crash. The spool remembers the
    /// last 10000 ids.
    pub fn send_once(&self, alert: Alert) -> Result<(), Refused> {
        self.queue(Queued { alert, once: true })
    }

    fn queue(&self, queued: Queued) -> Result<(), Refused> {
        let Some(queue) = &self.queue else { return Err(Refused(Box::new(queued.alert))) };
        let Shared { underway, waiting, .. } = &*self.shared;
        if waiting.fetch_add(1, SeqCst) >= self.config.capacity {
            waiting.fetch_sub(1, SeqCst);
            return Err(Refused(Box::new(queued.alert)));
        }
        underway.fetch_add(1, SeqCst);
        queue.try_send(queued).map_err(|error| {
            waiting.fetch_sub(1, SeqCst);
            underway.fetch_sub(1, SeqCst);
            let (TrySendError::Full(queued) | TrySendError::Disconnected(queued)) = error;
            Refused(Box::new(queued.alert))
        })
    }

    /// Waits until every alert sent so far is on disk. Fails where the spool could not be written,
    /// by a full disk for example, or is not written within `timeout`: then some alerts are in
    /// memory only. Without a spool there is nothing to wait for but the queue.
    pub fn persist(&self, timeout: Duration) -> Result<(), AlertsError> {
        let written = self.wait(timeout, |_| self.shared.underway.load(SeqCst) == 0);
        let path = self.config.spool.clone().unwrap_or_default();
        match self.shared.lock().report.spool_error.clone() {
            Some(reason) => Err(AlertsError::Spool { path, reason }),
            None if written => Ok(()),
            None => Err(AlertsError::Spool { path, reason: format!("not written within {timeout:?}") }),
        }
    }

    /// Waits until every alert sent so far is delivered or refused for good, at most `patience`.
    /// [`DispatchReport::waiting`] says how many deliveries are left.
    pub fn flush(&self, patience: Duration) -> DispatchReport {
        self.wait(patience, |state| self.shared.underway.load(SeqCst) == 0 && state.pending.is_empty());
        self.report()
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

    /// Whether some sink still lacks an alert, or may lack it.
    pub(crate) fn lacks(&self, id: &str) -> bool {
        let state = self.shared.lock();
        self.shared.underway.load(SeqCst) > 0 || state.pending.values().any(|p| p.alert.id == id)
    }

    /// Takes no more alerts, writes all that were sent to the spool, gives receivers up to
    /// `patience` to take them and stops: no attempt begins after that, and those under way get the
    /// [grace](DispatchConfig::grace_seconds). What is left is delivered after the next start.
    pub fn shutdown(mut self, patience: Duration) -> DispatchReport {
        self.close(patience);
        self.report()
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.lock();
        let result = self.shared.changed.wait_timeout_while(state, timeout, |state| !done(state));
        let (state, _) = result.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    fn close(&mut self, patience: Duration) {
        // Without the sender the writer ends as soon as it has written everything.
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // It has no panicking call; if it had panicked there would be nothing left to wait for.
            let _ = writer.join();
            self.wait(patience, |state| state.pending.is_empty());
        }
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        self.wait(Duration::from_secs(self.config.grace_seconds), |state| state.busy.is_empty());
        // A sink that hangs in a delivery must not keep the spool from its next owner.
        self.shared.lock().spool = None;
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

/// Takes out what waits for sinks that are not there any more, keeps it beside the spool and counts
/// it.
fn set_aside(
    spool: &Spool,
    pending: &mut BTreeMap<u64, Pending>,
    names: &BTreeSet<String>,
) -> Result<u64, AlertsError> {
    let mut count = 0;
    for waiting in pending.values_mut() {
        for sink in waiting.sinks.difference(names) {
            let kept = spool.reject(&waiting.alert, sink, "no sink of this name is configured any more");
            kept.map_err(|e| AlertsError::file(spool.path(), e))?;
            count += 1;
        }
        waiting.sinks.retain(|sink| names.contains(sink));
    }
    pending.retain(|_, waiting| !waiting.sinks.is_empty());
    Ok(count)
}

#[cfg(test)]
mod tests;
