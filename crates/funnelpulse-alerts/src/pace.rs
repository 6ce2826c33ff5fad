//! How often, and when again.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// A token bucket: `burst` at once, then `per_minute`.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_minute: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { per_second: per_minute / 60.0, burst, tokens: burst, at: now }
    }

    /// Takes a token, or says how long it will be until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.at = now;
        // A wait that ends a rounding error early counts as over.
        if self.tokens >= 1.0 - 1e-9 {
            self.tokens = (self.tokens - 1.0).max(0.0);
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }
}

/// Waits that double from `first` to `most`, each cut by a random part of up to half: sinks that
/// went down together don't come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    random: Pcg64,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self { first, most, failures: 0, random: Pcg64::seed_from_u64(seed) }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(30));
        self.failures += 1;
        doubled.min(self.most).mul_f64(self.random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60.0, 2, start);
        assert_eq!((bucket.take(start), bucket.take(start)), (Ok(()), Ok(())));
        let wait = bucket.take(start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(bucket.take(start + wait), Ok(()));
        assert!(bucket.take(start + wait).is_err());
        // A long silence saves up no more than the burst.
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| bucket.take(later).is_ok()).count(), 2);
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 1);
        let waits: Vec<f64> = (0..100).map(|_| backoff.next().as_secs_f64()).collect();
        assert!(waits[0] >= 0.5 && waits[0] <= 1.0 && waits[3] >= 4.0 && waits[3] <= 8.0);
        assert!(waits[10..].iter().all(|w| *w >= 30.0 && *w <= 60.0));
        assert!(waits.windows(2).any(|w| w[0] != w[1]));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
