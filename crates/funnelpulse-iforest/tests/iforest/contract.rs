//! What all detectors share, and what a seed fixes.

use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Registry};
use funnelpulse_iforest::{IsolationForestConfig, IsolationForestModel, Scoring, Split};
use funnelpulse_testing::{Conformance, noise_frame, plant};
use ndarray::{Array2, array};
use proptest::prelude::*;

use crate::{SPLITS, fitted, forest, scores, small};

#[test]
fn keeps_the_contract() {
    let registry = || Registry::new().with::<IsolationForestModel>();
    // Averaged gain and density are sure only of rows that their trees have seen.
    let all_rows = IsolationForestConfig { n_trees: 12, max_samples: 512, candidates: 3, ..Default::default() };
    for split in SPLITS {
        let config = IsolationForestConfig { split, ..all_rows.clone() };
        Conformance::new(&forest(config), registry()).run();
    }
    let density = IsolationForestConfig { split: Split::Standard, scoring: Scoring::Density, ..all_rows };
    Conformance::new(&forest(density), registry()).shape(300, 1).run();
}

/// Version 0.1.0 wrote this file in format 1: three trees on the views of a shop.
#[test]
fn a_file_of_format_1_still_loads() {
    let old = include_bytes!("../../golden/format-1.model");
    assert_eq!(funnelpulse_core::inspect(old).unwrap().format_version, 1);
    let registry = Registry::new().with::<IsolationForestModel>();
    let model = registry.load(old).unwrap();
    let views = Columns::new(["views"]).unwrap();
    let frame = Frame::from_rows(views, array![[40.0], [100_000.0]]).unwrap();
    let scores = model.detect(frame.view()).unwrap().into_score();
    assert!(scores[1] > scores[0] && scores[0] > 0.0, "{scores}");
    // Written again it is of today's format and scores the same.
    let today = funnelpulse_core::to_bytes(model.as_ref()).unwrap();
    assert_eq!(funnelpulse_core::inspect(&today).unwrap().format_version, funnelpulse_core::FORMAT_VERSION);
    let again = registry.load(&today).unwrap().detect(frame.view()).unwrap().into_score();
    assert_eq!(again, scores);
}

#[test]
fn scores_of_a_seed_are_pinned() {
    let frame = noise_frame(300, 4, 9);
    let pinned = |split| {
        let config = IsolationForestConfig { split, n_trees: 10, ..Default::default() };
        let head = scores(&fitted(config, &frame), frame.view().rows(0..3));
        head.iter().map(|s| format!("{s:.12}")).collect::<Vec<_>>().join(" ")
    };
    let all: Vec<String> = SPLITS.into_iter().map(pinned).collect();
    assert_eq!(all, PINNED);
}

const PINNED: [&str; 5] = [
    "0.365370607343 0.424463951117 0.453089071219",
    "0.409543237020 0.400224199254 0.410341970861",
    "0.535292180774 0.559607898410 0.581472563772",
    "0.013188229417 0.013188229417 0.021900966939",
    "0.328812275034 0.354013424775 0.415211069299",
];

#[cfg(feature = "rayon")]
#[test]
fn threads_make_no_difference() {
    let frame = noise_frame(600, 5, 3);
    for split in SPLITS {
        let grow = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let model = fitted(small(split), &frame);
                let bits: Vec<u64> = scores(&model, frame.view()).into_iter().map(f64::to_bits).collect();
                (model, bits)
            })
        };
        let one = grow(1);
        assert_eq!(one, grow(2), "{split:?}");
        assert_eq!(one, grow(8), "{split:?}");
    }
}

#[test]
fn bare_scores_are_those_of_detect() {
    let frame = plant(&noise_frame(301, 3, 8), 17, 1, f64::NAN);
    for split in SPLITS {
        let model = fitted(small(split), &frame);
        assert_eq!(model.score_values(frame.values()).unwrap().to_vec(), scores(&model, frame.view()), "{split:?}");
    }
}

#[test]
fn bare_matrices_are_checked() {
    let model = fitted(small(Split::Standard), &noise_frame(100, 2, 1));
    let error = model.score_values(Array2::zeros((1, 3)).view()).unwrap_err();
    assert!(error.to_string().contains("3 columns"), "{error}");
    let infinite = array![[1.0, 2.0], [f64::INFINITY, 3.0], [0.0, 1.0]];
    let error = forest(small(Split::Standard)).fit_values(infinite.view()).unwrap_err();
    assert!(error.to_string().contains("row 1"), "{error}");
    // What is larger than anything scores as the largest does.
    let values = array![[f64::INFINITY, f64::NEG_INFINITY], [1e300, -1e300]];
    for split in SPLITS {
        let model = fitted(small(split), &noise_frame(100, 2, 1));
        let scores = model.score_values(values.view()).unwrap();
        assert_eq!(scores[0], scores[1], "{split:?}");
    }
}

