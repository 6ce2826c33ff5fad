//! Data that do not look like those that a model was trained on.

use funnelpulse_analytics::{Findings, SeriesFindings};

/// Fewest rows that are judged: a day of hours.
const MIN_ROWS: usize = 24;
/// Standard deviations from the expected value beyond which a row is of another scale: an incident
/// reaches them, for some rows.
const FAR: f64 = 8.0;
/// Share of the rows that have to be that far: an incident of half of all rows is none.
const SHARE: f64 = 0.5;

/// A warning for each series most of whose rows lie far from everything that its model expects.
pub(crate) fn warnings(findings: &Findings) -> Vec<String> {
    let stored = findings.stored_metrics();
    findings.series().iter().filter_map(|series| warning(series, stored)).collect()
}

fn warning(series: &SeriesFindings, stored: usize) -> Option<String> {
    let far = |row: &ndarray::ArrayView1<'_, f64>| row.iter().take(stored).any(|z| z.abs() >= FAR);
    let rows = series.z.nrows();
    let count = series.z.rows().into_iter().filter(far).count();
    (rows >= MIN_ROWS && count as f64 > SHARE * rows as f64).then(|| {
        format!(
            "series `{}`: {count} of {rows} rows lie more than {FAR} standard deviations from what the model expects; \
             the data do not look like those that it was trained on (other units, another series, a new level)",
            series.series
        )
    })
}
