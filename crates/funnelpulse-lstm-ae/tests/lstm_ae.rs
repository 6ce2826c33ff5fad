//! The crate through its public API.

use std::f64::consts::TAU;

use funnelpulse_core::{Columns, Detector, Error, FittedDetector, Frame, FrameView, Registry, Timestamp, to_bytes};
use funnelpulse_lstm_ae::{
    Compute, LstmAutoencoder, LstmAutoencoderConfig, LstmAutoencoderError, LstmAutoencoderModel, ReconstructionScoring,
    Transform,
};
use funnelpulse_testing::{Conformance, noise_frame};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

/// A network that trains in a second.
fn small() -> LstmAutoencoderConfig {
    LstmAutoencoderConfig {
        sequence_length: 24,
        encoder: vec![16],
        bottleneck: 8,
        decoder: vec![16],
        stride: 6,
        epochs: 4,
        learning_rate: 5e-3,
        ..Default::default()
    }
}

fn registry() -> Registry {
    Registry::new().with::<LstmAutoencoderModel>()
}

fn frame(values: Array2<f64>) -> Frame {
    let time = (0..values.nrows()).map(|i| Timestamp::from_seconds(1_569_888_000 + 3600 * i as i64)).collect();
    let names = (0..values.ncols()).map(|c| format!("c{c}"));
    Frame::new(time, Columns::new(names).expect("numbered"), values).expect("even times")
}

/// What is usual in an hour for views and purchases of a shop: days with a sharp rise in the morning and a second
/// peak at night, weekends lower.
fn usual(hour: usize, column: usize) -> f64 {
    let (day, of_day) = (hour / 24, (hour % 24) as f64);
    let weekend = if day % 7 >= 5 { 0.7 } else { 1.0 };
    let rise = 1.0 / (1.0 + (-(of_day - 8.0) * 1.2).exp());
    let evening = (-(of_day - 20.0).powi(2) / 6.0).exp();
    weekend * (20.0 + 60.0 * rise * (1.0 - of_day / 40.0) + 50.0 * evening) * [1.0, 0.05][column]
}

const NOISE: f64 = 0.03;

fn shop(days: usize, scale: f64, seed: u64) -> Array2<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    Array2::from_shape_fn((24 * days, 2), |(hour, column)| {
        let noise: f64 = rng.sample(StandardNormal);
        scale * usual(hour, column) * (1.0 + NOISE * noise)
    })
}

fn top(scores: impl IntoIterator<Item = f64>) -> usize {
    let scores = scores.into_iter().enumerate().filter(|(_, s)| !s.is_nan());
    scores.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a score").0
}

#[test]
fn keeps_the_contract() {
    let config =
        LstmAutoencoderConfig { sequence_length: 12, encoder: vec![8], bottleneck: 4, decoder: vec![8], ..small() };
    let detector = LstmAutoencoder::new(LstmAutoencoderConfig { epochs: 2, ..config }).unwrap();
    Conformance::new(&detector, registry()).run();
}

fn pattern_config() -> LstmAutoencoderConfig {
    LstmAutoencoderConfig {
        sequence_length: 48,
        encoder: vec![32],
        bottleneck: 16,
        decoder: vec![32],
        stride: 4,
        epochs: 40,
        learning_rate: 5e-3,
        dropout: 0.0,
        ..Default::default()
    }
}

#[test]
fn a_right_value_at_the_wrong_hour_ranks_on_top() {
    let values = shop(90, 1.0, 1);
    let original = LstmAutoencoderConfig {
        blind: false,
        calendar: false,
        corruption: 0.0,
        transform: Transform::Linear,
        ..pattern_config()
    };
    for config in [pattern_config(), original] {
        let blind = config.blind;
        let model = LstmAutoencoder::new(config).unwrap().fit(frame(values.clone()).view()).unwrap();
        let mut wrong = values.clone();
        // Thursday, 4 in the morning, with the values of 8 in the evening.
        let hour = 24 * 80 + 4;
        for column in 0..2 {
            wrong[[hour, column]] = values[[hour + 16, column]];
        }
        let scores = model.detect(frame(wrong).view()).unwrap().into_score();
        assert_eq!(top(scores), hour, "blind {blind}");
    }
}