#[test]
fn a_missing_value_costs_little() {
    let frame = noise_frame(500, 3, 6);
    for split in SPLITS {
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
        let whole = scores(&model, frame.view());
        let holed = scores(&model, plant(&frame, 250, 1, f64::NAN).view());
        assert!((whole[250] - holed[250]).abs() < 0.1, "{split:?} {} {}", whole[250], holed[250]);
        assert_eq!(whole[251], holed[251]);
    }
}

#[test]
fn it_does_not_matter_which_value_is_missing() {
    // Four columns alike, of which each tree sees two: directions are shorter than six terms.
    let frame = noise_frame(1_000, 4, 12);
    for split in SPLITS {
        let config = IsolationForestConfig { split, max_features: 0.5, n_trees: 400, ..Default::default() };
        let model = fitted(config, &frame);
        let scores = (0..4).map(|missing| {
            let row = Array2::from_shape_fn((1, 4), |(_, j)| if j == missing { f64::NAN } else { 106.0 });
            model.score_values(row.view()).unwrap()[0]
        });
        let scores: Vec<f64> = scores.collect();
        let (low, high) = scores.iter().fold((1.0f64, 0.0f64), |(l, h), s| (l.min(*s), h.max(*s)));
        assert!(high - low < 0.025, "{split:?} {scores:?}");
    }
}

#[test]
fn outliers_are_found_where_many_values_are_missing() {
    let whole = noise_frame(1_000, 10, 13);
    let outliers: Vec<usize> = (0..20).map(|i| 50 * i).collect();
    let values = Array2::from_shape_fn((1_000, 10), |(i, j)| match (i * 31 + j * 17 + i * j) % 5 {
        0 | 1 => f64::NAN,
        _ if i % 50 == 0 => whole.values()[[i, j]] + 15.0,
        _ => whole.values()[[i, j]],
    });
    for split in SPLITS {
        let config = IsolationForestConfig { split, ..Default::default() };
        let scores = forest(config).fit_values(values.view()).unwrap().score_values(values.view()).unwrap();
        let above = |o: &usize| (0..1_000).filter(|i| i % 50 != 0 && scores[*i] >= scores[*o]).count();
        let auc = 1.0 - outliers.iter().map(above).sum::<usize>() as f64 / (20.0 * 980.0);
        assert!(auc > 0.9, "{split:?}: AUC-ROC {auc}");
    }
}

#[test]
fn subnormal_columns_are_seen() {
    let frame = noise_frame(400, 1, 14);
    let values = frame.values().mapv(|v| (v - 100.0) * 1e-310);
    for split in SPLITS {
        let model = forest(IsolationForestConfig { split, ..Default::default() }).fit_values(values.view()).unwrap();
        let scores = model.score_values(ndarray::array![[0.0], [6e-310]].view()).unwrap();
        assert!(scores[1] > scores[0] + 0.05, "{split:?} {scores}");
    }
}

#[test]
fn odd_tables() {
    let column = |values: &[f64]| Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap();
    let tables = [
        column(&[5.0; 40]),
        column(&[1e300, -1e300, 5e-324, 0.0, -0.0, 1.0, 2.0, 3.0]),
        Array2::from_shape_fn((50, 3), |(i, j)| if j == 1 { 7.0 } else { (i % 4) as f64 }),
        Array2::from_shape_fn((60, 40), |(i, j)| ((i * j) as f64).sin()),
        Array2::from_shape_fn((30, 2), |(i, j)| if (i + j) % 2 == 0 { f64::NAN } else { i as f64 }),
    ];
    for split in SPLITS {
        for table in &tables {
            for columns_per_split in [1, 2, 7] {
                let config = IsolationForestConfig { columns_per_split, ..small(split) };
                let model = forest(config).fit_values(table.view()).unwrap();
                let scores = model.score_values(table.view()).unwrap();
                assert!(scores.iter().all(|s| *s > 0.0 && *s <= 1.0), "{split:?} {table} {scores}");
            }
        }
    }
}

#[test]
fn out_of_bag_scores_exist_only_out_of_bag() {
    let frame = plant(&noise_frame(600, 1, 7), 5, 0, f64::NAN);
    for split in SPLITS {
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &frame);
        let (a, b) = (frame.view().rows(0..200), frame.view().rows(200..600));
        let halves = model.out_of_sample_scores(&[a, b]).unwrap().unwrap();
        let whole = model.out_of_sample_scores(&[frame.view()]).unwrap().unwrap();
        assert_eq!((halves[0].len(), halves[1].len()), (200, 400));
        assert_eq!(halves[1][0], whole[0][200]);
        assert!(whole[0][5].is_nan());
        // A row's own trees are not more surprised by it than strangers are.
        let in_and_out = scores(&model, frame.view());
        let mean = |s: &[f64]| s.iter().filter(|s| !s.is_nan()).sum::<f64>() / 599.0;
        let (seen, unseen) = (mean(&in_and_out), mean(whole[0].as_slice().unwrap()));
        assert!(unseen >= seen - 1e-3 && unseen != seen, "{split:?} {unseen} {seen}");

        let few = noise_frame(256, 2, 7);
        let model = fitted(IsolationForestConfig { split, ..Default::default() }, &few);
        assert!(model.out_of_sample_scores(&[few.view()]).unwrap().is_none());
    }
}

