//! Progress of a pipeline.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use funnelpulse_core::SeriesKey;

/// A phase of training or scoring.
///
/// ```
/// use funnelpulse_pipeline::Phase;
///
/// let name = |phase| match phase {
///     Phase::Prepare => "preparing",
///     Phase::Fit => "training",
///     Phase::Detect => "scoring",
/// };
/// assert_eq!(name(Phase::Fit), "training");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Metrics, baselines and features.
    Prepare,
    /// Training: each detector goes through all series.
    Fit,
    /// Scoring.
    Detect,
}

/// One completed step of a [`Phase`].
///
/// ```
/// use funnelpulse_core::SeriesKey;
/// use funnelpulse_pipeline::{Phase, Progress};
///
/// let line = |p: Progress<'_>| format!("{:?} {}/{}: {}", p.phase, p.done, p.total, p.series);
/// let series = SeriesKey::new("runail");
/// let progress = Progress { phase: Phase::Detect, done: 1, total: 2, series: &series };
/// assert_eq!(line(progress), "Detect 1/2: runail");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The phase.
    pub phase: Phase,
    /// Steps done in this phase: series, in training series times detectors.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// The series just done.
    pub series: &'a SeriesKey,
}

type Callback = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Calls back after each series.
#[derive(Clone, Default)]
pub(crate) struct Reporter(Option<Callback>);

impl Reporter {
    pub(crate) fn new(callback: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    pub(crate) fn phase(&self, phase: Phase, total: usize) -> impl Fn(&SeriesKey) + Sync + '_ {
        let done = AtomicUsize::new(0);
        move |series| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(callback) = &self.0 {
                callback(Progress { phase, done, total, series });
            }
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Reporter(..)" } else { "Reporter" })
    }
}
