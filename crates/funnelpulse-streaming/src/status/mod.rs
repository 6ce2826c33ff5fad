//! What an operator of the process can see from outside: whether it lives, whether it is ready, and its numbers.

#[cfg(feature = "status")]
mod metrics;
#[cfg(feature = "status")]
mod server;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[cfg(feature = "status")]
pub use server::StatusServer;

use crate::Metrics;

/// A round of the loop takes less than this, unless something hangs: five minutes.
const HANGS: Duration = Duration::from_secs(300);

/// The state of a stream as it is shown outside. Clones show the same.
///
/// ```
/// use funnelpulse_streaming::Status;
///
/// let status = Status::new("loading the model");
/// assert_eq!(status.ready(), Err("loading the model".to_owned()));
/// status.alive(None);
/// assert!(status.ready().is_ok() && status.healthy().is_ok());
/// status.alive(Some("no broker answers".to_owned()));
/// assert_eq!(status.ready(), Err("no broker answers".to_owned()));
/// ```
#[derive(Clone, Debug)]
pub struct Status {
    site: Option<Arc<str>>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    /// The reason why it does not work at the moment.
    waiting: Option<String>,
    alive_at: Instant,
    metrics: Metrics,
}

impl Status {
    /// The status of a stream that does not run yet, with the reason.
    pub fn new(reason: impl Into<String>) -> Self {
        let shown = Shown { waiting: Some(reason.into()), alive_at: Instant::now(), metrics: Metrics::default() };
        Self { site: None, shown: Arc::new(Mutex::new(shown)) }
    }

    /// The status of the stream of this site, one of several.
    pub fn of_site(self, site: &str) -> Self {
        Self { site: Some(site.into()), ..self }
    }

    /// The site, where it is one of several.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// Notes a round of the loop, and the reason why nothing comes, where there is one.
    pub fn alive(&self, waiting: Option<String>) {
        let mut shown = self.shown();
        shown.alive_at = Instant::now();
        shown.waiting = waiting;
    }

    /// Shows these numbers from now on.
    pub fn publish(&self, metrics: Metrics) {
        self.shown().metrics = metrics;
    }

    /// The numbers that are shown.
    pub fn metrics(&self) -> Metrics {
        self.shown().metrics.clone()
    }

    /// Whether the loop goes on; else for how long it has not.
    pub fn healthy(&self) -> Result<(), String> {
        let quiet = self.shown().alive_at.elapsed();
        if quiet <= HANGS {
            return Ok(());
        }
        Err(format!("no round of the loop ended for {} seconds", quiet.as_secs()))
    }

    /// Whether events are processed as they come; else the reason why not.
    pub fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        self.shown().waiting.clone().map_or(Ok(()), Err)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // What a thread that panicked left is as good as what it would have shown.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
