//! Distances and imputation.

use funnelpulse_core::FittedDetector;
use funnelpulse_iforest::IsolationForestConfig;
use funnelpulse_testing::noise_frame;
use ndarray::{Array2, s};

use crate::{SPLITS, fitted};

/// Two groups of 300 rows each, one after the other, far apart.
fn two_groups() -> funnelpulse_core::Frame {
    let frame = noise_frame(600, 3, 21);
    let mut values = frame.values().to_owned();
    values.slice_mut(s![300.., ..]).mapv_inplace(|v| v + 12.0);
    funnelpulse_core::Frame::from_rows(frame.columns().clone(), values).expect("finite values, as many columns")
}

#[test]
fn rows_of_one_group_are_nearer_to_each_other_than_to_the_other_group() {
    let frame = two_groups();
    for split in SPLITS {
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
        let rows = frame.values();
        let some = rows.slice(s![280..320, ..]);
        let distances = model.distances(some, some).unwrap();
        let mean = |a: std::ops::Range<usize>, b: std::ops::Range<usize>| distances.slice(s![a, b]).mean().unwrap();
        let (within, between) = (mean(0..20, 0..20).max(mean(20..40, 20..40)), mean(0..20, 20..40));
        assert!(within < between, "{split:?}: {within} {between}");
        for i in 0..40 {
            for j in 0..40 {
                assert_eq!(distances[[i, j]], distances[[j, i]], "{split:?}");
                assert!(distances[[i, i]] <= distances[[i, j]] && distances[[i, j]] <= 1.0, "{split:?}");
            }
        }
    }
}

#[test]
fn distances_of_rows_without_values_are_missing() {
    let frame = two_groups();
    let model = fitted(IsolationForestConfig::standard(), &frame);
    let mut rows = frame.values().slice(s![..3, ..]).to_owned();
    rows.row_mut(1).fill(f64::NAN);
    rows[[2, 0]] = f64::NAN;
    let distances = model.distances(rows.view(), frame.values()).unwrap();
    assert!(distances.row(1).iter().all(|d| d.is_nan()));
    assert!(distances.row(2).iter().all(|d| *d > 0.0 && *d <= 1.0));
    assert_eq!(model.distances(rows.slice(s![..0, ..]), frame.values()).unwrap().dim(), (0, 600));
    assert!(model.distances(Array2::zeros((2, 2)).view(), frame.values()).is_err());
}

#[test]
fn imputed_values_are_nearer_to_the_truth_than_the_mean() {
    // Three columns that follow one hidden value.
    let hidden = noise_frame(1_000, 1, 4);
    let noise = noise_frame(1_000, 3, 5);
    let values = Array2::from_shape_fn((1_000, 3), |(i, j)| {
        hidden.values()[[i, 0]] * (1 + j) as f64 + 0.2 * (noise.values()[[i, j]] - 100.0)
    });
    let frame = funnelpulse_core::Frame::from_rows(noise.columns().clone(), values.clone()).unwrap();
    for split in SPLITS {
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
        let mut gaps = values.slice(s![..200, ..]).to_owned();
        (0..200).for_each(|i| gaps[[i, i % 3]] = f64::NAN);
        let imputed = model.impute(gaps.view(), values.slice(s![200.., ..])).unwrap();
        let (mut ours, mut plain) = (0.0, 0.0);
        for i in 0..200 {
            let (column, truth) = (i % 3, values[[i, i % 3]]);
            ours += (imputed[[i, column]] - truth).powi(2) / ((1 + column) as f64).powi(2);
            plain += (values.column(column).mean().unwrap() - truth).powi(2) / ((1 + column) as f64).powi(2);
            assert!((0..3).all(|c| c == column || imputed[[i, c]] == values[[i, c]]));
        }
        // SCiForest splits off single rows and leaves the others together.
        let most = if split == funnelpulse_iforest::Split::AveragedGain { 0.8 } else { 0.5 };
        assert!(ours < most * plain, "{split:?}: {ours} {plain}");
    }
}

#[test]
fn what_no_reference_row_has_stays_missing() {
    let frame = two_groups();
    let model = fitted(IsolationForestConfig::standard(), &frame);
    let mut reference = frame.values().to_owned();
    reference.column_mut(1).fill(f64::NAN);
    let rows = Array2::from_elem((1, 3), f64::NAN);
    let imputed = model.impute(rows.view(), reference.view()).unwrap();
    assert!(imputed[[0, 0]].is_finite() && imputed[[0, 1]].is_nan() && imputed[[0, 2]].is_finite());
    assert!(model.impute(rows.view(), reference.slice(s![.., ..2])).is_err());
    assert_eq!(model.columns().len(), 3);
}
