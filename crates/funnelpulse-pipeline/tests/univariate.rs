//! The preset `univariate` flags an anomaly where it is, and about as many normal rows as it says.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]
#![cfg(feature = "subsequence")]

use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
use funnelpulse_pipeline::{Pipeline, Preset};
use ndarray::Array2;

const ROWS: usize = 5000;

/// Waves of 50 rows with noise; in the anomaly nothing but the noise.
fn flagged(anomaly: std::ops::Range<usize>) -> Vec<usize> {
    let columns = Columns::new(["value"]).unwrap();
    let values = Array2::from_shape_fn((ROWS, 1), |(row, _)| {
        let noise = (0..4).map(|i| ((row * 7919 + i * 104_729) % 1009) as f64 / 1009.0 - 0.5).sum::<f64>();
        let wave = (row as f64 / 50.0 * std::f64::consts::TAU).sin();
        if anomaly.contains(&row) { 0.1 * noise } else { wave + 0.1 * noise }
    });
    let time = (0..ROWS as i64).map(|row| Timestamp::from_seconds(3600 * row)).collect();
    let mut panel = Panel::new(columns.clone());
    panel.insert("pulse", Frame::new(time, columns, values).unwrap()).unwrap();
    let findings =
        Pipeline::builder().config(Preset::Univariate.config().unwrap()).build().unwrap().run(&panel).unwrap();
    let verdicts = &findings.series()[0].verdicts;
    (0..ROWS).filter(|row| verdicts[*row].is_anomaly).collect()
}

#[test]
fn an_anomaly_of_40_rows_is_not_ten_times_as_long() {
    let rows = flagged(3000..3040);
    let hits = rows.iter().filter(|row| (3000..3040).contains(*row)).count();
    assert!(hits >= 20, "{hits} of 40 rows: {rows:?}");
    // As many again beside it, and one normal row in a thousand.
    assert!(rows.len() <= 80 + ROWS / 1000, "{} rows are flagged: {rows:?}", rows.len());
}

#[test]
fn of_normal_rows_one_in_a_thousand_is_flagged() {
    let rows = flagged(0..0);
    assert!(rows.len() <= 2 * ROWS / 1000, "{} rows are flagged: {rows:?}", rows.len());
}
