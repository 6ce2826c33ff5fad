//! Contributions point at what was planted.

use funnelpulse_core::FittedDetector;
use funnelpulse_iforest::IsolationForestConfig;
use funnelpulse_testing::{noise_frame, plant};
use ndarray::{Array2, Axis};

use crate::{SPLITS, fitted};

#[test]
fn contributions_sum_to_the_score() {
    let frame = plant(&noise_frame(300, 4, 5), 9, 2, f64::NAN);
    for split in SPLITS {
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
        let detection = model.explain(frame.view()).unwrap();
        let sums = detection.contributions().unwrap().sum_axis(Axis(1));
        for (sum, score) in sums.iter().zip(detection.score()) {
            assert!((sum - score).abs() < 1e-12, "{split:?} {sum} {score}");
        }
    }
}

#[test]
fn rows_that_nothing_tells_apart_are_explained_in_equal_parts() {
    let frame = noise_frame(50, 4, 1);
    let constant =
        funnelpulse_core::Frame::from_rows(frame.columns().clone(), Array2::from_elem((50, 4), 7.0)).unwrap();
    let model = fitted(IsolationForestConfig::default(), &constant);
    let detection = model.explain(constant.view()).unwrap();
    let score = detection.score()[0];
    assert!(detection.contributions().unwrap().row(0).iter().all(|c| (c - score / 4.0).abs() < 1e-12));
}

#[test]
fn the_planted_column_is_blamed() {
    for split in SPLITS {
        let mut blamed = 0;
        for column in 0..6 {
            let frame = plant(&noise_frame(400, 6, 30 + column as u64), 77, column, 112.0);
            let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
            let detection = model.explain(frame.view()).unwrap();
            let credits = detection.contributions().unwrap().row(77).to_vec();
            blamed += usize::from((0..6).all(|other| credits[other] <= credits[column]));
        }
        assert_eq!(blamed, 6, "{split:?}");
    }
}

#[test]
fn importance_tells_the_telling_column() {
    let mut values = noise_frame(400, 4, 3).values().to_owned();
    (0..20).for_each(|i| values[[20 * i, 2]] += 9.0);
    let columns = noise_frame(2, 4, 1).columns().clone();
    let frame = funnelpulse_core::Frame::from_rows(columns, values).unwrap();
    for split in SPLITS {
        let importance =
            fitted(IsolationForestConfig { split, ..Default::default() }, &frame).importance(frame.view()).unwrap();
        assert!((importance.sum() - 1.0).abs() < 1e-12);
        assert!((0..4).all(|c| importance[c] <= importance[2]), "{split:?} {importance}");
    }
}
