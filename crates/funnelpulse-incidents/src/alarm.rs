//! From heights to probabilities: how often noise alone is as high.

use serde::{Deserialize, Serialize};

use crate::windows::HORIZON;

/// Hours of a mean month.
const MONTH: f64 = 730.5;
/// Hours below a height that one incident may hold.
const BRIDGE: usize = 3;
/// Incidents per series and month: the peaks above the height with at most the second number are fitted, unless
/// they are fewer than the first.
const COUNTED: (f64, f64) = (2.0, 4.0);
/// Heights at which incidents are counted: first, step and number.
const HEIGHTS: (f64, f64, usize) = (2.05, 0.1, 300);
/// Prior of the slope of log rates on heights, with its standard deviation: windows of normal
/// deviates have about -u at a height of u.
const SLOPE: (f64, f64) = (2.5, 0.5);
const SLOPE_BOUNDS: (f64, f64) = (1.0, 4.0);
/// Prior of the mean height of real incidents above the least, and the number of incidents that it counts as:
/// from barely seen to obvious.
const EXCESS: (f64, f64) = (6.0, 5.0);
/// Real incidents are at least this many times as high above the least as false ones, at most the second number.
const EXCESS_BOUNDS: (f64, f64) = (2.0, 1000.0);
const LEAST_HEIGHT: f64 = 2.0;
/// False incidents at least: a short history in which all are real does not rule false ones out.
const LEAST_FALSE: f64 = 0.5;
/// Share of real incidents from which the fit begins, and its rounds.
const FIRST_SHARE: f64 = 0.1;
const ROUNDS: usize = 200;
/// Bounds of the logarithm of how many times as frequent incidents are as the settings say. Without a floor a
/// history without incidents would rule them out.
const PRIOR_BOUNDS: (f64, f64) = (-4.6, 2.0);

/// Rate of false incidents per series and month above a height: `exp(log_rate - slope * height)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    log_rate: f64,
    slope: f64,
    /// Rows of a false incident, on average.
    rows: f64,
    /// Mean height of real incidents above the least.
    excess: f64,
    /// Logarithm of the rate of real incidents per series and month, by the settings.
    log_incidents: f64,
    /// Logarithm of how many times as frequent they were in the history.
    prior: f64,
}

impl Alarm {
    /// From the heights of all rows of each series, those of unobserved hours left out: the peaks of candidates
    /// are a mixture of false incidents and of real ones, which are higher (both exponential; expectation and
    /// maximization, Dempster, Laird and Rubin 1977).
    pub(crate) fn fit(series: &[Vec<(usize, f64)>], incidents_per_year: f64) -> Self {
        let months = series.iter().map(Vec::len).sum::<usize>() as f64 / MONTH;
        let log_incidents = (incidents_per_year / 12.0).ln();
        let (first, step, number) = HEIGHTS;
        let heights = (0..number).map(|i| first + step * i as f64);
        let counts = |height: f64| (height, peaks(series, height));
        let start = heights.map(counts).find(|(_, peaks)| peaks.len() as f64 <= COUNTED.1 * months);
        let Some((start, candidates)) = start.filter(|(_, p)| !p.is_empty() && p.len() as f64 >= COUNTED.0 * months)
        else {
            // Too little was seen: deviates of windows as they should be, eight a month above 2.7.
            let (slope, excess) = (SLOPE.0, EXCESS.0);
            return Self { log_rate: 8_f64.ln() + slope * 2.7, slope, rows: 6.0, excess, log_incidents, prior: 0.0 };
        };
        let excesses: Vec<f64> = candidates.iter().map(|(peak, _)| peak - start).collect();
        let Mixture { slope, excess, real } = Mixture::fit(&excesses);
        let number = candidates.len() as f64;
        let (false_ones, real_ones) = ((number * (1.0 - real)).max(LEAST_FALSE), number * real);
        let rows = candidates.iter().map(|(_, rows)| *rows).sum::<usize>() as f64 / candidates.len() as f64;
        let seen = (real_ones / months).ln() + (start - LEAST_HEIGHT) / excess;
        Self {
            log_rate: (false_ones / months).ln() + slope * start,
            slope,
            rows: rows.clamp(1.0, HORIZON as f64),
            excess,
            log_incidents,
            prior: (seen - log_incidents).clamp(PRIOR_BOUNDS.0, PRIOR_BOUNDS.1),
        }
    }

