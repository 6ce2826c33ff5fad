//! The shared contract, and what only a forest promises.

use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Registry};
use funnelpulse_iforest::{IsolationForest, IsolationForestConfig, IsolationForestModel};
use funnelpulse_testing::{Conformance, noise_frame, plant};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

fn forest(config: IsolationForestConfig) -> IsolationForest {
    IsolationForest::new(config).expect("valid")
}

#[test]
fn keeps_the_contract() {
    let registry = || Registry::new().with::<IsolationForestModel>();
    Conformance::new(&forest(IsolationForestConfig::default()), registry()).run();
    let small = IsolationForestConfig { n_trees: 50, max_samples: 64, max_depth: Some(12), seed: 1 };
    Conformance::new(&forest(small), registry()).shape(300, 1).run();
}

#[test]
fn scores_of_a_seed_are_pinned() {
    let frame = noise_frame(300, 2, 9);
    let model = forest(IsolationForestConfig { n_trees: 10, ..Default::default() }).fit(frame.view()).unwrap();
    let scores = model.detect(frame.view()).unwrap().into_score();
    let head: Vec<String> = scores.iter().take(3).map(|s| format!("{s:.15}")).collect();
    assert_eq!(head, ["0.402028431949396", "0.424428314990088", "0.452878698120735"]);
}

#[test]
fn contributions_sum_to_the_score() {
    let frame = noise_frame(300, 4, 5);
    let model = forest(IsolationForestConfig::default()).fit(frame.view()).unwrap();
    let detection = model.detect(frame.view()).unwrap();
    let sums = detection.contributions().unwrap().sum_axis(Axis(1));
    for (sum, score) in sums.iter().zip(detection.score()) {
        assert!((sum - score).abs() < 1e-12, "{sum} {score}");
    }
}

#[test]
fn a_missing_value_costs_little() {
    let frame = noise_frame(500, 3, 6);
    let model = forest(IsolationForestConfig::default()).fit(frame.view()).unwrap();
    let whole = model.detect(frame.view()).unwrap().into_score();
    let holed = model.detect(plant(&frame, 250, 1, f64::NAN).view()).unwrap().into_score();
    assert!((whole[250] - holed[250]).abs() < 0.1, "{} {}", whole[250], holed[250]);
    assert_eq!(whole[251], holed[251]);
}

#[test]
fn out_of_bag_scores_exist_only_out_of_bag() {
    let frame = noise_frame(600, 2, 7);
    let model = forest(IsolationForestConfig::default()).fit(frame.view()).unwrap();
    let (a, b) = (frame.view().rows(0..200), frame.view().rows(200..600));
    let halves = model.out_of_sample_scores(&[a, b]).unwrap().unwrap();
    let whole = model.out_of_sample_scores(&[frame.view()]).unwrap().unwrap();
    assert_eq!((halves[0].len(), halves[1].len()), (200, 400));
    assert_eq!(halves[1][0], whole[0][200]);
    // A row's own trees are not more surprised by it than strangers are.
    let in_and_out = model.detect(frame.view()).unwrap().into_score();
    assert!(whole[0].mean().unwrap() >= in_and_out.mean().unwrap() - 1e-3);

    let few = noise_frame(256, 2, 7);
    let model = forest(IsolationForestConfig::default()).fit(few.view()).unwrap();
    assert!(model.out_of_sample_scores(&[few.view()]).unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn scores_stay_in_range_and_survive_scale_and_shift(
        seed in 0u64..1000,
        exponent in -20i32..20,
        shift in -1000i32..1000,
    ) {
        let frame = noise_frame(120, 2, seed);
        // Powers of two and whole shifts keep the comparisons of the trees as they are.
        let scale = 2f64.powi(exponent);
        let moved = frame.values().mapv(|v| (v * 1024.0).round() * scale + f64::from(shift) * scale);
        let base = frame.values().mapv(|v| (v * 1024.0).round());
        let score = |values: Array2<f64>| {
            let frame = Frame::from_rows(Columns::new(["a", "b"]).unwrap(), values).unwrap();
            let model = forest(IsolationForestConfig { n_trees: 20, ..Default::default() }).fit(frame.view()).unwrap();
            model.detect(frame.view()).unwrap().into_score()
        };
        let (a, b) = (score(base), score(moved));
        for (x, y) in a.iter().zip(&b) {
            prop_assert!(*x > 0.0 && *x <= 1.0);
            prop_assert!((x - y).abs() < 0.02, "{x} {y}");
        }
    }
}

#[test]
fn no_columns_and_too_few_rows_are_errors() {
    let one = Frame::from_rows(Columns::new(["a"]).unwrap(), array![[1.0]]).unwrap();
    let error = forest(IsolationForestConfig::default()).fit(one.view()).unwrap_err();
    assert_eq!(error.to_string(), "1 usable rows, `iforest` needs at least 2");
}
