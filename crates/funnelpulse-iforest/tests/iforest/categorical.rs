//! Columns whose values are codes of categories.

use funnelpulse_core::{
    Columns, FittedDetector, Frame, ModelError, OnlineDetector, Registry, Writer, inspect, read_model, to_bytes,
    write_payload,
};
use funnelpulse_iforest::{IsolationForestConfig, IsolationForestError, IsolationForestModel, Scoring, Split};
use funnelpulse_testing::{Conformance, noise_frame, plant};
use ndarray::{Array2, array};

use crate::{fitted, forest, scores, small};

/// Forests of one column per split, the second column of which is categorical.
fn config() -> IsolationForestConfig {
    IsolationForestConfig { categorical: vec!["brand".into()], ..IsolationForestConfig::standard() }
}

/// A price, and a brand out of 20 with a code each that says nothing of its order; the brand in the middle of the codes
/// is rare: 23 rows of 2,000.
fn shop() -> Frame {
    let noise = noise_frame(2_000, 1, 31);
    let values = Array2::from_shape_fn((2_000, 2), |(i, j)| match (i, j) {
        (_, 0) => noise.values()[[i, 0]],
        (i, _) if i % 90 == 5 => 10.0,
        (i, _) if i * 7 % 20 == 10 => 11.0,
        (i, _) => (i * 7 % 20) as f64,
    });
    Frame::from_rows(Columns::new(["price", "brand"]).expect("two names"), values).expect("two columns")
}

/// Mean rank of the rare brand's rows from the top.
fn rank_of_rare(config: IsolationForestConfig) -> f64 {
    let frame = shop();
    let scores = scores(&fitted(config, &frame), frame.view());
    let rare: Vec<usize> = (0..2_000).filter(|row| row % 90 == 5).collect();
    let above = |row: &usize| scores.iter().filter(|score| **score > scores[*row]).count() as f64;
    rare.iter().map(above).sum::<f64>() / rare.len() as f64
}

#[test]
fn keeps_the_contract() {
    let registry = || Registry::new().with::<IsolationForestModel>();
    for scoring in [Scoring::Depth, Scoring::Density] {
        // The suite's numbers are all different: each is a category, and outliers are new ones.
        let config = IsolationForestConfig {
            scoring,
            n_trees: 12,
            max_samples: 512,
            categorical: vec!["c1".into()],
            ..config()
        };
        Conformance::new(&forest(config), registry()).run();
    }
}

#[test]
fn a_rare_category_among_the_codes_is_found() {
    let (with, without) = (rank_of_rare(config()), rank_of_rare(IsolationForestConfig::standard()));
    assert!(with < 400.0 && without > 800.0, "{with} rows above, as ordered numbers {without}");
}

#[test]
fn codes_have_no_order() {
    // Other codes for the same categories, in another order: scores differ by the draws of the trees alone.
    let frame = shop();
    let mut recoded = frame.values().to_owned();
    recoded.column_mut(1).mapv_inplace(|code| (code * 13.0 + 5.0) % 23.0 - 7.5);
    let recoded = Frame::from_rows(frame.columns().clone(), recoded).unwrap();
    let many = IsolationForestConfig { n_trees: 1_000, ..config() };
    let score = |frame: &Frame| scores(&fitted(many.clone(), frame), frame.view());
    let (a, b) = (score(&frame), score(&recoded));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 0.02, "{worst}");
}