/// Which rows no detector can miss: those farther than four noise sigmas from what is usual, root mean square over the
/// columns. Of the rows of the unchanged series none is.
fn evident(values: &Array2<f64>) -> Vec<usize> {
    let off = |hour, column| ((values[[hour, column]] / usual(hour, column) - 1.0) / NOISE).powi(2);
    (0..values.nrows()).filter(|&hour| f64::midpoint(off(hour, 0), off(hour, 1)) > 16.0).collect()
}

#[test]
fn all_hours_of_swapped_days_rank_above_all_normal_rows() {
    let config = LstmAutoencoderConfig { stride: 1, last_row_weight: 10.0, learning_rate: 0.01, ..pattern_config() };
    let values = shop(90, 1.0, 2);
    assert!(evident(&values).is_empty());
    let model = LstmAutoencoder::new(config).unwrap().fit(frame(values.clone()).view()).unwrap();
    let ranks = |swap: &dyn Fn(usize) -> usize| {
        let swapped = Array2::from_shape_fn(values.dim(), |(hour, column)| values[[swap(hour), column]]);
        let evident = evident(&swapped);
        let scores = model.detect(frame(swapped).view()).unwrap().into_score();
        let normal = (0..scores.len()).filter(|&hour| swap(hour) == hour && !scores[hour].is_nan());
        let highest = normal.map(|hour| scores[hour]).fold(0.0, f64::max);
        let missed: Vec<usize> = evident.iter().copied().filter(|&hour| scores[hour] <= highest).collect();
        assert!(missed.is_empty(), "{missed:?} do not exceed {highest}");
        evident.len()
    };
    // A weekday and the first day of a weekend: the same hours, another level. Days before and after look right.
    let days = |hour: usize| match hour / 24 {
        79 => hour + 4 * 24,
        83 => hour - 4 * 24,
        _ => hour,
    };
    assert_eq!(ranks(&days), 48);
    // Day and night of one day; in two hours both are much the same.
    let halves = |hour: usize| if hour / 24 == 80 { 24 * 80 + (hour + 12) % 24 } else { hour };
    assert_eq!(ranks(&halves), 22);
}

#[test]
fn plain_and_fused_train_to_the_same_weights_without_dropout() {
    let base = LstmAutoencoderConfig { dropout: 0.0, epochs: 2, ..small() };
    let history = frame(shop(15, 1.0, 3));
    let fit = |compute| {
        let config = LstmAutoencoderConfig { compute, ..base.clone() };
        LstmAutoencoder::new(config).unwrap().fit(history.view()).unwrap()
    };
    let (fused, plain) = (fit(Compute::Fused), fit(Compute::Plain));
    for (a, b) in fused.history().iter().zip(plain.history()) {
        assert!((a.validation - b.validation).abs() < 1e-4 * b.validation, "{a:?} {b:?}");
    }
    let [a, b] = [&fused, &plain].map(|m| m.detect(history.view()).unwrap().into_score());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-2 * b || a.is_nan() && b.is_nan()));
}

