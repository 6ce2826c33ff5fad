//! The structure of what is expected: profiles, levels, calendar, robust weights.

use super::shop::{Random, START, Shop, fit, plain};
use crate::{
    CalendarEntry, IncidentConfig, IncidentDetector, IncidentModel,
    calendar::Calendar,
    clock::Clock,
    grid::{CARTS, Grid, PURCHASES, REVENUE, TRAFFIC},
    series::{DayShape, Series},
    structure::robust,
};
use funnelpulse_core::{Columns, Frame, Panel, Timestamp};

/// Mean of what is expected of one step in the rows of one series.
fn expected(model: &IncidentModel, panel: &Panel, series: usize, rows: std::ops::Range<usize>, step: usize) -> f64 {
    let scan = model.scan(panel).unwrap();
    let all: Vec<[f64; 4]> = scan.series[series].expected().collect();
    all[rows.clone()].iter().map(|values| values[step]).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_wave_of_a_day_is_learnt() {
    let panel = Shop::new(4, 60, plain).panel();
    let scan = fit(&panel).scan(&panel).unwrap();
    for (brand, evidence) in scan.series.iter().enumerate() {
        for (hour, values) in evidence.expected().enumerate().skip(600).take(48) {
            let views = 80.0 * (1.0 + brand as f64) * (1.0 + 0.6 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin());
            assert!((values[TRAFFIC] / views - 1.0).abs() < 0.12, "brand {brand}, hour {hour}: {values:?}, {views}");
            assert!((values[CARTS] / (0.4 * views) - 1.0).abs() < 0.2);
            assert!((values[PURCHASES] / (0.12 * views) - 1.0).abs() < 0.3);
            assert!((values[REVENUE] / (2.4 * views) - 1.0).abs() < 0.4);
        }
    }
}

#[test]
fn twice_the_counts_are_expected_of_twice_the_shop() {
    let panel = Shop::new(3, 40, plain).panel();
    let mut double = Panel::new(panel.columns().clone());
    for (key, frame) in &panel {
        let (time, columns, values) = frame.clone().into_parts();
        double.insert(key.clone(), Frame::new(time, columns, values * 2.0).unwrap()).unwrap();
    }
    let (one, two) = (fit(&panel), fit(&double));
    for step in [TRAFFIC, CARTS, PURCHASES, REVENUE] {
        let ratio = expected(&two, &double, 1, 300..348, step) / expected(&one, &panel, 1, 300..348, step);
        assert!((ratio - 2.0).abs() < 0.05, "step {step}: {ratio}");
    }
}

#[test]
fn an_outage_does_not_move_what_is_expected() {
    let broken = |brand: usize, hour: usize| {
        if brand == 1 && (480..510).contains(&hour) { [0.0, 1.0, 1.0, 1.0] } else { [1.0; 4] }
    };
    let (with, without) = (Shop::new(3, 40, broken).panel(), Shop::new(3, 40, plain).panel());
    let ratio =
        expected(&fit(&with), &with, 1, 480..510, TRAFFIC) / expected(&fit(&without), &without, 1, 480..510, TRAFFIC);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn a_new_level_is_expected_after_its_news() {
    let change = |brand: usize, hour: usize| if brand == 1 && hour >= 900 { [0.5, 1.0, 1.0, 1.0] } else { [1.0; 4] };
    let panel = Shop::new(4, 80, change).panel();
    let model = fit(&panel);
    let day = |from: usize| expected(&model, &panel, 1, from..from + 24, TRAFFIC);
    // Whole days have the same profile.
    assert!((day(1200) / day(600) - 0.5).abs() < 0.06, "{} and {}", day(1200), day(600));
    // While it is news, the level before it is expected.
    assert!(expected(&model, &panel, 1, 902..920, TRAFFIC) / expected(&model, &panel, 1, 806..824, TRAFFIC) > 0.85);
}

#[test]
fn the_effect_of_a_sale_is_learnt_and_applied_to_the_next() {
    let day = |text: &str| Clock::new("UTC").unwrap().parse(text).unwrap().as_micros() / Timestamp::HOUR - START / 3600;
    let (first, second) = (day("2024-01-20") as usize, day("2024-02-10") as usize);
    let sales = move |_: usize, hour: usize| {
        let on_sale = [first, second].iter().any(|start| (*start..start + 48).contains(&hour));
        if on_sale { [1.35, 1.0, 1.0, 1.0] } else { [1.0; 4] }
    };
    let panel = Shop::new(6, 60, sales).panel();
    let config = IncidentConfig {
        calendar: vec![
            CalendarEntry::new("winter", "sale", "2024-01-20", "2024-01-22"),
            CalendarEntry::new("carnival", "sale", "2024-02-10", "2024-02-12"),
        ],
        ..IncidentConfig::funnel()
    };
    let model = IncidentDetector::new(config).unwrap().fit(&panel).unwrap();
    for start in [first, second] {
        // The same days of the week before, at the same hours.
        let of = |from: usize| expected(&model, &panel, 4, from..from + 48, TRAFFIC);
        let effect = of(start) / of(start - 168);
        assert!((1.2..1.5).contains(&effect), "{effect}");
    }
}

#[test]
fn calendar_entries_concern_their_series_and_hours() {
    let clock = Clock::new("Europe/Berlin").unwrap();
    let mut entry = CalendarEntry::new("sale", "promotion", "2024-03-30", "2024-04-01");
    entry.series = vec!["acme".to_owned()];
    let other = CalendarEntry::new("mail", "promotion", "2024-04-02T08:00:00", "2024-04-02T12:00:00");
    let calendar = Calendar::new(&[entry, other], &clock).unwrap();
    assert_eq!((calendar.entries.len(), calendar.kinds), (2, 1));
    let [sale, mail] = [&calendar.entries[0], &calendar.entries[1]];
    assert!(sale.concerns("acme") && !sale.concerns("bolt") && mail.concerns("bolt"));
    let hour = |text: &str| clock.parse(text).unwrap().as_micros() / Timestamp::HOUR;
    let grid = Grid { start: hour("2024-03-29T01:00:00"), hours: 240 };
    // The clock goes an hour ahead on 31 March: two days of 47 hours.
    assert_eq!(sale.within(grid).len(), 47);
    assert_eq!(mail.within(grid).len(), 4);
    assert!(mail.within(Grid { start: hour("2025-01-01"), hours: 24 }).is_empty());
}

#[test]
fn calendar_entries_that_make_no_sense_are_refused_by_name() {
    let clock = Clock::new("UTC").unwrap();
    for (start, end, reason) in [
        ("2024-03-30", "2024-03-29", "it ends before it starts"),
        ("2024-03-30", "someday", "`someday` is no date or time"),
    ] {
        let error = Calendar::new(&[CalendarEntry::new("sale", "sale", start, end)], &clock).unwrap_err();
        assert_eq!(error.to_string(), format!("calendar entry `sale`: {reason}"));
    }
}

#[test]
fn days_that_are_far_off_lose_their_weight() {
    let expected = vec![50.0; 480];
    let value: Vec<f64> = (0..480).map(|hour| if (240..264).contains(&hour) { 5.0 } else { 50.0 }).collect();
    let weight = vec![1.0; 480];
    let residuals = robust::residuals(&value, &expected, &weight);
    let spread = robust::spread(&residuals, &weight);
    assert!(residuals[252] < -2.0 && residuals[100].abs() < 1e-9);
    assert!(robust::weight(residuals[252], spread) < 0.01 && robust::weight(residuals[100], spread) == 1.0);
    // Without any weight there is a spread all the same.
    assert!(robust::spread(&residuals, &vec![0.0; 480]) > 0.0);
}

/// A series of one column on a grid that begins in 1970; `None` leaves a row out.
fn series(counts: impl Fn(usize) -> Option<f64>, hours: usize) -> (Series, Grid) {
    let columns = Columns::new(["views"]).unwrap();
    let rows: Vec<(usize, f64)> = (0..hours).filter_map(|hour| Some((hour, counts(hour)?))).collect();
    let time = rows.iter().map(|(hour, _)| Timestamp::from_seconds(*hour as i64 * 3600)).collect();
    let values = ndarray::Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row].1);
    let frame = Frame::new(time, columns, values).unwrap();
    let config = IncidentConfig { traffic: Some("views".to_owned()), ..IncidentConfig::default() };
    let grid = Grid { start: 0, hours };
    (Series::new(&config, frame.view(), grid).unwrap(), grid)
}

