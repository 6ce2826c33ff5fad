//! Processor time of the stages.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Processor time spent per stage, added up over threads.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch(Mutex<BTreeMap<String, Duration>>);

impl Stopwatch {
    /// Runs `work`, which stays on this thread, on the account of `stage`.
    pub(crate) fn time<T>(&self, stage: &str, work: impl FnOnce() -> T) -> T {
        self.measure(stage, clock::thread, work)
    }

    /// Runs `work`, which may use all threads while nothing else runs, on the account of `stage`.
    pub(crate) fn time_all<T>(&self, stage: &str, work: impl FnOnce() -> T) -> T {
        self.measure(stage, clock::process, work)
    }

    fn measure<T>(&self, stage: &str, clock: fn() -> Duration, work: impl FnOnce() -> T) -> T {
        let start = clock();
        let result = work();
        let spent = clock().saturating_sub(start);
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stages.get_mut(stage) {
            Some(total) => *total += spent,
            None => {
                stages.insert(stage.to_owned(), spent);
            }
        }
        result
    }

    /// Stages with their times, the longest first.
    pub(crate) fn finish(self) -> Vec<(String, Duration)> {
        let stages = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut stages: Vec<_> = stages.into_iter().collect();
        stages.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        stages
    }
}

#[cfg(all(unix, feature = "timings"))]
mod clock {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    fn read(clock: ClockId) -> Duration {
        let time = clock_gettime(clock);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    pub(super) fn thread() -> Duration {
        read(ClockId::ThreadCPUTime)
    }

    pub(super) fn process() -> Duration {
        read(ClockId::ProcessCPUTime)
    }
}

/// Without the feature, and elsewhere, where there is no clock of processor time that all targets share, times are zero.
#[cfg(not(all(unix, feature = "timings")))]
mod clock {
    use std::time::Duration;

    pub(super) fn thread() -> Duration {
        Duration::ZERO
    }

    pub(super) fn process() -> Duration {
        Duration::ZERO
    }
}

#[cfg(all(test, unix, feature = "timings"))]
mod tests {
    use super::*;

    fn busy() -> f64 {
        (0..2_000_000).map(|i| f64::from(i).sqrt()).sum()
    }

    #[test]
    fn times_of_a_stage_add_up_and_sleep_costs_nothing() {
        let watch = Stopwatch::default();
        assert!(watch.time("score", busy) > 0.0);
        watch.time("score", busy);
        watch.time_all("sleep", || std::thread::sleep(Duration::from_millis(50)));
        let stages = watch.finish();
        assert_eq!(stages.len(), 2);
        let score = stages.iter().find(|(name, _)| name == "score").unwrap();
        assert!(score.1 > Duration::ZERO);
    }
}
