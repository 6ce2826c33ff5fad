//! Tables, model files and forecasts of every kind.

use super::shop::{COLUMNS, Shop, fit, heights, hours_of, largest, outage, plain};
use crate::{ExternalForecast, IncidentConfig, IncidentDetector, IncidentError, IncidentModel};
use funnelpulse_core::{Columns, FittedPanelDetector, Frame, Panel, PanelDetector, PanelView};

#[test]
fn threads_and_files_change_nothing() {
    let panel = Shop::new(5, 40, outage).panel();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = fit(&panel);
            (heights(&model.scan(&panel).unwrap(), 2), model)
        })
    };
    let (one, model) = run(1);
    let (four, other) = run(4);
    assert_eq!(one, four);
    assert_eq!(model, other);
    let json = serde_json::to_string(&model).unwrap();
    let again: IncidentModel = serde_json::from_str(&json).unwrap();
    assert_eq!(again, model);
    assert_eq!(heights(&again.scan(&panel).unwrap(), 2), one);
}

#[test]
fn hostile_files_are_refused() {
    let panel = Shop::new(6, 20, plain).panel();
    let json = serde_json::to_value(fit(&panel)).unwrap();
    for (path, value) in [
        ("/series/brand_01/hindsight/noise/dispersion/0", serde_json::json!(-1.0)),
        ("/series/brand_01/hindsight/noise/relative/0", serde_json::json!([])),
        ("/series/brand_01/shape/knots/0", serde_json::json!([0.0])),
        ("/series/brand_01/shape/unit", serde_json::json!(0.0)),
        ("/series/brand_01/live/coefficients/3", serde_json::json!([])),
        ("/series/brand_01/masked", serde_json::json!([[5, 2]])),
        ("/common/week/0/5", serde_json::json!(1e300)),
        ("/common/week/0", serde_json::json!([0.0])),
        ("/day", serde_json::json!([1.0])),
        ("/hindsight/statistics/scales", serde_json::json!([])),
        ("/hindsight/statistics/maps/0/0", serde_json::json!(-5.0)),
        ("/hindsight/statistics/groups/0/scales", serde_json::json!([])),
        ("/live/site/regressions", serde_json::json!([])),
        ("/live/alarm/slope", serde_json::json!(0.0)),
        ("/prior_log_odds", serde_json::json!(1e9)),
        ("/config/incidents_per_year", serde_json::json!(0.0)),
        ("/config/timezone", serde_json::json!("Nowhere/Land")),
    ] {
        let mut hostile = json.clone();
        *hostile.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        assert!(serde_json::from_value::<IncidentModel>(hostile).is_err(), "{path}");
    }
}

#[test]
fn tables_without_some_steps_are_judged_by_the_others() {
    let panel =
        Shop::new(
            4,
            50,
            |brand, hour| {
                if brand == 2 && (1000..1012).contains(&hour) { [0.2, 1.0, 1.0, 1.0] } else { [1.0; 4] }
            },
        )
        .panel();
    let funnel = IncidentConfig::funnel();
    let configs = [
        IncidentConfig { carts: None, purchases: None, revenue: None, ..funnel.clone() },
        IncidentConfig { carts: None, ..funnel.clone() },
        IncidentConfig { revenue: None, ..funnel.clone() },
        IncidentConfig { purchases: None, revenue: None, ..funnel.clone() },
        IncidentConfig { carts: None, purchases: None, ..funnel },
    ];
    for config in configs {
        let model = IncidentDetector::new(config.clone()).unwrap().fit(&panel).unwrap();
        let scan = model.scan(&panel).unwrap();
        assert!(largest(&scan.series[2], 1000..1012) > 4.0, "{config:?}");
        let incident = scan.series[2].incident_between(1000, 1011);
        assert_eq!(incident.revenue_loss.is_nan(), config.revenue.is_none());
    }
}

#[test]
fn forecasts_from_elsewhere_are_taken_as_they_are() {
    let (panel, normal) = (Shop::new(3, 40, outage), Shop::new(3, 60, outage));
    let panel = Shop { hours: normal.hours, ..panel }.panel();
    let mut forecasts = std::collections::BTreeMap::new();
    for (brand, (key, frame)) in panel.iter().enumerate().skip(1) {
        let (time, columns, mut values) = frame.clone().into_parts();
        for hour in 0..values.nrows() {
            let views = 80.0 * (1.0 + brand as f64) * (1.0 + 0.6 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin());
            values.row_mut(hour).assign(&ndarray::arr1(&[views, 0.4 * views, 0.12 * views, 2.4 * views]));
        }
        forecasts.insert(key.clone(), ExternalForecast { expected: Frame::new(time, columns, values).unwrap() });
    }
    let detector = IncidentDetector::new(IncidentConfig::funnel()).unwrap();
    let evidence = detector.scan_against(&panel, &forecasts).unwrap();
    assert_eq!(evidence.len(), 2);
    assert!(largest(&evidence[1], 1000..1010) > 5.0);
    let due = evidence[1].expected().next().unwrap();
    assert!((due[0] - 240.0).abs() < 1e-9 && (due[3] - 2.4 * 240.0).abs() < 1e-9);
}

