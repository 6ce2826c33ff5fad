//! `standard` against scikit-learn; see `golden/make.py`.

use std::collections::BTreeMap;

use funnelpulse_iforest::{IsolationForestConfig, Split};
use ndarray::Array2;

use crate::forest;

#[derive(serde::Deserialize)]
struct Golden {
    values: Vec<Vec<f64>>,
    score: Vec<f64>,
}

/// Rank correlation; ties get the mean of their ranks.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        let below = |v: f64| values.iter().filter(|&&w| w < v).count() as f64;
        let ties = |v: f64| values.iter().filter(|&&w| w == v).count() as f64;
        values.iter().map(|&v| below(v) + 0.5 * ties(v)).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = a.len() as f64 / 2.0;
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn standard_agrees_with_scikit_learn() {
    let golden: BTreeMap<String, Golden> =
        serde_json::from_str(include_str!("../../golden/scikit-learn.json")).unwrap();
    assert_eq!(golden.len(), 5);
    for (name, Golden { values, score }) in golden {
        let table = Array2::from_shape_vec((values.len(), values[0].len()), values.concat()).unwrap();
        let config = IsolationForestConfig { split: Split::Standard, n_trees: 1_000, ..Default::default() };
        let ours = forest(config).fit_values(table.view()).unwrap().score_values(table.view()).unwrap().to_vec();
        let correlation = spearman(&ours, &score);
        assert!(correlation >= 0.97, "{name}: {correlation}");
        // score = 2^(-path / c), with the same c on both sides.
        let path = |scores: &[f64]| scores.iter().map(|s| -s.log2()).sum::<f64>() / scores.len() as f64;
        let ratio = path(&ours) / path(&score);
        assert!((ratio - 1.0).abs() <= 0.02, "{name}: path lengths are {ratio} of theirs");
        println!("{name}: rank correlation {correlation:.4}, path length {ratio:.4} of scikit-learn's");
    }
}
