//! Calendars: what entries teach, what they leave alone, what is not known of them.

use funnelpulse_core::{
    CalendarEntry, Columns, Detector, FittedDetector, Frame, OnlineDetector, Registry, Timestamp, read_model, to_bytes,
};
use funnelpulse_testing::{Conformance, noise_frame};
use ndarray::Array2;
use proptest::prelude::*;

use crate::*;

/// 2024-01-01, a Monday.
const START: i64 = 1_704_067_200;
/// The days of 2024, from zero, on which twice as much is sold; and one of a kind that is not in the history.
const HOLIDAYS: [usize; 3] = [20, 50, 80];
const UNSEEN: usize = 85;

fn day(day: usize) -> String {
    Timestamp::from_seconds(START).offset(day as i64 * Timestamp::DAY).to_string()
}

fn entry(kind: &str, name: &str, at: usize) -> CalendarEntry {
    CalendarEntry::new(name, kind, &day(at), &day(at + 1))
}

fn calendar() -> Vec<CalendarEntry> {
    let seen = HOLIDAYS.map(|at| entry("holiday", "feast", at));
    seen.into_iter().chain([entry("strike", "strike", UNSEEN)]).collect()
}

/// 90 days of a daily rhythm with noise, with factors on some days: a count, and the same about zero.
fn shop(factors: &[(usize, f64)]) -> Frame {
    let (_, _, noise) = noise_frame(24 * 90, 1, 7).into_parts();
    let value = |(row, column): (usize, usize)| {
        let hour = (row % 24) as f64 / 24.0 * std::f64::consts::TAU;
        let factor = factors.iter().find(|(day, _)| *day == row / 24).map_or(1.0, |(_, factor)| *factor);
        let count = (200.0 + 50.0 * hour.sin()) * factor + 0.1 * noise[[row, 0]];
        if column == 0 { count } else { count - 200.0 }
    };
    let time = (0..24 * 90).map(|hour| Timestamp::from_seconds(START + 3_600 * hour)).collect();
    Frame::new(time, Columns::new(["sold", "change"]).unwrap(), Array2::from_shape_fn((24 * 90, 2), value)).unwrap()
}

fn config(robust: bool, calendar: Vec<CalendarEntry>) -> ZScoreConfig {
    ZScoreConfig { season: Season::HourOfWeek, robust, calendar, ..ZScoreConfig::default() }
}

/// The model of the first 60 days.
fn model(frame: &Frame, robust: bool, calendar: Vec<CalendarEntry>) -> ZScoreModel {
    ZScore::new(config(robust, calendar)).fit(frame.view().rows(0..24 * 60)).unwrap()
}

/// The highest score of a day.
fn highest(model: &ZScoreModel, frame: &Frame, day: usize) -> f64 {
    let rows = frame.view().rows(24 * day..24 * day + 24);
    model.detect(rows).unwrap().into_score().into_iter().fold(0.0, f64::max)
}

#[test]
fn a_holiday_that_was_seen_twice_is_expected() {
    let frame = shop(&HOLIDAYS.map(|day| (day, 2.0)));
    for robust in [true, false] {
        let (with, without) = (model(&frame, robust, calendar()), model(&frame, robust, Vec::new()));
        let [with, without] = [with, without].map(|model| highest(&model, &frame, HOLIDAYS[2]));
        assert!(with < 3.5 && without > 4.0, "robust {robust}: {with} with, {without} without the calendar");
    }
    let expected = model(&frame, true, calendar()).detect(frame.view()).unwrap();
    let row = 24 * HOLIDAYS[2] + 6;
    let [sold, change] = [0, 1].map(|column| expected.expected().unwrap()[[row, column]]);
    assert!((430.0..510.0).contains(&sold), "{sold}");
    assert!(change > 100.0, "{change}");
    let (lower, upper) = expected.interval().unwrap();
    assert!(lower[[row, 0]] < 500.0 && upper[[row, 0]] > 500.0);
}

#[test]
fn what_is_odd_for_a_holiday_is_still_found() {
    // The third feast sells nothing.
    let frame = shop(&[(HOLIDAYS[0], 2.0), (HOLIDAYS[1], 2.0), (HOLIDAYS[2], 0.0)]);
    let score = highest(&model(&frame, true, calendar()), &frame, HOLIDAYS[2]);
    assert!(score > 5.0, "{score}");
}