    /// Logarithm of how many times as frequent incidents were in the history as the settings say.
    pub(crate) fn prior(&self) -> f64 {
        self.prior
    }

    /// Whether it may come from a fit; anything may stand in a file.
    pub(crate) fn is_valid(&self) -> bool {
        self.log_rate.abs() < 100.0
            && (SLOPE_BOUNDS.0..=SLOPE_BOUNDS.1).contains(&self.slope)
            && (1.0..=HORIZON as f64).contains(&self.rows)
            && (EXCESS_BOUNDS.0 / self.slope..=EXCESS_BOUNDS.1).contains(&self.excess)
            && prior_is_valid(self.prior)
            && self.log_incidents.abs() < 20.0
    }

    /// The height that noise exceeds this often per series and month.
    pub(crate) fn threshold(&self, per_month: f64) -> f64 {
        (self.log_rate - per_month.ln()) / self.slope
    }

    /// Log odds that an hour of this height is part of an incident: the density of real incidents
    /// over that of false ones.
    pub(crate) fn log_odds(&self, height: f64) -> f64 {
        let real = self.log_incidents - self.excess.ln() - (height - LEAST_HEIGHT) / self.excess;
        real - self.slope.ln() - (self.log_rate - self.slope * height)
    }

    /// The height of log odds.
    pub(crate) fn height(&self, log_odds: f64) -> f64 {
        let at_zero = self.log_odds(0.0);
        (log_odds - at_zero) / (self.slope - 1.0 / self.excess)
    }

    /// Decades of the share of normal rows as high, never below zero and rising throughout.
    pub(crate) fn evidence(&self, log_odds: f64) -> f64 {
        let log_share = self.log_rate - self.slope * self.height(log_odds) + (self.rows / MONTH).ln();
        let ln = -log_share;
        (ln.max(0.0) + (-ln.abs()).exp().ln_1p()) / std::f64::consts::LN_10
    }
}

/// Whether a prior may come from a fit; anything may stand in a file.
pub(crate) fn prior_is_valid(prior: f64) -> bool {
    (PRIOR_BOUNDS.0..=PRIOR_BOUNDS.1).contains(&prior)
}

/// Peaks above a height: exponential false ones, and real ones with another mean.
struct Mixture {
    /// One over the mean of false peaks.
    slope: f64,
    /// Mean of real peaks.
    excess: f64,
    /// Share of real peaks.
    real: f64,
}

impl Mixture {
    fn fit(peaks: &[f64]) -> Self {
        let number = peaks.len() as f64;
        let mut now = Self { slope: SLOPE.0, excess: EXCESS.0, real: FIRST_SHARE };
        for _ in 0..ROUNDS {
            let (mut real, mut real_sum, mut false_sum) = (0.0, 0.0, 0.0);
            for peak in peaks {
                let share = now.share_real(*peak);
                real += share;
                real_sum += share * peak;
                false_sum += (1.0 - share) * peak;
            }
            let (prior_mean, prior_number) = EXCESS;
            let slope = slope(number - real, false_sum);
            let excess = (real_sum + prior_number * prior_mean) / (real + prior_number);
            now = Self { slope, excess: excess.clamp(EXCESS_BOUNDS.0 / slope, EXCESS_BOUNDS.1), real: real / number };
        }
        now
    }

