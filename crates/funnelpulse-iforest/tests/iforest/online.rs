//! Updating and merging.

use funnelpulse_core::{FittedDetector, OnlineDetector};
use funnelpulse_iforest::{IsolationForestConfig, IsolationForestError, Split};
use funnelpulse_testing::noise_frame;

use crate::{SPLITS, fitted, forest, scores, small};

fn online(split: Split) -> IsolationForestConfig {
    IsolationForestConfig { reservoir: 256, ..small(split) }
}

#[test]
fn updating_forgets_the_old_normal() {
    let old = noise_frame(400, 2, 1);
    let columns = old.columns().clone();
    let moved = noise_frame(2_000, 2, 2).values().mapv(|v| v + 20.0);
    let new = funnelpulse_core::Frame::from_rows(columns, moved).unwrap();
    for split in SPLITS {
        let mut model = fitted(online(split), &old);
        let mean = |m: &funnelpulse_iforest::IsolationForestModel, f: &funnelpulse_core::Frame| {
            let all = scores(m, f.view());
            all.iter().sum::<f64>() / all.len() as f64
        };
        let (old_before, new_before) = (mean(&model, &old), mean(&model, &new));
        let size = funnelpulse_core::to_bytes(&model).unwrap().len();
        model.as_online().unwrap().update(new.view()).unwrap();
        let (old_after, new_after) = (mean(&model, &old), mean(&model, &new));
        assert!(new_before > old_before && old_after > new_after, "{split:?}");
        // Scores of what is normal now are what scores of what was normal were.
        assert!((new_after - old_before).abs() < 0.05, "{split:?} {new_after} {old_before}");
        let grown = funnelpulse_core::to_bytes(&model).unwrap().len();
        assert!(grown < size * 5 / 4, "{split:?}: {size} bytes became {grown}");
        assert_eq!(model.n_trees(), 30);
    }
}

#[test]
fn batches_of_updates_make_no_difference() {
    let (old, new) = (noise_frame(300, 3, 1), noise_frame(500, 3, 2));
    for split in SPLITS {
        let mut at_once = fitted(online(split), &old);
        let mut row_by_row = at_once.clone();
        at_once.update(new.view()).unwrap();
        for row in 0..500 {
            row_by_row.update(new.view().rows(row..row + 1)).unwrap();
        }
        assert_eq!(scores(&at_once, new.view()), scores(&row_by_row, new.view()), "{split:?}");
        assert!(at_once.out_of_sample_scores(&[old.view()]).unwrap().is_none());
    }
}

#[test]
fn long_batches_grow_no_more_than_a_forest() {
    let (old, new) = (noise_frame(300, 2, 1), noise_frame(20_000, 2, 2));
    let mut model = fitted(online(Split::PooledGain), &old);
    let peak = allocation_counter::measure(|| model.update(new.view()).unwrap()).bytes_max;
    // 20,000 rows replace the 30 trees 78 times; all of those saplings would be 20 MB.
    assert!(peak < 3_000_000, "{peak} bytes");
}

#[test]
fn no_reservoir_no_update() {
    let mut model = fitted(IsolationForestConfig { reservoir: 0, ..small(Split::Standard) }, &noise_frame(100, 1, 1));
    assert!(model.as_online().is_none());
}

#[test]
fn merged_forests_score_as_their_mean() {
    let frame = noise_frame(500, 3, 4);
    for split in SPLITS {
        let (a, b) = (fitted(small(split), &frame), fitted(IsolationForestConfig { seed: 7, ..small(split) }, &frame));
        let both = a.merge(&b).unwrap();
        assert_eq!(both.n_trees(), 60);
        let [sa, sb, sm] = [&a, &b, &both].map(|m| scores(m, frame.view()));
        for row in 0..500 {
            // Scores are powers of mean path lengths, so a forest of both has the geometric mean.
            assert!((sm[row] - (sa[row] * sb[row]).sqrt()).abs() < 1e-12, "{split:?}");
        }
        let loaded = funnelpulse_core::Registry::new().with::<funnelpulse_iforest::IsolationForestModel>();
        let loaded = loaded.load(&funnelpulse_core::to_bytes(&both).unwrap()).unwrap();
        assert_eq!(loaded.detect(frame.view()).unwrap().into_score().to_vec(), sm);
    }
}

#[test]
fn unlike_forests_are_not_merged() {
    let frame = noise_frame(500, 3, 4);
    let a = fitted(small(Split::Standard), &frame);
    let b = fitted(small(Split::PooledGain), &frame);
    let error = a.merge(&b).unwrap_err();
    assert!(matches!(error, IsolationForestError::Merge(_)));
    assert_eq!(error.to_string(), "forests differ in split or scoring and can't be merged");
    let narrow = fitted(IsolationForestConfig { columns_per_split: 1, ..small(Split::PooledGain) }, &frame);
    assert_eq!(b.merge(&narrow).unwrap_err().to_string(), "forests differ in columns per split and can't be merged");
    let shallow = fitted(IsolationForestConfig { max_depth: Some(3), ..small(Split::Standard) }, &frame);
    assert!(a.merge(&shallow).unwrap_err().to_string().contains("depth"));
    let fewer = fitted(small(Split::Standard), &noise_frame(50, 3, 4));
    assert_eq!(a.merge(&fewer).unwrap_err().to_string(), "forests differ in rows per tree and can't be merged");
}

#[test]
fn weights_say_what_is_normal() {
    let frame = noise_frame(400, 2, 1);
    let mut values = frame.values().to_owned();
    values.slice_axis_mut(ndarray::Axis(0), (300..400).into()).mapv_inplace(|v| v + 15.0);
    let frame = funnelpulse_core::Frame::from_rows(frame.columns().clone(), values).unwrap();
    let weights = ndarray::Array1::from_shape_fn(400, |i| if i < 300 { 1.0 } else { 0.0 });
    let model = forest(small(Split::Standard)).fit_weighted(frame.view(), weights.view()).unwrap();
    let all = scores(&model, frame.view());
    let highest_normal = all[..300].iter().copied().fold(0.0, f64::max);
    assert!(all[300..].iter().filter(|&&s| s > highest_normal).count() > 80);
    let bad = ndarray::Array1::from_elem(400, -1.0);
    let error = forest(small(Split::Standard)).fit_weighted(frame.view(), bad.view()).unwrap_err();
    assert_eq!(error.to_string(), "sample weights: -1 at row 0 is not a number of 0 or more");
    let none = ndarray::Array1::zeros(400);
    let error = forest(small(Split::Standard)).fit_weighted(frame.view(), none.view()).unwrap_err();
    assert_eq!(error.to_string(), "0 usable rows, `iforest` needs at least 2");
}
