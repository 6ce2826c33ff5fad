//! Where the time goes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time spent per stage, added up over threads.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch(Mutex<BTreeMap<String, Duration>>);

impl Stopwatch {
    /// Runs `work` on the account of `stage`.
    pub(crate) fn time<T>(&self, stage: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let spent = start.elapsed();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_stage_add_up() {
        let watch = Stopwatch::default();
        assert_eq!(watch.time("score", || 3), 3);
        let nap = || std::thread::sleep(Duration::from_millis(2));
        watch.time("explain", nap);
        watch.time("explain", nap);
        let stages = watch.finish();
        assert_eq!(stages[0].0, "explain");
        assert!(stages[0].1 >= Duration::from_millis(4));
        assert_eq!(stages.len(), 2);
    }
}