    /// The probability that a peak is of a real incident.
    fn share_real(&self, peak: f64) -> f64 {
        let is_false = (1.0 - self.real) * self.slope * (-self.slope * peak).exp();
        let is_real = self.real / self.excess * (-peak / self.excess).exp();
        if is_real + is_false > 0.0 { is_real / (is_real + is_false) } else { 1.0 }
    }
}

/// The most probable slope of exponential peaks: their number and sum, with its normal prior.
fn slope(number: f64, sum: f64) -> f64 {
    let precision = 1.0 / (SLOPE.1 * SLOPE.1);
    let linear = precision * SLOPE.0 - sum;
    let slope = (linear + (linear * linear + 4.0 * precision * number).sqrt()) / (2.0 * precision);
    slope.clamp(SLOPE_BOUNDS.0, SLOPE_BOUNDS.1)
}

/// Incidents of rows at or above a height, joined over short gaps: the peak of each, and its rows.
fn peaks(series: &[Vec<(usize, f64)>], height: f64) -> Vec<(f64, usize)> {
    let mut peaks: Vec<(f64, usize)> = Vec::new();
    for heights in series {
        let mut last: Option<usize> = None;
        for (hour, h) in heights.iter().filter(|(_, h)| *h >= height) {
            match (peaks.last_mut(), last) {
                (Some((peak, rows)), Some(last)) if hour - last <= BRIDGE => {
                    *peak = peak.max(*h);
                    *rows += 1;
                }
                _ => peaks.push((*h, 1)),
            }
            last = Some(*hour);
        }
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm() -> Alarm {
        Alarm { log_rate: 7.0, slope: 2.2, rows: 5.0, excess: 4.0, log_incidents: 0.0, prior: 0.0 }
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

    /// Single hours of noise, `exp(9 - 2.5 u)` a month above u, and incidents of two hours: so many a series
    /// and year, from a height of 4 to one of 24.
    fn history(incidents: usize) -> Vec<Vec<(usize, f64)>> {
        let hours = 8766;
        let series = |at: usize| {
            let height = |hour: usize| {
                let p = (((hour + at * hours) * 7919 % 104_729) as f64 + 0.5) / 104_729.0;
                ((9.0 - (p * 730.5).ln()) / 2.5).max(0.0)
            };
            let mut heights: Vec<(usize, f64)> = (0..hours).map(|hour| (hour, height(hour))).collect();
            for i in 0..incidents {
                let from = 80 * i + 40;
                heights[from].1 = 4.0 + 20.0 * ((i * 5 + at) % incidents) as f64 / incidents as f64;
                heights[from + 1].1 = heights[from].1 - 0.5;
            }
            heights
        };
        (0..10).map(series).collect()
    }

    #[test]
    fn frequent_incidents_are_counted_and_do_not_move_the_threshold() {
        let (often, never) = (Alarm::fit(&history(24), 12.0), Alarm::fit(&history(0), 12.0));
        let times = often.prior().exp();
        assert!((1.6..2.8).contains(&times), "{times} times as frequent");
        assert!((often.threshold(1.0) - never.threshold(1.0)).abs() < 0.15, "{often:?} {never:?}");
        // Three times as high as what noise reaches in a year: surely real; what it reaches each month: not.
        assert!(often.log_odds(9.0) + often.prior() > 3.0 && often.log_odds(3.6) + often.prior() < 0.0, "{often:?}");
    }

    #[test]
    fn none_makes_them_rare_but_not_impossible() {
        let none = Alarm::fit(&history(0), 12.0).prior();
        assert!(none <= -2.0 && prior_is_valid(none), "{none}");
    }

    #[test]
    fn no_data_have_a_threshold_too() {
        let alarm = Alarm::fit(&[], 12.0);
        assert!(alarm.is_valid() && (3.0..5.0).contains(&alarm.threshold(1.0)));
        assert!(Alarm::fit(&[vec![(0, f64::NAN); 10]], 12.0).is_valid());
    }
}
