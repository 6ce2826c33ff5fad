use funnelpulse_core::{Calibrator, FittedDetector, Frame, Registry, Timestamp, Zone};
use funnelpulse_testing::{Conformance, noise_frame, plant};

use funnelpulse_core::Detector;

use crate::*;

mod calendar;
mod files;

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
                let detector = ZScore::new(ZScoreConfig { season, robust, scale, ..ZScoreConfig::default() });
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
fn local_hours_stay_the_same_where_clocks_are_set() {
    // From 2024-02-01 on; clocks in New York are set on 2024-03-10. Every local noon is busy.
    const START: i64 = 1_706_745_600;
    let zone = Zone::new("America/New_York").unwrap();
    let noise = noise_frame(24 * 70, 1, 3);
    let time: Vec<Timestamp> = (0..24 * 70).map(|hour| Timestamp::from_seconds(START + 3600 * hour)).collect();
    let (_, columns, mut values) = noise.into_parts();
    for (value, time) in values.iter_mut().zip(&time) {
        let local = (time.as_micros() + zone.offset(*time)) / Timestamp::HOUR;
        *value += if local % 24 == 12 { 100.0 } else { 0.0 };
    }
    let frame = Frame::new(time, columns, values).unwrap();
    let highest_after = |timezone: &str| {
        let config = ZScoreConfig { timezone: timezone.to_owned(), ..ZScoreConfig::default() };
        let model = ZScore::new(config).fit(frame.view().rows(0..24 * 35)).unwrap();
        let scores = model.detect(frame.view().rows(24 * 40..24 * 70)).unwrap().into_score();
        scores.into_iter().fold(0.0, f64::max)
    };
    assert!(highest_after("America/New_York") < 8.0, "{}", highest_after("America/New_York"));
    assert!(highest_after("UTC") > 15.0, "{}", highest_after("UTC"));
}

#[test]
fn unknown_time_zones_are_refused() {
    let config = ZScoreConfig { timezone: "Europe/Atlantis".to_owned(), ..ZScoreConfig::default() };
    let refused = "timezone: `Europe/Atlantis` is no IANA time zone, such as `Europe/Berlin`";
    assert_eq!(config.validate().unwrap_err().to_string(), refused);
    let error = ZScore::new(config).fit(seasonal_frame(3).view()).unwrap_err();
    assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string() == refused), "{error}");
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

#[test]
fn held_out_scores_are_those_of_models_fitted_without_the_part() {
    // Three columns: a count with quiet nights, one with gaps, one that is negative half of the time.
    let noise = noise_frame(24 * 40, 3, 9);
    let (time, columns, mut values) = noise.into_parts();
    for (i, mut row) in values.rows_mut().into_iter().enumerate() {
        row[0] = (row[0].abs() * if i % 24 < 6 { 0.01 } else { 5.0 }).round();
        row[1] = if i % 7 == 0 { f64::NAN } else { row[1] };
        row[2] -= 100.0;
    }
    let frame = Frame::new(time, columns, values).unwrap();
    let detector = ZScore::default();
    let (model, held_out) = detector.fit_cross_validated(frame.view(), 5).unwrap();
    assert_eq!(model, detector.fit(frame.view()).unwrap());
    let held_out = held_out.expect("sorted columns give them");
    for fold in 0..5 {
        let block = fold * 960 / 5..(fold + 1) * 960 / 5;
        let rest = (0..960).filter(|row| !block.contains(row)).collect::<Vec<_>>();
        let time = rest.iter().map(|row| frame.time()[*row]).collect();
        let rest = Frame::new(time, frame.columns().clone(), frame.values().select(ndarray::Axis(0), &rest)).unwrap();
        let scores = detector.fit(rest.view()).unwrap().detect(frame.view().rows(block.clone())).unwrap().into_score();
        assert_eq!(held_out.slice(ndarray::s![block]), scores);
    }
}
