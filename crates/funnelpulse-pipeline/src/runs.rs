//! Episodes of detectors that look at single rows: flagged rows that follow one another.

use funnelpulse_analytics::Anomaly;
use funnelpulse_core::{Episode, IncidentKind, SeriesKey, Timestamp};

/// Rows without a flag that an episode may contain between two that are flagged: a cause that lasts
/// does not always show.
const BRIDGE: usize = 3;

/// Puts anomalies of one series together to episodes, in order of time. Nothing is known of their
/// cause, and no probability: `probability` is NaN. The revenue loss is the sum over the flagged
/// rows, NaN without a metric that carries money.
pub(crate) fn episodes(
    series: &SeriesKey,
    time: &[Timestamp],
    step_seconds: u64,
    anomalies: &[Anomaly],
) -> Vec<Episode> {
    let mut runs: Vec<Vec<&Anomaly>> = Vec::new();
    for anomaly in anomalies {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| anomaly.row <= last.row + 1 + BRIDGE) => run.push(anomaly),
            _ => runs.push(vec![anomaly]),
        }
    }
    let step = i64::try_from(step_seconds).unwrap_or(i64::MAX).saturating_mul(Timestamp::SECOND);
    let episode = |run: &Vec<&Anomaly>| {
        let (first, last) = (run.first()?.row, run.last()?.row);
        let revenue = run.iter().filter_map(|a| a.impact.revenue);
        let loss = revenue.fold(f64::NAN, |sum, r| if sum.is_nan() { -r } else { sum - r });
        Some(Episode {
            series: series.clone(),
            kind: IncidentKind::Unexplained,
            kind_probability: f64::NAN,
            start: time[first],
            last: time[last],
            end: time[last].offset(step),
            rows: (first, last),
            log_odds: f64::NAN,
            probability: f64::NAN,
            observed: [f64::NAN; 4],
            expected: [f64::NAN; 4],
            purchase_factor: f64::NAN,
            revenue_loss: loss,
            revenue_loss_interval: (f64::NAN, f64::NAN),
        })
    };
    runs.iter().filter_map(episode).collect()
}
