//! The preset `original`: four detectors, their weights, the weighted mean.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]
#![cfg(all(feature = "seasonal", feature = "iforest", feature = "changepoint"))]

use funnelpulse_analytics::Findings;
use funnelpulse_core::{Frame, Panel, Timestamp};
use funnelpulse_features::PanelSpec;
use funnelpulse_pipeline::{Catalog, Pipeline, Preset};
use ndarray::Array2;

const HOURS: usize = 24 * 28;

/// Two brands; the second has no purchases for six hours.
fn shop() -> Panel {
    let columns = PanelSpec::funnel().columns();
    let mut panel = Panel::new(columns.clone());
    for (brand, level) in [("irisk", 300.0), ("runail", 200.0)] {
        let values = Array2::from_shape_fn((HOURS, 4), |(hour, column)| {
            let season = 1.5 + (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
            let noise = 1.0 + 0.1 * ((hour * 7919 + column * 31) % 101) as f64 / 101.0;
            let broken = brand == "runail" && (500..506).contains(&hour) && column >= 2;
            if broken { 0.0 } else { (level * season * noise * [1.0, 0.4, 0.1, 2.5][column]).round() }
        });
        let time = (0..HOURS as i64).map(|hour| Timestamp::from_seconds(1_569_888_000 + 3600 * hour)).collect();
        panel.insert(brand, Frame::new(time, columns.clone(), values).unwrap()).unwrap();
    }
    panel
}

/// The combined score is the mean of the scores by these weights, and a row is flagged from one half.
fn check(findings: &Findings, weights: &[(&str, f64)]) {
    let columns: Vec<&str> = findings.detectors().iter().map(|d| d.score.as_str()).collect();
    let of_the_original =
        ["lstm_anomaly_score", "prophet_anomaly_score", "isolation_forest_anomaly_score", "changepoint_anomaly_score"];
    assert_eq!(columns, of_the_original);
    let mut judged = 0;
    for series in findings.series() {
        for (row, verdict) in series.verdicts.iter().enumerate() {
            let (mut sum, mut total, mut flagged) = (0.0, 0.0, 0);
            for model in &series.models {
                let weight = weights.iter().find(|(name, _)| *name == model.detector).unwrap().1;
                let score = model.scores[row];
                if !score.is_nan() {
                    sum += weight * score;
                    total += weight;
                    flagged += usize::from(score >= 0.5);
                }
            }
            if total > 0.0 {
                assert!((verdict.score - sum / total).abs() < 1e-12, "{} row {row}", series.series);
                // One half, or more where the scores of the last week are high.
                assert!(verdict.threshold >= 0.5);
                assert_eq!(verdict.is_anomaly, verdict.score >= verdict.threshold);
                assert_eq!(verdict.n_models_flagged, flagged);
                judged += 1;
            }
        }
    }
    assert!(judged > HOURS, "{judged} rows have a score");
    let struck = &findings.series()[1];
    assert!((500..506).any(|row| struck.verdicts[row].is_anomaly), "the outage is seen");
}

#[cfg(feature = "lstm-ae")]
#[test]
fn all_four_detectors_vote() {
    let layers = Preset::Original.layers(&Catalog::default());
    let config = layers.set("lstm_ae.epochs", "1").unwrap().build().unwrap();
    let findings = Pipeline::builder().config(config).build().unwrap().run(&shop()).unwrap();
    assert_eq!(findings.series()[0].models.len(), 4);
    check(&findings, &[("lstm-ae", 0.30), ("seasonal", 0.30), ("iforest", 0.25), ("changepoint", 0.15)]);
}

#[cfg(not(feature = "lstm-ae"))]
#[test]
fn a_build_without_the_autoencoder_says_so() {
    let error = Preset::Original.config().unwrap_err().to_string();
    assert!(error.contains("cargo feature `lstm-ae`"), "{error}");
}

#[test]
fn the_weighted_mean_is_that_of_the_detectors_that_run() {
    let layers = Preset::Original.layers(&Catalog::default());
    let config =
        layers.set("pipeline.detectors", r#"["seasonal", "iforest", "changepoint"]"#).unwrap().build().unwrap();
    let findings = Pipeline::builder().config(config).build().unwrap().run(&shop()).unwrap();
    check(&findings, &[("seasonal", 0.30), ("iforest", 0.25), ("changepoint", 0.15)]);
}