#[test]
fn two_categories_are_two_numbers() {
    // With two values a subset is a threshold: path lengths have the same distribution.
    let frame = shop();
    let mut binary = frame.values().to_owned();
    binary.column_mut(1).mapv_inplace(|code| f64::from(u8::from(code > 15.0)));
    let binary = Frame::from_rows(frame.columns().clone(), binary).unwrap();
    let score = |config| scores(&fitted(IsolationForestConfig { n_trees: 1_000, ..config }, &binary), binary.view());
    let (a, b) = (score(config()), score(IsolationForestConfig::standard()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 0.02, "{worst}");
}

#[test]
fn new_categories_go_both_ways_like_missing_ones() {
    let model = fitted(config(), &shop());
    let rows = array![[100.0, f64::NAN], [100.0, 999.0], [100.0, 3.5], [100.0, f64::INFINITY], [100.0, 3.0]];
    let scores = model.score_values(rows.view()).unwrap();
    assert_eq!((scores[1], scores[2], scores[3]), (scores[0], scores[0], scores[0]));
    assert_ne!(scores[4], scores[0]);
    let nothing = model.score_values(array![[f64::NAN, f64::NAN]].view()).unwrap();
    assert!(nothing[0].is_nan());
}

#[test]
fn contributions_name_the_categorical_column() {
    let frame = plant(&shop(), 42, 1, 10.0);
    let detection = fitted(config(), &frame).explain(frame.view()).unwrap();
    let contributions = detection.contributions().unwrap();
    assert!((contributions.row(42).sum() - detection.score()[42]).abs() < 1e-12);
    assert!(contributions[[42, 1]] > contributions[[42, 0]], "{}", contributions.row(42));
}

#[test]
fn imputed_categories_are_categories() {
    // The brand follows from the price: 0 to 5, by bands of the price, coded without order.
    let code = |price: f64| [4.0, 0.0, 5.0, 1.0, 3.0, 2.0][((price - 97.0).max(0.0) as usize).min(5)];
    let noise = noise_frame(1_500, 1, 8);
    let price = |row: usize| noise.values()[[row, 0]];
    let values = Array2::from_shape_fn((1_500, 2), |(i, j)| if j == 0 { price(i) } else { code(price(i)) });
    let frame = Frame::from_rows(Columns::new(["price", "brand"]).unwrap(), values.clone()).unwrap();
    let model = fitted(config(), &frame);
    let gaps = Array2::from_shape_fn((300, 2), |(i, j)| if j == 0 { price(i) } else { f64::NAN });
    let imputed = model.impute(gaps.view(), values.view()).unwrap();
    let right = (0..300).filter(|&row| imputed[[row, 1]] == code(price(row))).count();
    assert!(imputed.column(1).iter().all(|code| (0.0..=5.0).contains(code) && code.fract() == 0.0));
    assert!(right > 200, "{right} of 300; the most frequent brand has a third");
    let unknown = Array2::from_shape_fn((20, 2), |(i, j)| if j == 0 { values[[i, 0]] } else { f64::NAN });
    assert!(model.impute(gaps.view(), unknown.view()).unwrap().column(1).iter().all(|code| code.is_nan()));
}

#[test]
fn models_are_saved_updated_and_merged() {
    let frame = shop();
    let small = IsolationForestConfig { n_trees: 30, max_samples: 64, reservoir: 256, ..config() };
    let mut model = fitted(small.clone(), &frame);
    let loaded: IsolationForestModel = read_model(&to_bytes(&model).unwrap()).unwrap();
    assert_eq!(to_bytes(&loaded).unwrap(), to_bytes(&model).unwrap());
    assert_eq!(scores(&loaded, frame.view()), scores(&model, frame.view()));

    let both = model.merge(&fitted(IsolationForestConfig { seed: 9, ..small.clone() }, &frame)).unwrap();
    assert_eq!(both.n_trees(), 60);
    let ordered = fitted(IsolationForestConfig { categorical: Vec::new(), ..small }, &frame);
    let error = model.merge(&ordered).unwrap_err().to_string();
    assert_eq!(error, "forests differ in categorical columns and can't be merged");

    // The rare brand becomes the usual one.
    let rare = array![[100.0, 10.0]];
    let before = model.score_values(rare.view()).unwrap()[0];
    let mut values = frame.values().to_owned();
    values.column_mut(1).fill(10.0);
    model.update(Frame::from_rows(frame.columns().clone(), values).unwrap().view()).unwrap();
    let after = model.score_values(rare.view()).unwrap()[0];
    assert!(after < before - 0.05, "{before} {after}");
    let updated: IsolationForestModel = read_model(&to_bytes(&model).unwrap()).unwrap();
    assert_eq!(scores(&updated, frame.view()), scores(&model, frame.view()));
}

#[test]
fn files_of_payload_version_1_still_load() {
    let old = include_bytes!("../../golden/payload-1.model");
    assert_eq!(inspect(old).unwrap().payload_version, 1);
    let model: IsolationForestModel = read_model(old).unwrap();
    let frame = noise_frame(300, 4, 9);
    // The seed and size of the pinned scores: the file holds that forest.
    let config = IsolationForestConfig { split: Split::Standard, n_trees: 10, ..Default::default() };
    assert_eq!(model.config(), &config);
    let today = to_bytes(&model).unwrap();
    assert_eq!(today, to_bytes(&fitted(config, &frame)).unwrap());
    assert_eq!(inspect(&today).unwrap().payload_version, 2);
    let newer = write_payload("iforest", Writer { payload_version: 3, ..Writer::default() }, &0u8).unwrap();
    assert!(matches!(read_model::<IsolationForestModel>(&newer), Err(ModelError::PayloadVersion { .. })));
}

#[derive(serde::Deserialize)]
struct Golden {
    values: Vec<Vec<f64>>,
    score: Vec<f64>,
    new: Vec<Vec<Option<f64>>>,
    new_score: Vec<f64>,
}

/// isotree with `categ_split_type="subset"`, see `golden/make_categories.py`.
#[test]
fn categories_agree_with_isotree() {
    let golden: Golden = serde_json::from_str(include_str!("../../golden/isotree-categories.json")).unwrap();
    let table = Array2::from_shape_vec((golden.values.len(), 4), golden.values.concat()).unwrap();
    let config = IsolationForestConfig { categorical: vec!["2".into(), "3".into()], n_trees: 1_000, ..config() };
    let model = forest(config).fit_values(table.view()).unwrap();
    let ours = model.score_values(table.view()).unwrap().to_vec();
    let correlation = crate::parity::spearman(&ours, &golden.score);
    // score = 2^(-path / c), with the same c on both sides.
    let path = |scores: &[f64]| scores.iter().map(|s| -s.log2()).sum::<f64>() / scores.len() as f64;
    let ratio = path(&ours) / path(&golden.score);
    println!("rank correlation {correlation:.4}, path length {ratio:.4} of isotree's");
    assert!(correlation >= 0.97 && (ratio - 1.0).abs() <= 0.02, "{correlation} {ratio}");
    let new = golden.new.concat().into_iter().map(|value| value.unwrap_or(f64::NAN)).collect();
    let new = model.score_values(Array2::from_shape_vec((golden.new.len(), 4), new).unwrap().view()).unwrap();
    for (row, (ours, theirs)) in new.iter().zip(&golden.new_score).enumerate() {
        assert!((ours - theirs).abs() < 0.02, "row {row} with new and missing categories: {ours} {theirs}");
    }
}

#[test]
fn what_is_not_possible_is_named() {
    let error = forest_error(IsolationForestConfig { categorical: vec!["brand".into()], ..Default::default() });
    assert_eq!(error, "categorical = brand is out of range (none unless split = standard)");
    let unknown = IsolationForestConfig { categorical: vec!["shop".into()], ..small(Split::Standard) };
    let error = forest(unknown).fit_values(shop().values()).unwrap_err().to_string();
    assert_eq!(error, "column `shop` is missing (there are: 0, 1)");

    let model = fitted(config(), &shop());
    let errors: Vec<IsolationForestError> = vec![
        model.shap_values(shop().values()).unwrap_err(),
        #[cfg(feature = "onnx")]
        model.to_onnx().unwrap_err(),
        #[cfg(feature = "treelite")]
        model.to_treelite().unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.ends_with("is not possible with categorical columns (here: brand); allowed: none"), "{text}");
    }
}

fn forest_error(config: IsolationForestConfig) -> String {
    funnelpulse_iforest::IsolationForest::new(config).expect_err("out of range").to_string()
}
