//! Holidays of local days, and events of some hours.

use funnelpulse_core::{
    CalendarEntry, Columns, Detector, FittedDetector, Frame, Timestamp, Zone, read_model, to_bytes,
};
use funnelpulse_seasonal::{Covariates, Holiday, Seasonal, SeasonalConfig, SeasonalDetectorModel, SeasonalModel};
use ndarray::Array2;

/// 2024-01-01.
const START: i64 = 1_704_067_200;
const HOURS: usize = 24 * 91;

fn time(hours: usize) -> Vec<Timestamp> {
    (0..hours).map(|h| Timestamp::from_seconds(START + 3_600 * h as i64)).collect()
}

fn berlin() -> Zone {
    Zone::new("Europe/Berlin").expect("it is in the database")
}

/// A day of Berlin with an effect of 40 in the hours of each entry.
fn values(entries: &[CalendarEntry], hours: usize) -> Vec<f64> {
    let windows: Vec<_> = entries.iter().map(|entry| entry.instants(&berlin()).expect("times")).collect();
    let value = |(h, at): (usize, Timestamp)| {
        let effect = if windows.iter().any(|window| window.contains(&at)) { 40.0 } else { 0.0 };
        100.0 + 20.0 * (h as f64 * std::f64::consts::TAU / 24.0).sin() + (h * 7 % 5) as f64 + effect
    };
    time(hours).into_iter().enumerate().map(value).collect()
}

fn fit(config: SeasonalConfig, values: &[f64]) -> SeasonalModel {
    let seasonal = Seasonal::new(config).expect("valid");
    seasonal.fit_series(&time(values.len()), values, &Covariates::new()).expect("enough rows")
}

/// Four hours of lunch on some days, one of them after the history.
fn lunches() -> Vec<CalendarEntry> {
    let lunch =
        |day: &str| CalendarEntry::new("lunch", "promotion", &format!("{day}T11:00:00"), &format!("{day}T15:00:00"));
    ["2024-01-17", "2024-02-08", "2024-03-05", "2024-04-02"].map(lunch).to_vec()
}

/// The effect of a component in each hour from the end of the history on.
fn effects(model: &SeasonalModel, name: &str, hours: usize) -> Vec<f64> {
    let forecast = model.predict(&model.make_future(hours, None), &Covariates::new()).unwrap();
    forecast.component(name).unwrap().to_vec()
}

#[test]
fn events_of_some_hours_are_learnt_and_forecast() {
    let values = values(&lunches(), HOURS);
    let config =
        SeasonalConfig { calendar: lunches(), timezone: "Europe/Berlin".to_owned(), ..SeasonalConfig::default() };
    let model = fit(config, &values);
    assert_eq!(model.component_names().collect::<Vec<_>>(), ["weekly", "daily", "lunch"]);
    // From 2024-04-01 on; in summer 11 to 15 h in Berlin are 9 to 13 h UTC.
    for (hour, effect) in effects(&model, "lunch", 48).into_iter().enumerate() {
        if (24 + 9..24 + 13).contains(&hour) {
            assert!((effect - 40.0).abs() < 3.0, "{effect}");
        } else {
            assert_eq!(effect, 0.0, "{hour}");
        }
    }
}

#[test]
fn holidays_are_days_of_the_timezone() {
    let days = ["2024-01-10", "2024-02-14", "2024-03-13"];
    let entries: Vec<CalendarEntry> = days
        .iter()
        .map(|day| {
            let next = format!("{}{:02}", &day[..8], day[8..].parse::<u32>().unwrap() + 1);
            CalendarEntry::new("free", "holiday", day, &next)
        })
        .collect();
    let values = values(&entries, HOURS);
    let holiday = Holiday { holiday: "free".into(), ds: days.map(str::to_owned).to_vec(), ..Holiday::default() };
    let of = |timezone: &str, holidays: Vec<Holiday>, calendar: Vec<CalendarEntry>| {
        fit(SeasonalConfig { timezone: timezone.to_owned(), holidays, calendar, ..Default::default() }, &values)
    };
    let local = of("Europe/Berlin", vec![holiday.clone()], Vec::new());
    let utc = of("", vec![holiday], Vec::new());
    let calendar = of("Europe/Berlin", Vec::new(), entries);
    // The same rows, so the same model.
    assert_eq!(local.effects(), calendar.effects());
    assert!(local.sigma() < 0.8 * utc.sigma(), "{} {}", local.sigma(), utc.sigma());
}