#[test]
fn an_entry_that_was_never_seen_widens_what_is_expected() {
    let frame = shop(&[(UNSEEN, 1.5)]);
    for robust in [true, false] {
        let (with, without) = (model(&frame, robust, calendar()), model(&frame, robust, Vec::new()));
        let [with_score, without_score] = [&with, &without].map(|model| highest(model, &frame, UNSEEN));
        assert!(with_score < 3.0 && without_score > 6.0, "robust {robust}: {with_score} and {without_score}");
        let row = 24 * UNSEEN + 6;
        let center = |model: &ZScoreModel| model.detect(frame.view()).unwrap().expected().unwrap()[[row, 0]];
        assert!((center(&with) - center(&without)).abs() < 2.0, "its mean is that of an ordinary day");
    }
}

#[test]
fn entries_of_some_hours_concern_these_hours_alone() {
    let hours = |day: usize| {
        let at =
            |hour: i64| Timestamp::from_seconds(START).offset(day as i64 * Timestamp::DAY + hour * Timestamp::HOUR);
        CalendarEntry::new("mail", "mail", &at(9).to_string(), &at(12).to_string())
    };
    let frame = shop(&[]);
    let with = model(&frame, true, vec![hours(10), hours(80)]);
    let width = |hour: usize| {
        let detection = with.detect(frame.view()).unwrap();
        let (lower, upper) = detection.interval().unwrap();
        upper[[24 * 80 + hour, 0]] - lower[[24 * 80 + hour, 0]]
    };
    assert!(width(9) > 2.0 * width(8) && width(11) > 2.0 * width(12));
}

#[test]
fn local_days_are_days_of_the_time_zone() {
    // 2024-03-20 in Tokyo begins at 15:00 on the day before.
    let entry = CalendarEntry::new("equinox", "holiday", "2024-03-20", "2024-03-21");
    let config = ZScoreConfig { timezone: "Asia/Tokyo".to_owned(), ..config(true, vec![entry]) };
    let frame = shop(&[]);
    let model = ZScore::new(config).fit(frame.view().rows(0..24 * 60)).unwrap();
    let detection = model.detect(frame.view()).unwrap();
    let (lower, upper) = detection.interval().unwrap();
    let wide: Vec<usize> = (0..24 * 90).filter(|&row| upper[[row, 0]] - lower[[row, 0]] > 200.0).collect();
    let first = 24 * 78 + 15;
    assert_eq!(wide, (first..first + 24).collect::<Vec<_>>());
}

#[test]
fn rows_of_entries_teach_nothing_about_ordinary_ones() {
    let ordinary: Vec<usize> =
        (0..24 * 90).filter(|row| !HOLIDAYS.contains(&(row / 24)) && row / 24 != UNSEEN).collect();
    let scores = |frame: &Frame, robust| {
        let score = model(frame, robust, calendar()).detect(frame.view()).unwrap().into_score();
        ordinary.iter().map(|&row| score[row].to_bits()).collect::<Vec<_>>()
    };
    for robust in [true, false] {
        let calm = scores(&shop(&[]), robust);
        assert_eq!(calm, scores(&shop(&HOLIDAYS.map(|day| (day, 40.0))), robust), "robust {robust}");
    }
}

#[test]
fn a_history_of_nothing_but_an_entry_is_learnt_as_it_is() {
    let frame = shop(&[]);
    let sale = CalendarEntry::new("sale", "sale", "2023-01-01", "2025-01-01");
    let model = model(&frame, true, vec![sale]);
    assert!(highest(&model, &frame, 70) < 4.0);
}

#[test]
fn a_calendar_without_entries_changes_nothing() {
    let frame = shop(&HOLIDAYS.map(|day| (day, 2.0)));
    // Entries before and after all rows.
    let outside = vec![
        CalendarEntry::new("feast", "holiday", "2001-01-01", "2001-01-02"),
        CalendarEntry::new("feast", "holiday", "2031-01-01", "2031-01-02"),
    ];
    for robust in [true, false] {
        let scores = |calendar| model(&frame, robust, calendar).detect(frame.view()).unwrap().into_score();
        assert_eq!(scores(outside.clone()), scores(Vec::new()));
    }
}