#[test]
fn contamination_sets_a_threshold_that_strangers_meet() {
    let config = IsolationForestConfig { contamination: Some(0.05), ..Default::default() };
    for rows in [200, 2_000] {
        let model = fitted(config.clone(), &noise_frame(rows, 3, 1));
        let threshold = model.threshold().unwrap();
        let unseen = scores(&model, noise_frame(4_000, 3, 2).view());
        let share = unseen.iter().filter(|&&s| threshold.flags(s)).count() as f64 / 4_000.0;
        assert!((share - 0.05).abs() < 0.025, "{rows} rows: {share}");
    }
    assert!(fitted(small(Split::Standard), &noise_frame(100, 1, 1)).threshold().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn scale_and_shift_make_no_difference(seed in 0u64..1000, exponent in -20i32..20, shift in -1000i32..1000) {
        // Powers of two and whole shifts keep the comparisons of the trees as they are.
        let frame = noise_frame(120, 2, seed);
        let scale = 2f64.powi(exponent);
        let base = frame.values().mapv(|v| (v * 1024.0).round());
        let moved = base.mapv(|v| v * scale + f64::from(shift) * scale);
        let score = |values: Array2<f64>| {
            let model = forest(small(Split::Standard)).fit_values(values.view()).unwrap();
            model.score_values(values.view()).unwrap()
        };
        for (x, y) in score(base).iter().zip(&score(moved)) {
            prop_assert!(*x > 0.0 && *x <= 1.0);
            prop_assert!((x - y).abs() < 0.02, "{x} {y}");
        }
    }

    #[test]
    fn batches_and_the_order_of_rows_make_no_difference(seed in 0u64..1000, cut in 1usize..299) {
        let frame = noise_frame(300, 3, seed);
        for split in SPLITS {
            let model = fitted(small(split), &frame);
            let whole = scores(&model, frame.view());
            let parts = [scores(&model, frame.view().rows(0..cut)), scores(&model, frame.view().rows(cut..300))].concat();
            prop_assert_eq!(&whole, &parts);
            let mut reversed = frame.values().to_owned();
            reversed.invert_axis(ndarray::Axis(0));
            let mut back = model.score_values(reversed.view()).unwrap().to_vec();
            back.reverse();
            prop_assert_eq!(&whole, &back);
        }
    }

    #[test]
    fn the_order_of_columns_makes_little_difference(seed in 0u64..1000) {
        let frame = noise_frame(250, 3, seed);
        let turned = Array2::from_shape_fn((250, 3), |(i, j)| frame.values()[[i, (j + 1) % 3]]);
        for split in SPLITS {
            let config = IsolationForestConfig { n_trees: 300, ..small(split) };
            let model = forest(config.clone()).fit_values(frame.values()).unwrap();
            let other = forest(config).fit_values(turned.view()).unwrap();
            let (a, b) = (model.score_values(frame.values()).unwrap(), other.score_values(turned.view()).unwrap());
            let correlation = crate::parity::spearman(a.as_slice().unwrap(), b.as_slice().unwrap());
            prop_assert!(correlation > 0.85, "{:?} {}", split, correlation);
        }
    }
}

#[test]
fn no_columns_and_too_few_rows_are_errors() {
    let one = Frame::from_rows(Columns::new(["a"]).unwrap(), array![[1.0]]).unwrap();
    let error = forest(IsolationForestConfig::default()).fit(one.view()).unwrap_err();
    assert_eq!(error.to_string(), "1 usable row, `iforest` needs at least 2");
}

#[test]
fn bad_hyper_parameters_are_named() {
    let cases = [
        (r#"{"max_features": 1.5}"#, "max_features = 1.5 is out of range (above 0 to 1)"),
        (r#"{"contamination": 0.7}"#, "contamination = 0.7 is out of range (above 0 to 0.5)"),
        (r#"{"max_samples": 100000}"#, "max_samples = 100000 is out of range (2 to 32768)"),
        (
            r#"{"contamination": 0.1, "threshold": 0.6}"#,
            "threshold = 0.6 is out of range (not together with contamination)",
        ),
    ];
    for (text, message) in cases {
        let config: IsolationForestConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.validate().unwrap_err().to_string(), message);
    }
    let typo = serde_json::from_str::<IsolationForestConfig>(r#"{"split": "pooled"}"#).unwrap_err().to_string();
    assert!(typo.contains("pooled_gain"), "{typo}");
}
