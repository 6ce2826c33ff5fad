//! Period of a series by its autocorrelation.

/// Rows that are looked at: the beginning tells the period.
const MAX_ROWS: usize = 20_000;
const MAX_LAG: usize = 400;
/// Shorter lags are dominated by noise that is smooth, not periodic.
const MIN_LAG: usize = 6;
const LONGEST: usize = 303;
const FALLBACK: usize = 125;

/// The period of a series: the lag of the highest local maximum of its autocorrelation between 6
/// and 303 rows, or 125 when there is none. Missing values (NaN) count as the mean.
///
/// ```
/// use funnelpulse_subsequence::period;
///
/// let hourly: Vec<f64> = (0..1000).map(|h| (f64::from(h) * std::f64::consts::TAU / 24.0).sin()).collect();
/// assert_eq!(period(&hourly), 24);
/// assert_eq!(period(&[1.0; 50]), 125);
/// ```
pub fn period(values: &[f64]) -> usize {
    common_period(&[values])
}

/// The period of the mean of the series' autocovariances.
pub(crate) fn common_period(series: &[&[f64]]) -> usize {
    let mut covariance = vec![0.0; MAX_LAG + 1];
    let mut longest = 0;
    for values in series {
        let values = &values[..values.len().min(MAX_ROWS)];
        longest = longest.max(values.len());
        let present = values.iter().filter(|v| !v.is_nan());
        let mean = present.clone().sum::<f64>() / present.count().max(1) as f64;
        let centred: Vec<f64> = values.iter().map(|v| if v.is_nan() { 0.0 } else { v - mean }).collect();
        for (lag, sum) in covariance.iter_mut().enumerate().take(values.len()) {
            *sum += centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>();
        }
    }
    let lags = MAX_LAG.min(longest.saturating_sub(2));
    let is_peak = |&lag: &usize| covariance[lag] > covariance[lag - 1] && covariance[lag] > covariance[lag + 1];
    let peak = (4..lags).filter(is_peak).max_by(|&a, &b| covariance[a].total_cmp(&covariance[b]));
    peak.filter(|peak| (MIN_LAG..=LONGEST).contains(peak)).unwrap_or(FALLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_and_short_series() {
        let wave = |i: usize| (i as f64 * std::f64::consts::TAU / 50.0).sin();
        let gaps = (0..900).map(|i| if i % 90 > 80 { f64::NAN } else { wave(i) });
        assert!(period(&gaps.collect::<Vec<_>>()).abs_diff(50) <= 1);
        for values in [&[][..], &[1.0], &[1.0, 2.0, 1.0, 2.0, 1.0], &[f64::NAN; 9]] {
            assert_eq!(period(values), FALLBACK);
        }
    }
}