#[test]
fn the_contract_holds_with_a_calendar() {
    // The rows of the suite start in 1970.
    let at = |hour: i64| Timestamp::from_seconds(3_600 * hour).to_string();
    let entry = |name: &str, hour: i64, hours: i64| CalendarEntry::new(name, "sale", &at(hour), &at(hour + hours));
    let calendar = vec![entry("a", 30, 24), entry("b", 40, 3), entry("a", 480, 24), entry("c", 590, 40)];
    for robust in [true, false] {
        let config =
            ZScoreConfig { season: Season::HourOfDay, robust, calendar: calendar.clone(), ..Default::default() };
        Conformance::new(&ZScore::new(config), Registry::new().with::<ZScoreModel>()).shape(600, 2).run();
    }
}

#[test]
fn models_with_a_calendar_come_back_and_follow_rows() {
    let frame = shop(&HOLIDAYS.map(|day| (day, 2.0)));
    let model = model(&frame, true, calendar());
    let loaded: ZScoreModel = read_model(&to_bytes(&model).unwrap()).unwrap();
    assert_eq!(loaded, model);
    let batch = model.detect(frame.view()).unwrap().into_score();
    let mut live = loaded.live();
    for row in 24 * 79..24 * 90 {
        let score = live.advance(frame.view().rows(row..row + 1)).unwrap().into_score()[0];
        assert_eq!(score.to_bits(), batch[row].to_bits(), "row {row}");
    }
}

#[test]
fn held_out_scores_of_entries_are_those_of_models_without_the_part() {
    let frame = shop(&HOLIDAYS.map(|day| (day, 2.0)));
    let detector = ZScore::new(config(true, calendar()));
    let (model, held_out) = detector.fit_cross_validated(frame.view(), 3).unwrap();
    assert_eq!(model, detector.fit(frame.view()).unwrap());
    let held_out = held_out.expect("sorted columns give them");
    let block = 24 * 30..24 * 60;
    let rest: Vec<usize> = (0..24 * 90).filter(|row| !block.contains(row)).collect();
    let time = rest.iter().map(|row| frame.time()[*row]).collect();
    let rest = Frame::new(time, frame.columns().clone(), frame.values().select(ndarray::Axis(0), &rest)).unwrap();
    let scores = detector.fit(rest.view()).unwrap().detect(frame.view().rows(block.clone())).unwrap().into_score();
    assert_eq!(held_out.slice(ndarray::s![block]), scores);
}

#[test]
fn rows_of_entries_are_passed_over_by_updates() {
    let frame = shop(&[(HOLIDAYS[2], 40.0)]);
    let mut updated = model(&frame, false, calendar());
    assert!(!updated.update_equals_refit());
    let before = updated.clone();
    updated.update(frame.view().rows(24 * HOLIDAYS[2]..24 * HOLIDAYS[2] + 24)).unwrap();
    assert_eq!(updated, before);
    updated.update(frame.view().rows(24 * 70..24 * 71)).unwrap();
    assert_ne!(updated, before);
}

#[test]
fn entries_that_can_not_be_used_are_refused_when_settings_are_read_and_when_a_model_is_fitted() {
    let config = config(true, vec![CalendarEntry::new("sale", "sale", "2024-03-02", "2024-03-01")]);
    let refused = "calendar entry `sale`: it ends before it starts";
    assert_eq!(config.validate().unwrap_err().to_string(), refused);
    let error = ZScore::new(config).fit(shop(&[]).view()).unwrap_err();
    assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string() == refused), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn files_with_changed_bytes_are_refused_or_give_a_model(place in 0_usize..10_000, byte: u8) {
        let frame = shop(&[]);
        let payload = postcard::to_allocvec(&model(&frame, true, calendar())).unwrap();
        let mut changed = payload.clone();
        // The calendar stands in the first bytes.
        let place = place % 2_000.min(changed.len());
        changed[place] = byte;
        if let Ok((model, _)) = postcard::take_from_bytes::<ZScoreModel>(&changed) {
            let _ = model.detect(frame.view().rows(24 * 79..24 * 87));
        }
    }
}