#[test]
fn bad_data_is_refused_or_survived() {
    let detector = LstmAutoencoder::new(small()).unwrap();
    let short = noise_frame(23, 2, 1);
    let error = detector.fit(short.view()).unwrap_err();
    let core = matches!(error, LstmAutoencoderError::Core(Error::TooFewRows { rows: 23, needed: 24, .. }));
    assert!(core, "{error}");
    // Rows enough, but a gap in the middle.
    let (mut time, columns, values) = noise_frame(40, 2, 1).into_parts();
    time[20..].iter_mut().for_each(|t| *t = t.offset(100 * Timestamp::HOUR));
    let error = detector.fit(Frame::new(time, columns, values).unwrap().view()).unwrap_err();
    assert!(matches!(error, LstmAutoencoderError::Core(Error::TooFewRows { rows: 20, .. })), "{error}");

    // A constant metric is as good as none until it moves.
    let mut values = shop(20, 1.0, 2);
    values.column_mut(1).fill(7.0);
    let model = detector.fit(frame(values.clone()).view()).unwrap();
    values[[400, 1]] = 9.0;
    assert_eq!(top(model.detect(frame(values.clone()).view()).unwrap().into_score()), 400);

    // Missing hours, as rows of NaN and as rows that are not there, make no window anomalous.
    let mut holes = shop(20, 1.0, 2);
    (0..480).step_by(17).for_each(|hour| holes.row_mut(hour).fill(f64::NAN));
    let model = detector.fit(frame(holes.clone()).view()).unwrap();
    let scores = model.detect(frame(holes.clone()).view()).unwrap().into_score();
    assert!(scores[17 * 20].is_nan() && scores[17 * 20 + 1].is_finite());
    let (time, columns, values) = frame(holes).into_parts();
    let kept: Vec<usize> = (0..480).filter(|hour| hour % 17 != 0).collect();
    let times = kept.iter().map(|&hour| time[hour]).collect();
    let thinned = Frame::new(times, columns, values.select(ndarray::Axis(0), &kept)).unwrap();
    let without = model.detect(thinned.view()).unwrap().into_score();
    assert!(kept.iter().enumerate().skip(30).all(|(row, &hour)| without[row] == scores[hour]));

    // The largest step that is allowed, without clipping, learns little but does not blow up.
    let config = LstmAutoencoderConfig { learning_rate: 1.0, clip_norm: None, ..small() };
    let history = noise_frame(300, 1, 1);
    let model = LstmAutoencoder::new(config).unwrap().fit(history.view()).unwrap();
    assert!(model.detect(history.view()).unwrap().into_score().iter().skip(23).all(|score| score.is_finite()));
}

#[test]
fn one_giant_among_a_hundred_does_not_matter() {
    let frames: Vec<Frame> = (0..100).map(|n| frame(shop(6, if n == 0 { 1e6 } else { 1.0 }, n))).collect();
    let views: Vec<FrameView<'_>> = frames.iter().map(Frame::view).collect();
    let detector = LstmAutoencoder::new(LstmAutoencoderConfig { epochs: 2, ..small() }).unwrap();
    let model = detector.fit_pooled(&views).unwrap();
    assert_eq!(model.n_series(), 100);
    for index in [0, 1, 50] {
        let known = model.of_series(index).unwrap().detect(views[index]).unwrap().into_score();
        let guessed = model.detect(views[index]).unwrap().into_score();
        for (a, b) in known.iter().zip(&guessed).skip(23) {
            // The guess is another series' scale: rough, but not a million times off.
            assert!(*a < 20.0 && *b < 20.0, "series {index}: {a} {b}");
        }
    }
    assert!(model.of_series(100).is_none());
    let out_of_sample = model.out_of_sample_scores(&views).unwrap().unwrap();
    assert!(out_of_sample[3].iter().take(100).all(|s| s.is_nan()) && out_of_sample[3][143].is_finite());
    let other = noise_frame(100, 3, 1);
    let error = detector.fit_pooled(&[views[0], other.view()]).unwrap_err();
    assert!(error.to_string().contains("series 1"), "{error}");
}

#[test]
fn training_goes_on_where_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.bin");
    let history = frame(shop(20, 1.0, 5));
    let fit = |epochs, checkpoint: Option<&std::path::Path>, history: &Frame| {
        let config = LstmAutoencoderConfig { epochs, checkpoint: checkpoint.map(Into::into), ..small() };
        let mut seen = Vec::new();
        let fitted =
            LstmAutoencoder::new(config).unwrap().fit_with_progress(&[history.view()], &mut |p| seen.push(p.epoch));
        fitted.map(|model| (model, seen))
    };
    let (whole, _) = fit(6, None, &history).unwrap();
    assert_eq!(fit(3, Some(&path), &history).unwrap().1, [1, 2, 3]);
    let (resumed, epochs) = fit(6, Some(&path), &history).unwrap();
    assert_eq!(epochs, [4, 5, 6]);
    assert_eq!(resumed.history(), whole.history());
    assert_eq!(resumed.safetensors(), whole.safetensors());
    // Of other data, damaged.
    let error = fit(6, Some(&path), &frame(shop(20, 1.0, 6))).unwrap_err();
    assert!(error.to_string().contains("other data"), "{error}");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(fit(6, Some(&path), &history), Err(LstmAutoencoderError::Checkpoint { .. })));
}

