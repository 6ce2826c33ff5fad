//! How frequent incidents are.

use crate::alarm::Alarm;

/// Log odds from which on rows are looked at: below, there are too few incidents among them to matter.
const LOWEST: f64 = -6.0;
/// Hours by which the rows of one incident may be apart.
const BRIDGE: usize = 3;
const ROUNDS: usize = 100;
/// Logarithms that are possible. Without a floor a history without incidents would rule them out.
const BOUNDS: (f64, f64) = (-4.6, 2.0);
const HOURS_PER_YEAR: f64 = 8766.0;

/// Logarithm of how many times as frequent incidents are as `per_year` says, by expectation and
/// maximization (Dempster, Laird and Rubin 1977): the sum of the probabilities of all candidates, runs
/// of rows at their highest odds, is their number.
pub(crate) fn log_odds(series: &[Vec<f64>], per_year: f64) -> f64 {
    let expected = per_year * series.iter().map(Vec::len).sum::<usize>() as f64 / HOURS_PER_YEAR;
    let candidates: Vec<f64> = series.iter().flat_map(|rows| peaks(rows)).collect();
    let mut prior = 0.0;
    for _ in 0..ROUNDS {
        let found: f64 = candidates.iter().map(|l| 1.0 / (1.0 + (-l - prior).exp())).sum();
        prior = (found / expected).ln().clamp(BOUNDS.0, BOUNDS.1);
    }
    if prior.is_nan() { 0.0 } else { prior }
}

/// The same of rows that have heights.
pub(crate) fn of_heights(series: &[Vec<(usize, f64)>], alarm: &Alarm, per_year: f64) -> f64 {
    let rows = |heights: &Vec<(usize, f64)>| heights.iter().map(|(_, height)| alarm.log_odds(*height)).collect();
    log_odds(&series.iter().map(rows).collect::<Vec<_>>(), per_year)
}

/// Whether it may come from a fit; anything may stand in a file.
pub(crate) fn is_valid(prior: f64) -> bool {
    (BOUNDS.0..=BOUNDS.1).contains(&prior)
}

/// The highest log odds of each run of likely rows.
fn peaks(rows: &[f64]) -> Vec<f64> {
    let mut peaks: Vec<f64> = Vec::new();
    let mut last: Option<usize> = None;
    for (row, log_odds) in rows.iter().enumerate().filter(|(_, l)| **l >= LOWEST) {
        match (peaks.last_mut(), last) {
            (Some(peak), Some(last)) if row <= last + BRIDGE => *peak = peak.max(*log_odds),
            _ => peaks.push(*log_odds),
        }
        last = Some(row);
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(incidents: usize) -> Vec<Vec<f64>> {
        let mut rows = vec![-8.0; 8766];
        for i in 0..100 {
            rows[80 * i] = -5.0;
        }
        for i in 0..incidents {
            rows[80 * i + 40..80 * i + 45].fill(7.0);
        }
        vec![rows; 4]
    }

    #[test]
    fn frequent_incidents_are_counted() {
        let twice = log_odds(&history(24), 12.0).exp();
        assert!((1.9..2.4).contains(&twice), "{twice}");
    }

    #[test]
    fn none_makes_them_rare_but_not_impossible() {
        let none = log_odds(&history(0), 12.0);
        assert!(none <= -2.0 && is_valid(none), "{none}");
    }

    #[test]
    fn no_rows_say_nothing() {
        assert!(is_valid(log_odds(&[], 12.0)));
        assert!(is_valid(log_odds(&[vec![f64::NAN; 10]], 12.0)));
    }
}