#[test]
fn windows_around_local_days_have_effects_of_their_own() {
    let ds = vec!["2024-02-10".to_owned()];
    let holiday = Holiday { holiday: "fair".into(), ds, lower_window: -1, upper_window: 1, ..Holiday::default() };
    let config =
        SeasonalConfig { holidays: vec![holiday], timezone: "Asia/Tokyo".to_owned(), ..SeasonalConfig::default() };
    let mut values = values(&[], HOURS);
    // The day before, in Tokyo: from 2024-02-08 15 h UTC on.
    let first = 24 * 38 + 15;
    values[first..first + 24].iter_mut().for_each(|value| *value += 30.0);
    let model = fit(config, &values);
    let forecast = model.predict(&time(HOURS), &Covariates::new()).unwrap();
    let fair = forecast.component("fair").unwrap();
    assert!((fair[first] - 30.0).abs() < 3.0 && (fair[first + 23] - fair[first]).abs() < 1e-9);
    assert!(fair[first + 24].abs() < 3.0 && fair[first - 1] == 0.0 && fair[first + 72] == 0.0);
}

#[test]
fn models_with_a_calendar_are_saved() {
    let values = Array2::from_shape_vec((HOURS, 1), values(&lunches(), HOURS)).unwrap();
    let frame = Frame::new(time(HOURS), Columns::new(["orders"]).unwrap(), values).unwrap();
    let config =
        SeasonalConfig { calendar: lunches(), timezone: "Europe/Berlin".to_owned(), ..SeasonalConfig::default() };
    let model = Seasonal::new(config).unwrap().fit(frame.view()).unwrap();
    let loaded: SeasonalDetectorModel = read_model(&to_bytes(&model).unwrap()).unwrap();
    assert_eq!(loaded, model);
    let expected = |model: &SeasonalDetectorModel| model.detect(frame.view()).unwrap().expected().unwrap().to_owned();
    assert_eq!(expected(&loaded), expected(&model));
}

#[cfg(feature = "ics")]
#[test]
fn a_file_of_holidays_is_a_calendar() {
    let file = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Carnival\r\nDTSTART;VALUE=DATE:20240212\r\nEND:VEVENT\r\n\
                BEGIN:VEVENT\r\nSUMMARY:New Year\r\nDTSTART;VALUE=DATE:20000101\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n\
                END:VCALENDAR\r\n";
    let calendar = CalendarEntry::from_ics(file, "holiday", 2024..=2025).unwrap();
    let config = SeasonalConfig { calendar, timezone: "Europe/Berlin".to_owned(), ..SeasonalConfig::default() };
    let carnival = [CalendarEntry::new("", "", "2024-02-12", "2024-02-13")];
    let model = fit(config, &values(&carnival, HOURS));
    assert_eq!(model.component_names().collect::<Vec<_>>(), ["weekly", "daily", "Carnival", "New Year"]);
    let forecast = model.predict(&time(HOURS), &Covariates::new()).unwrap();
    assert!((forecast.component("Carnival").unwrap()[24 * 42 + 5] - 40.0).abs() < 3.0);
}

#[test]
fn what_can_not_be_is_named() {
    let error = |config: SeasonalConfig| Seasonal::new(config).unwrap_err().to_string();
    let zone = SeasonalConfig { timezone: "Europe/Atlantis".to_owned(), ..Default::default() };
    assert_eq!(error(zone), "timezone: `Europe/Atlantis` is no IANA time zone, such as `Europe/Berlin`");
    let with = |entry: CalendarEntry| SeasonalConfig { calendar: vec![entry], ..Default::default() };
    let backwards = CalendarEntry::new("sale", "promotion", "2024-02-01", "2024-01-01");
    assert_eq!(error(with(backwards)), "calendar entry `sale`: it ends before it starts");
    let mut own = CalendarEntry::new("sale", "promotion", "2024-01-01", "2024-01-02");
    own.series.push("acme".to_owned());
    assert!(error(with(own)).contains("`sale`: it is for some series only"));
    let trend = CalendarEntry::new("trend", "promotion", "2024-01-01", "2024-01-02");
    assert_eq!(error(with(trend)), "component name `trend`: reserved");
    let text = r#"{"calendar": [{"name": "a", "kind": "b", "start": "2024-01-01", "end": "2024-01-02"}],
                   "timezone": "Europe/Berlin"}"#;
    assert!(serde_json::from_str::<SeasonalConfig>(text).unwrap().validate().is_ok());
}
