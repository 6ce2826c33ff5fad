use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use super::*;
use crate::{Penalty, PenaltyRule, SegmentationConfig, Segmenter, cost::CostKind};

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    Array2::from_shape_fn((rows, columns), |_| rng.sample(StandardNormal))
}

/// Two standard normal columns without a correlation: independent up to the break, then the second is the first with a
/// random sign. Means, variances and the covariance stay what they are.
fn crossing(rows: usize, at: usize, seed: u64) -> Array2<f64> {
    let mut values = normal(rows, 2, seed);
    let mut rng = Pcg64::seed_from_u64(seed + 1_000);
    for row in at..rows {
        values[[row, 1]] = if rng.random() { values[[row, 0]] } else { -values[[row, 0]] };
    }
    values
}

/// Two standard normal columns whose correlation goes from `rho` to `-rho`.
fn correlated(rows: usize, at: usize, rho: f64, seed: u64) -> Array2<f64> {
    let mut values = normal(rows, 2, seed);
    for row in 0..rows {
        let rho = if row < at { rho } else { -rho };
        values[[row, 1]] = rho * values[[row, 0]] + (1.0 - rho * rho).sqrt() * values[[row, 1]];
    }
    values
}

fn found(config: ClassifierConfig, values: &Array2<f64>) -> Vec<usize> {
    let breaks = ClassifierSearch::new(config).unwrap().search(values.view()).unwrap();
    breaks.into_iter().map(|found| found.index).collect()
}

fn of(classifier: ClassifierKind) -> ClassifierConfig {
    ClassifierConfig { classifier, ..ClassifierConfig::default() }
}

/// Breaks of a cost with the penalty that follows from the data.
fn by_cost(cost: CostKind, values: &Array2<f64>) -> usize {
    let config = SegmentationConfig {
        cost,
        penalty: Penalty::Rule(PenaltyRule::Bic),
        min_magnitude: 0.0,
        ..SegmentationConfig::default()
    };
    Segmenter::new(config).unwrap().segment(values.view(), None).unwrap().breaks.len()
}

#[test]
fn changes_of_dependence_are_found_where_mean_and_covariance_stay() {
    for seed in 0..5 {
        let values = crossing(600, 350, seed);
        for cost in [CostKind::L2, CostKind::L1, CostKind::Mahalanobis, CostKind::Normal] {
            assert_eq!(by_cost(cost, &values), 0, "{cost}, seed {seed}");
        }
        for kind in ClassifierKind::ALL {
            let breaks = found(of(kind), &values);
            assert!(breaks.len() == 1 && breaks[0].abs_diff(350) <= 20, "{kind}, seed {seed}: {breaks:?}");
        }
    }
}

#[test]
fn changes_of_correlation_are_found() {
    for seed in 0..5 {
        let values = correlated(600, 200, 0.8, seed);
        assert_eq!((by_cost(CostKind::L2, &values), by_cost(CostKind::L1, &values)), (0, 0), "seed {seed}");
        for kind in ClassifierKind::ALL {
            let breaks = found(of(kind), &values);
            assert!(breaks.len() == 1 && breaks[0].abs_diff(200) <= 15, "{kind}, seed {seed}: {breaks:?}");
        }
    }
}

#[test]
fn several_changes_of_several_kinds_are_found() {
    let mut values = normal(900, 3, 5);
    for row in 0..900 {
        values[[row, 0]] += if (300..550).contains(&row) { 2.5 } else { 0.0 };
        values[[row, 2]] *= if row >= 700 { 4.0 } else { 1.0 };
    }
    for kind in ClassifierKind::ALL {
        let breaks = found(of(kind), &values);
        let near = breaks.iter().zip([300, 550, 700]).all(|(found, at)| found.abs_diff(at) <= 15);
        assert!(breaks.len() == 3 && near, "{kind}: {breaks:?}");
    }
}

