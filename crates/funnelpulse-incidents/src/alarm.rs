//! From heights to probabilities: how often noise alone is as high.

use serde::{Deserialize, Serialize};

use crate::windows::HORIZON;

/// Hours of a mean month.
const MONTH: f64 = 730.5;
/// Hours below a height that one incident may hold.
const BRIDGE: usize = 3;
/// Rates per series and month between which noise is the rule and there are enough to count.
const COUNTED: (f64, f64) = (2.0, 8.0);
/// Heights at which incidents are counted: first, step and number.
const HEIGHTS: (f64, f64, usize) = (2.05, 0.1, 40);
/// Prior of the slope of log rates on heights, with its standard deviation: windows of normal
/// deviates have about -u at a height of u.
const SLOPE: (f64, f64) = (2.5, 0.5);
const SLOPE_BOUNDS: (f64, f64) = (1.0, 4.0);
/// Mean height of real incidents above the least: a broad prior, from barely seen to obvious.
const EXCESS: f64 = 3.0;
const LEAST_HEIGHT: f64 = 2.0;

/// Rate of false incidents per series and month above a height: `exp(log_rate - slope * height)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    log_rate: f64,
    slope: f64,
    /// Rows of a false incident, on average.
    rows: f64,
    /// Logarithm of the rate of real incidents per series and month.
    log_incidents: f64,
}

impl Alarm {
    /// From the heights of all rows of each series, those of unobserved hours left out.
    pub(crate) fn fit(series: &[Vec<(usize, f64)>], incidents_per_year: f64) -> Self {
        let months = series.iter().map(Vec::len).sum::<usize>() as f64 / MONTH;
        let log_incidents = (incidents_per_year / 12.0).ln();
        let (first, step, number) = HEIGHTS;
        let points: Vec<(f64, f64, f64)> = (0..number)
            .map(|i| first + step * i as f64)
            .map(|height| {
                let (incidents, rows) = count(series, height);
                (height, incidents as f64, rows as f64)
            })
            .filter(|(_, incidents, _)| (COUNTED.0 * months..=COUNTED.1 * months).contains(incidents))
            .collect();
        if points.is_empty() || months <= 0.0 {
            // Too little was seen: deviates of windows as they should be, eight a month above 2.7.
            let slope = SLOPE.0;
            return Self { log_rate: COUNTED.1.ln() + slope * 2.7, slope, rows: 6.0, log_incidents };
        }
        let weight: f64 = points.iter().map(|p| p.1).sum();
        let mean = |of: &dyn Fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| p.1 * of(p)).sum::<f64>() / weight;
        let (height, log) = (mean(&|p| p.0), mean(&|p| (p.1 / months).ln()));
        // Counts at neighbouring heights are of the same incidents: the highest count is the sample.
        let sample = points.iter().map(|p| p.1).fold(0.0, f64::max) / weight;
        let cross: f64 =
            points.iter().map(|p| p.1 * (p.0 - height) * ((p.1 / months).ln() - log)).sum::<f64>() * sample;
        let square: f64 = points.iter().map(|p| p.1 * (p.0 - height).powi(2)).sum::<f64>() * sample;
        let prior = 1.0 / (SLOPE.1 * SLOPE.1);
        let slope = ((prior * SLOPE.0 - cross) / (prior + square)).clamp(SLOPE_BOUNDS.0, SLOPE_BOUNDS.1);
        let rows = points.iter().map(|p| p.2).sum::<f64>() / weight;
        Self { log_rate: log + slope * height, slope, rows: rows.clamp(1.0, HORIZON as f64), log_incidents }
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.log_rate.abs() < 100.0
            && (SLOPE_BOUNDS.0..=SLOPE_BOUNDS.1).contains(&self.slope)
            && (1.0..=HORIZON as f64).contains(&self.rows)
            && self.log_incidents.abs() < 20.0
    }

    /// The height that noise exceeds this often per series and month.
    pub(crate) fn threshold(&self, per_month: f64) -> f64 {
        (self.log_rate - per_month.ln()) / self.slope
    }

    /// Log odds that an hour of this height is part of an incident: the density of real incidents
    /// over that of false ones.
    pub(crate) fn log_odds(&self, height: f64) -> f64 {
        let real = self.log_incidents - EXCESS.ln() - (height - LEAST_HEIGHT) / EXCESS;
        real - self.slope.ln() - (self.log_rate - self.slope * height)
    }

    /// The height of log odds.
    pub(crate) fn height(&self, log_odds: f64) -> f64 {
        let at_zero = self.log_odds(0.0);
        (log_odds - at_zero) / (self.slope - 1.0 / EXCESS)
    }

    /// Decades of the share of normal rows as high, never below zero and rising throughout.
    pub(crate) fn evidence(&self, log_odds: f64) -> f64 {
        let log_share = self.log_rate - self.slope * self.height(log_odds) + (self.rows / MONTH).ln();
        let ln = -log_share;
        (ln.max(0.0) + (-ln.abs()).exp().ln_1p()) / std::f64::consts::LN_10
    }
}

/// Incidents of rows at or above a height, joined over short gaps, and their rows.
fn count(series: &[Vec<(usize, f64)>], height: f64) -> (usize, usize) {
    let (mut incidents, mut rows) = (0, 0);
    for heights in series {
        let mut last: Option<usize> = None;
        for (hour, _) in heights.iter().filter(|(_, h)| *h >= height) {
            incidents += usize::from(last.is_none_or(|last| hour - last > BRIDGE));
            rows += 1;
            last = Some(*hour);
        }
    }
    (incidents, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm() -> Alarm {
        Alarm { log_rate: 7.0, slope: 2.2, rows: 5.0, log_incidents: 0.0 }
    }

    #[test]
    fn odds_and_evidence_rise_with_the_height() {
        let alarm = alarm();
        let mut before = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for height in (0..80).map(|i| f64::from(i) * 0.1) {
            let odds = alarm.log_odds(height);
            assert!((alarm.height(odds) - height).abs() < 1e-9);
            let now = (odds, alarm.evidence(odds));
            assert!(now.0 > before.0 && now.1 > before.1 && now.1 >= 0.0);
            before = now;
        }
    }

    #[test]
    fn a_known_rate_is_found() {
        // Single hours with exponential heights: exp(9 - 2.5 u) a month above u.
        let hours = 200_000;
        let heights: Vec<(usize, f64)> = (0..hours)
            .map(|i| {
                let p = (f64::from((i * 7919) % hours) + 0.5) / f64::from(hours);
                (i as usize, ((9.0 - (p * 730.5).ln()) / 2.5).max(0.0))
            })
            .collect();
        let alarm = Alarm::fit(&[heights], 12.0);
        assert!(alarm.is_valid() && (alarm.threshold(1.0) - 3.6).abs() < 0.2, "{alarm:?}");
    }

    #[test]
    fn no_data_have_a_threshold_too() {
        let alarm = Alarm::fit(&[], 12.0);
        assert!(alarm.is_valid() && (3.0..5.0).contains(&alarm.threshold(1.0)));
    }
}
