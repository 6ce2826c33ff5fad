//! Settings of the dispatcher.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::AlertsError;

/// Settings of [`Dispatcher`](crate::Dispatcher).
///
/// ```
/// use funnelpulse_alerts::DispatchConfig;
///
/// let config = DispatchConfig { per_minute: 1e-300, ..DispatchConfig::default() };
/// assert_eq!(config.validate().unwrap_err().to_string(), "per_minute = 1e-300 is out of range (0.001 to 60000)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DispatchConfig {
    /// The file that keeps alerts until they are delivered. Without one they are kept in memory
    /// and lost when the process ends.
    pub spool: Option<PathBuf>,
    /// Alerts that may wait to be written to the spool, and alerts that may wait to be delivered,
    /// 1 to 1000000. Beyond that new ones are refused.
    pub capacity: usize,
    /// Alerts per minute and sink in the long run, 0.001 to 60000.
    pub per_minute: f64,
    /// Alerts at once after a silence, 1 to 60000.
    pub burst: u32,
    /// Milliseconds before the first retry, 1 to 3600000; they double with each failure.
    pub retry_first_ms: u64,
    /// Most milliseconds between retries, 1 to 86400000.
    pub retry_most_ms: u64,
    /// Seconds that a program which ends waits for its receivers, 0 to 86400.
    pub patience_seconds: u64,
    /// Seconds after that in which a delivery that is under way may end, 0 to 600: an answer that
    /// comes a moment too late is an answer, not a message that is sent again by the next run.
    pub grace_seconds: u64,
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
            patience_seconds: 30,
            grace_seconds: 10,
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
        // Written as people write it: 1e-300, not 300 zeros.
        let rate = format!("{:?}", self.per_minute);
        check((0.001..=60_000.0).contains(&self.per_minute), "per_minute", &rate, "0.001 to 60000")?;
        check((1..=60_000).contains(&self.burst), "burst", &self.burst, "1 to 60000")?;
        let first = (1..=3_600_000).contains(&self.retry_first_ms);
        check(first, "retry_first_ms", &self.retry_first_ms, "1 to 3600000")?;
        let most = (1..=86_400_000).contains(&self.retry_most_ms);
        check(most, "retry_most_ms", &self.retry_most_ms, "1 to 86400000")?;
        check(self.patience_seconds <= 86_400, "patience_seconds", &self.patience_seconds, "0 to 86400")?;
        check(self.grace_seconds <= 600, "grace_seconds", &self.grace_seconds, "0 to 600")
    }

    /// How long a program that ends waits for its receivers.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }
}