#[test]
fn noise_has_breaks_as_rarely_as_the_level_of_the_test_says() {
    for kind in ClassifierKind::ALL {
        let config = ClassifierConfig { n_trees: 30, max_p_value: 0.05, permutations: 99, ..of(kind) };
        let with_breaks = (0..100).filter(|&seed| !found(config.clone(), &normal(150, 2, seed)).is_empty()).count();
        // Binomial(100, 0.05): more than 12 has a probability of 0.001.
        assert!(with_breaks <= 12, "{kind}: {with_breaks} of 100");
    }
}

#[test]
fn what_the_columns_are_measured_in_makes_no_difference() {
    let values = crossing(400, 220, 9);
    let mut other = values.clone();
    other.column_mut(0).mapv_inplace(|v| 1_024.0 * v + 4_096.0);
    other.column_mut(1).mapv_inplace(|v| v / 64.0);
    for kind in ClassifierKind::ALL {
        assert_eq!(found(of(kind), &values), found(of(kind), &other), "{kind}");
    }
}

#[test]
fn segments_are_as_long_as_asked_for() {
    let values = Array2::from_shape_fn((400, 1), |(i, _)| (i / 40 * 9) as f64 + ((i * i * 7_919) % 101) as f64 / 101.0);
    for min_size in [2, 30, 60] {
        let config = ClassifierConfig { min_size, ..ClassifierConfig::default() };
        let mut edges = found(config, &values);
        assert!(!edges.is_empty());
        edges.insert(0, 0);
        edges.push(400);
        assert!(edges.windows(2).all(|pair| pair[1] - pair[0] >= min_size), "{min_size}: {edges:?}");
    }
    assert!(found(ClassifierConfig::default(), &normal(47, 2, 1)).is_empty());
}

#[test]
fn bad_settings_and_values_are_named() {
    let cases = [
        (r#"{"min_size": 1}"#, "min_size = 1 is out of range (2 or more)"),
        (r#"{"max_p_value": 1.0}"#, "max_p_value = 1 is out of range (above 0, below 1)"),
        (r#"{"permutations": 30}"#, "permutations = 30 is out of range (1 / max_p_value - 1 to 1000000)"),
        (r#"{"n_trees": 0}"#, "n_trees = 0 is out of range (1 to 10000)"),
        (r#"{"max_depth": 50}"#, "max_depth = 50 is out of range (1 to 32)"),
    ];
    for (text, message) in cases {
        let config: ClassifierConfig = serde_json::from_str(text).unwrap();
        assert_eq!(ClassifierSearch::try_from(config).unwrap_err().to_string(), message);
    }
    let search = ClassifierSearch::new(ClassifierConfig::default()).unwrap();
    let mut values = normal(100, 2, 1);
    values[[7, 1]] = f64::NAN;
    assert!(matches!(search.search(values.view()), Err(ChangepointError::Value { row: 7, column: 1, .. })));
    let error = "svm".parse::<ClassifierKind>().unwrap_err().to_string();
    assert_eq!(error, "classifier = svm is out of range (random_forest, nearest_neighbours)");
    for kind in ClassifierKind::ALL {
        assert_eq!(kind.to_string().parse::<ClassifierKind>().unwrap(), kind);
    }
}

#[test]
fn a_segmenter_tells_what_changed_at_the_breaks_of_a_classifier() {
    let mut values = crossing(600, 350, 3);
    values[[10, 0]] = f64::NAN;
    let found = Segmenter::classifier(ClassifierConfig::default()).unwrap().segment(values.view(), None).unwrap();
    assert_eq!((found.rows, found.breaks.len()), (599, 1));
    let change = &found.breaks[0];
    assert!(change.index.abs_diff(350) <= 20, "{change}");
    // The level does not change, so its p-value would be large: here it is that of the permutation test.
    assert!(change.p_value <= 0.02 && (change.after.mean - change.before.mean).abs() < 0.3, "{change}");
}
