use funnelpulse_core::{Calibrator, FittedDetector, Frame, Registry};
use funnelpulse_testing::{Conformance, noise_frame, plant};

use funnelpulse_core::Detector;

use crate::*;

fn seasonal_frame(days: usize) -> Frame {
    let noise = noise_frame(24 * days, 1, 3);
    let (time, columns, mut values) = noise.into_parts();
    for (i, v) in values.iter_mut().enumerate() {
        *v += 50.0 * ((i % 24) as f64 / 24.0 * std::f64::consts::TAU).sin();
    }
    Frame::new(time, columns, values).unwrap()
}

#[test]
fn keeps_the_contract() {
    for season in [Season::Auto, Season::None, Season::HourOfDay, Season::HourOfWeek] {
        for robust in [false, true] {
            for scale in [Scale::Auto, Scale::Linear, Scale::Log] {
                let detector = ZScore::new(ZScoreConfig { season, robust, scale });
                Conformance::new(&detector, Registry::new().with::<ZScoreModel>()).shape(600, 2).run();
            }
        }
    }
}

#[test]
fn a_season_sharpens_the_eye() {
    let frame = plant(&seasonal_frame(14), 200, 0, 112.0);
    let score = |season| {
        let model = ZScore::new(ZScoreConfig { season, ..Default::default() }).fit(frame.view()).unwrap();
        model.detect(frame.view()).unwrap().into_score()[200]
    };
    assert!(score(Season::None) < 2.0, "within the daily range: {}", score(Season::None));
    assert!(score(Season::HourOfDay) > 10.0, "but not at that hour: {}", score(Season::HourOfDay));
}

#[test]
fn auto_takes_the_longest_season_that_repeats() {
    let resolved = |days| ZScore::default().fit(seasonal_frame(days).view()).unwrap().season();
    assert_eq!([resolved(2), resolved(3), resolved(21)], [Season::None, Season::HourOfDay, Season::HourOfWeek]);
}

#[test]
fn robust_statistics_are_not_fooled_by_the_history() {
    let mut frame = seasonal_frame(30);
    for day in [3, 9, 20] {
        frame = plant(&frame, 24 * day + 6, 0, 1e5);
    }
    let model =
        ZScore::new(ZScoreConfig { season: Season::HourOfDay, ..Default::default() }).fit(frame.view()).unwrap();
    let expected = model.detect(frame.view()).unwrap().expected().unwrap()[[6, 0]];
    assert!((expected - 150.0).abs() < 2.0, "{expected}");
}

#[test]
fn reference_scores_calibrate_a_normal_history() {
    let calibrator = Calibrator::fit(ZScore::reference_scores(1).view()).unwrap();
    // Two-sided: three standard deviations are one in 370.
    let p = calibrator.tail_probability(3.0);
    assert!((p - 0.0027).abs() < 0.0006, "{p}");
    let wide = Calibrator::fit(ZScore::reference_scores(5).view()).unwrap();
    assert!((wide.tail_probability(3.0) / p - 5.0).abs() < 1.0);
}

#[test]
fn signed_residuals_tell_up_from_down() {
    let frame = seasonal_frame(14);
    let model = ZScore::default().fit(frame.view()).unwrap();
    let low = model.residuals(plant(&frame, 50, 0, 0.0).view()).unwrap();
    assert!(low[[50, 0]] < -5.0);
    assert!(model.residuals(plant(&frame, 50, 0, f64::NAN).view()).unwrap()[[50, 0]].is_nan());
}
