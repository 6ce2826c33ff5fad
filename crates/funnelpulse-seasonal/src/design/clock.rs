//! Time as the trend sees it: from 0 at the first row to 1 at the last, cut at the changepoints.

use funnelpulse_core::{Timestamp, parse_timestamp};
use serde::{Deserialize, Serialize};

use crate::{SeasonalConfig, SeasonalError};

/// Changepoints of a model at most.
pub(crate) const MOST_CHANGEPOINTS: usize = 1_000;

/// Scaled time and changepoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    start: Timestamp,
    /// Microseconds from the first to the last row of the history.
    span: f64,
    /// Changepoints in scaled time, ascending.
    changepoints: Vec<f64>,
}

impl Clock {
    /// From the times of the history, at least two.
    pub(crate) fn new(config: &SeasonalConfig, time: &[Timestamp]) -> Result<Self, SeasonalError> {
        let (first, last) = (time[0], time[time.len() - 1]);
        let span = last.as_micros().saturating_sub(first.as_micros()) as f64;
        let mut clock = Self { start: first, span, changepoints: Vec::new() };
        let mut changepoints = match &config.changepoints {
            Some(dates) => {
                let mut times = Vec::with_capacity(dates.len());
                for date in dates {
                    let time = parse_timestamp(date).map_err(funnelpulse_core::Error::from)?;
                    if time < first || time > last {
                        return Err(SeasonalError::Changepoint { time });
                    }
                    times.push(time);
                }
                times.sort_unstable();
                times.dedup();
                times
            }
            None => spread(config, time.len()).into_iter().map(|row| time[row]).collect(),
        };
        if config.growth == crate::Growth::Flat {
            changepoints.clear();
        }
        clock.changepoints = changepoints.into_iter().map(|t| clock.scale(t)).collect();
        Ok(clock)
    }

    pub(crate) fn scale(&self, time: Timestamp) -> f64 {
        time.as_micros().saturating_sub(self.start.as_micros()) as f64 / self.span
    }

    /// The first row of the history.
    #[cfg(feature = "prophet")]
    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    /// Microseconds from the first to the last row of the history.
    #[cfg(feature = "prophet")]
    pub(crate) fn span(&self) -> f64 {
        self.span
    }

    pub(crate) fn changepoints(&self) -> &[f64] {
        &self.changepoints
    }

    /// The times of the changepoints.
    pub(crate) fn changepoint_times(&self) -> Vec<Timestamp> {
        self.changepoints.iter().map(|s| self.start.offset((s * self.span).round() as i64)).collect()
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.span > 0.0
            && self.span.is_finite()
            && self.changepoints.len() <= MOST_CHANGEPOINTS
            && self.changepoints.iter().all(|s| (0.0..=1.0).contains(s))
            && self.changepoints.is_sorted()
    }
}

/// The rows of the changepoints: evenly over the first part of the history, without its first row.
fn spread(config: &SeasonalConfig, rows: usize) -> Vec<usize> {
    let candidates = (rows as f64 * config.changepoint_range).floor() as usize;
    let n = config.n_changepoints.min(candidates.saturating_sub(1));
    let place = |i: usize| (candidates - 1) as f64 * (i as f64 / n as f64);
    (1..=n).map(|i| place(i).round_ties_even() as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changepoints_spread_over_the_first_part() {
        let rows = spread(&SeasonalConfig::default(), 720);
        assert_eq!(rows.len(), 25);
        assert_eq!((rows[0], rows[24]), (23, 575));
        assert_eq!(spread(&SeasonalConfig::default(), 10), [1, 2, 3, 4, 5, 6, 7]);
        assert!(spread(&SeasonalConfig::default(), 1).is_empty());
    }
}
