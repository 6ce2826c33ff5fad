//! Period of a series by its autocorrelation.

/// Rows that are looked at: the beginning of the series tells its period.
const MAX_ROWS: usize = 20_000;
const MAX_LAG: usize = 400;
/// Lags that are too short to be a period.
const SKIPPED: usize = 3;
const DEFAULT: usize = 125;

/// The period of a series: the lag of the highest local maximum of its autocorrelation between 6
/// and 303 rows, or 125 when there is none. TSB-AD takes it as the window of [`vus`](super::vus).
///
/// ```
/// use funnelpulse_eval::metrics::acf_period;
///
/// let hourly: Vec<f64> = (0..1000).map(|h| (f64::from(h) * std::f64::consts::TAU / 24.0).sin()).collect();
/// assert_eq!(acf_period(&hourly), 24);
/// assert_eq!(acf_period(&[1.0; 50]), 125);
/// ```
pub fn acf_period(values: &[f64]) -> usize {
    let values = &values[..values.len().min(MAX_ROWS)];
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let variance: f64 = centred.iter().map(|c| c * c).sum();
    let acf: Vec<f64> = (SKIPPED..=MAX_LAG.min(n.saturating_sub(1)))
        .map(|lag| centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>() / variance)
        .collect();
    let peaks = (1..acf.len().saturating_sub(1)).filter(|&i| acf[i] > acf[i - 1] && acf[i] > acf[i + 1]);
    match peaks.max_by(|&a, &b| acf[a].total_cmp(&acf[b])) {
        Some(peak) if (3..=300).contains(&peak) => peak + SKIPPED,
        _ => DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_missing_values_fall_back() {
        for values in [&[][..], &[1.0], &[1.0, 2.0, 1.0, 2.0], &[1.0, f64::NAN, 3.0, 4.0, 5.0, 6.0, 1.0]] {
            assert_eq!(acf_period(values), DEFAULT);
        }
    }
}