#[test]
fn among_many_small_series_those_with_hourly_rows_are_judged() {
    let mut panel = Shop::new(3, 40, outage).panel();
    let alone = fit(&panel);
    let counts = |_| [1.0, 0.0, 0.0, 0.0];
    for small in 0..30 {
        let frame = hours_of(40 * 24 / 5, 5 * 3600, counts).get("shop").unwrap().clone();
        panel.insert(format!("small_{small}").as_str(), frame).unwrap();
    }
    let model = fit(&panel);
    assert_eq!(model, alone);
    let scan = model.scan(&panel).unwrap();
    assert_eq!((scan.series.len(), scan.unknown.len()), (3, 30));

    // As a panel detector it says which it has left out, and why.
    let detector = IncidentDetector::new(IncidentConfig::funnel()).unwrap();
    let fitted = PanelDetector::fit(&detector, &PanelView::from(&panel)).unwrap();
    assert_eq!(fitted.absences().len(), 30);
    assert!(fitted.absences().iter().all(|absence| absence.is_expected && absence.reason.contains("an hour apart")));
}

#[test]
fn bad_input_has_a_clear_end() {
    let counts = |_| [40.0, 20.0, 6.0, 60.0];
    let fit = |panel: &Panel| IncidentDetector::new(IncidentConfig::funnel()).unwrap().fit(panel);
    assert!(matches!(fit(&hours_of(30, 3600, counts)), Err(IncidentError::TooShort { needed: 48, longest: 30 })));
    assert!(matches!(fit(&hours_of(200, 86_400, counts)), Err(IncidentError::TooCoarse { .. })));
    let empty = Panel::new(Columns::new(COLUMNS).unwrap());
    assert!(matches!(fit(&empty), Err(IncidentError::TooShort { .. })));
    assert!(fit(&Panel::new(Columns::new(["views"]).unwrap())).is_err());

    // Constant, zero, missing, negative and huge values are judged or left unjudged, and never a panic.
    let odd: [fn(i64) -> [f64; 4]; 7] = [
        |_| [40.0, 20.0, 6.0, 60.0],
        |_| [0.0; 4],
        |h| if h % 3 == 0 { [f64::NAN; 4] } else { [12.0, f64::NAN, 2.0, f64::NAN] },
        |h| if h % 50 == 7 { [-5.0, -1.0, -1.0, -2.5] } else { [30.0, 9.0, 3.0, 21.0] },
        |h| if h == 200 { [1e300; 4] } else { [30.0, 9.0, 3.0, 21.0] },
        |h| if h == 200 { [1e15; 4] } else { [30.0, 9.0, 3.0, 21.0] },
        |h| [(h % 5) as f64, 0.0, 0.0, 0.0],
    ];
    for (case, counts) in odd.into_iter().enumerate() {
        for hours in [49, 400] {
            let panel = hours_of(hours, 3600, counts);
            let scan = match fit(&panel) {
                Ok(model) => model.scan(&panel).unwrap(),
                Err(error) => {
                    assert!(matches!(error, IncidentError::TooShort { .. }));
                    continue;
                }
            };
            let evidence = &scan.series[0];
            assert_eq!(evidence.log_odds().len(), hours as usize);
            assert!(evidence.log_odds().all(f64::is_finite), "case {case}");
            evidence.incidents(-50.0);
        }
    }
}

#[test]
fn a_gap_of_the_feed_is_no_outage() {
    let full = Shop::new(4, 60, plain).panel();
    let mut panel = Panel::new(full.columns().clone());
    for (key, frame) in &full {
        let kept: Vec<usize> = (0..frame.nrows()).filter(|row| !(900..912).contains(row)).collect();
        let time = kept.iter().map(|&row| frame.time()[row]).collect();
        let values = frame.values().select(ndarray::Axis(0), &kept);
        panel.insert(key.clone(), Frame::new(time, frame.columns().clone(), values).unwrap()).unwrap();
    }
    let scan = fit(&panel).scan(&panel).unwrap();
    assert!(scan.series.iter().all(|e| largest(e, 880..920) < 5.0));
}

#[test]
fn nothing_of_the_test_generator_stands_here() {
    // Effects and lengths of the generator that benches use: any three numbers in a row.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(generator) = std::fs::read_to_string(folder.join("../funnelpulse-eval/src/generator/kind.rs")) else {
        return;
    };
    let numbers = |text: &str| -> Vec<String> {
        let tokens = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',' || c == ' '));
        tokens
            .map(|t| t.replace(' ', ""))
            .filter(|t| t.matches('.').count() >= 3 && t.matches(',').count() >= 2)
            .collect()
    };
    let is_telling = |n: &String| n.split(',').filter(|n| !matches!(*n, "" | "1.0" | "0.0")).count() >= 3;
    let planted: Vec<String> = numbers(&generator).into_iter().filter(is_telling).collect();
    assert!(!planted.is_empty());
    let mut folders = vec![folder.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = std::fs::read_to_string(&path).unwrap().replace(' ', "");
                let copied = planted.iter().find(|numbers| source.contains(numbers.trim_matches(',')));
                assert_eq!(copied, None, "{}", path.display());
            }
        }
    }
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("funnelpulse-eval"));
}