/// The hours that are taken as observed once quiet ones are filled.
fn observed(counts: impl Fn(usize) -> Option<f64>, hours: usize) -> Vec<bool> {
    let (mut series, grid) = series(counts, hours);
    let config = IncidentConfig { traffic: Some("views".to_owned()), ..IncidentConfig::default() };
    let (cells, feed) = (Clock::new("UTC").unwrap().cells(grid), vec![true; hours]);
    let day = DayShape::new(std::slice::from_ref(&series), &feed, &cells);
    series.fill_quiet_hours(&config, &feed, &cells, &day);
    series.seen[TRAFFIC].iter().map(|seen| *seen > 0.0).collect()
}

#[test]
fn missing_rows_of_a_small_series_are_zeros() {
    let mut random = Random(41);
    let counts: Vec<f64> = (0..1000).map(|_| random.poisson(0.8)).collect();
    let seen = observed(|hour| (counts[hour] > 0.0).then_some(counts[hour]), 1000);
    assert!(seen[200..].iter().all(|seen| *seen));
}

#[test]
fn missing_rows_of_a_large_series_are_unknown() {
    let seen = observed(|hour| (!(500..510).contains(&hour)).then_some(40.0), 1000);
    assert!(seen[500..510].iter().all(|seen| !seen) && seen[510]);
}

#[test]
fn a_series_that_pauses_is_unknown_after_three_days() {
    let seen = observed(|hour| (hour % 3 == 0 && hour < 400).then_some(1.0), 1000);
    assert!(seen[450] && seen[600..].iter().all(|seen| !seen));
}

#[test]
fn damaged_values_are_unknown_and_rows_of_an_hour_are_added() {
    let (series, _) = series(|hour| Some(if hour == 7 { -3.0 } else { 2.0 }), 48);
    assert_eq!((series.seen[TRAFFIC][7], series.value[TRAFFIC][7], series.known_hours()), (0.0, 0.0, 47));
    assert!(series.observed()[7][TRAFFIC].is_nan());
}