#[test]
fn losses_fall_and_the_best_weights_are_kept() {
    let config = LstmAutoencoderConfig {
        epochs: 60,
        patience: 3,
        learning_rate: 0.03,
        blind: false,
        calendar: false,
        corruption: 0.0,
        transform: Transform::Linear,
        ..small()
    };
    let model = LstmAutoencoder::new(config).unwrap().fit(frame(shop(20, 1.0, 5)).view()).unwrap();
    let losses: Vec<f32> = model.history().iter().map(|l| l.validation).collect();
    let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
    assert!(best < 0.6 * losses[0], "{losses:?}");
    let place = losses.iter().position(|l| *l == best).unwrap();
    assert!(losses.len() == 60 || losses.len() == place + 1 + 3, "stopped after {} of {place}", losses.len());
}

#[test]
fn the_mean_over_windows_points_at_the_hour_too() {
    let values = shop(60, 1.0, 1);
    let config = LstmAutoencoderConfig { scoring: ReconstructionScoring::WindowMean, epochs: 8, ..pattern_config() };
    let model = LstmAutoencoder::new(config).unwrap().fit(frame(values.clone()).view()).unwrap();
    let mut wrong = values;
    wrong[[1000, 0]] *= 3.0;
    let detection = model.detect(frame(wrong).view()).unwrap();
    assert_eq!(top(detection.score().iter().copied()), 1000);
    assert!(detection.contributions().unwrap()[[1000, 0]] > detection.contributions().unwrap()[[1000, 1]]);
    assert!(model.threshold().unwrap().flags(detection.score()[1000]));
}

#[test]
fn a_saved_model_scores_the_same() {
    // Saved with its inputs, a model scores the same.
    let values = Array2::from_shape_fn((24 * 40, 1), |(hour, _)| (TAU * hour as f64 / 24.0).sin());
    let config = LstmAutoencoderConfig { calendar: false, epochs: 6, ..small() };
    let model = LstmAutoencoder::new(config).unwrap().fit(frame(values.clone()).view()).unwrap();
    let saved = to_bytes(&model).unwrap();
    let loaded = registry().load(&saved).unwrap();
    let scores = loaded.detect(frame(values.clone()).view()).unwrap().into_score();
    let before = model.detect(frame(values).view()).unwrap().into_score();
    assert_eq!(scores.as_slice().unwrap()[23..], before.as_slice().unwrap()[23..]);
}

#[test]
fn bad_hyper_parameters_are_named() {
    let refused = |change: fn(&mut LstmAutoencoderConfig)| {
        let mut config = small();
        change(&mut config);
        LstmAutoencoder::new(config).unwrap_err().to_string()
    };
    assert_eq!(refused(|c| c.sequence_length = 1), "sequence_length = 1 is out of range (2 to 4096)");
    assert_eq!(refused(|c| c.encoder.clear()), "encoder = [] is out of range (1 to 8 layers of 1 to 1024 units)");
    assert_eq!(refused(|c| c.corruption = 1.5), "corruption = 1.5 is out of range (0 to 1)");
    assert_eq!(refused(|c| c.dropout = 1.0), "dropout = 1 is out of range (0 to below 1)");
    assert_eq!(refused(|c| c.learning_rate = f64::NAN), "learning_rate = NaN is out of range (above 0 to 1)");
    assert_eq!(refused(|c| c.clip_norm = Some(0.0)), "clip_norm = 0 is out of range (above 0)");
    let wgpu = refused(|c| c.compute = Compute::Wgpu);
    assert_eq!(wgpu, "compute = wgpu needs the cargo feature `wgpu`, which this build lacks");
    let parsed: Result<LstmAutoencoderConfig, _> = serde_json::from_str(r#"{"unknown": 1}"#);
    assert!(parsed.is_err());
}
