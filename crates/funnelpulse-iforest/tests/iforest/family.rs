//! What sets the members of the family apart.

use funnelpulse_iforest::{IsolationForestConfig, Scoring, Split};
use funnelpulse_testing::noise_frame;
use ndarray::Array2;

use crate::{SPLITS, fitted, forest, scores, small};

/// Where a standard forest is blind: rows on a line, and a row that is usual in each column but
/// off the line.
#[test]
fn directions_see_what_columns_do_not() {
    let line = noise_frame(500, 1, 2);
    let values = Array2::from_shape_fn((501, 2), |(i, j)| match (i, j) {
        (500, 0) => 101.3,
        (500, _) => 98.7,
        _ => line.values()[[i, 0]] + 0.05 * ((i * 7 + j) as f64).sin(),
    });
    let rank = |split| {
        let config = IsolationForestConfig { split, columns_per_split: 2, ..Default::default() };
        let scores = forest(config).fit_values(values.view()).unwrap().score_values(values.view()).unwrap();
        scores.iter().filter(|&&s| s > scores[500]).count()
    };
    let standard = rank(Split::Standard);
    for split in [Split::Extended, Split::PooledGain, Split::AveragedGain] {
        assert!(rank(split) < standard.max(5), "{split:?}: {} rows above, standard {standard}", rank(split));
    }
}

#[test]
fn every_member_ranks_outliers_first() {
    let frame = noise_frame(1_000, 4, 5);
    let mut values = frame.values().to_owned();
    (0..5).for_each(|i| values.row_mut(i * 200).fill(106.0 + i as f64));
    for split in SPLITS {
        for scoring in [Scoring::Depth, Scoring::Density] {
            let config = IsolationForestConfig { split, scoring, ..Default::default() };
            let all = forest(config).fit_values(values.view()).unwrap().score_values(values.view()).unwrap();
            let lowest = (0..5).map(|i| all[i * 200]).fold(1.0, f64::min);
            let above = (0..1_000).filter(|i| i % 200 != 0 && all[*i] > lowest).count();
            assert!(above <= 2, "{split:?} {scoring:?}: {above} normal rows above an outlier");
        }
    }
}

#[test]
fn bootstrap_and_fewer_features_still_make_a_forest() {
    let frame = noise_frame(300, 5, 6);
    for split in SPLITS {
        let config = IsolationForestConfig { bootstrap: true, max_features: 0.4, ..small(split) };
        let model = fitted(config, &frame);
        let importance = model.importance(frame.view()).unwrap();
        assert!(importance.iter().all(|i| *i > 0.0), "every column is in some tree: {importance}");
        assert!(scores(&model, frame.view()).iter().all(|s| *s > 0.0 && *s <= 1.0));
    }
}
