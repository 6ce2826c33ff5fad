//! Tests of the whole detector on small made-up shops. The shops have nothing of the detector's model but
//! Poisson counts.

use funnelpulse_core::{Columns, Frame, Panel, Timestamp};
use ndarray::Array2;
use proptest::prelude::*;

use crate::{
    CalendarEntry, ExternalForecast, IncidentConfig, IncidentDetector, IncidentError, IncidentKind, IncidentModel,
    RowEvidence, Scan,
};

/// A Monday.
const START: i64 = 1_704_067_200;
const COLUMNS: [&str; 4] = ["views", "carts", "purchases", "revenue"];

/// A small random generator (Knuth's multiplier), so that shops are the same everywhere.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Poisson: exact for small means, normal for large ones.
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            let normal = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
            return (mean + mean.sqrt() * normal).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

/// A shop: brands, hours, and factors on traffic, carts, purchases and price per brand and hour.
struct Shop<F> {
    brands: usize,
    hours: usize,
    start: i64,
    effect: F,
}

fn plain(_: usize, _: usize) -> [f64; 4] {
    [1.0; 4]
}

impl<F: Fn(usize, usize) -> [f64; 4]> Shop<F> {
    fn new(brands: usize, days: usize, effect: F) -> Self {
        Self { brands, hours: days * 24, start: START, effect }
    }

    fn panel(&self) -> Panel {
        let columns = Columns::new(COLUMNS).unwrap();
        let mut panel = Panel::new(columns.clone());
        for brand in 0..self.brands {
            let mut random = Random(brand as u64 * 7919 + 17);
            let size = 80.0 * (1.0 + brand as f64);
            let mut values = Array2::zeros((self.hours, 4));
            for hour in 0..self.hours {
                let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
                let [traffic, cart, purchase, price] = (self.effect)(brand, hour);
                let views = random.poisson(size * (1.0 + 0.6 * day) * traffic);
                let carts = random.poisson(0.4 * views * cart);
                let purchases = random.poisson(0.3 * carts * purchase);
                let revenue = (0..purchases as usize).map(|_| 20.0 * price * (0.5 + random.uniform())).sum();
                values.row_mut(hour).assign(&ndarray::arr1(&[views, carts, purchases, revenue]));
            }
            let time = (0..self.hours).map(|h| Timestamp::from_seconds(self.start + h as i64 * 3600)).collect();
            panel
                .insert(format!("brand_{brand:02}").as_str(), Frame::new(time, columns.clone(), values).unwrap())
                .unwrap();
        }
        panel
    }
}

/// Rows `from..to` of every series.
fn part(panel: &Panel, from: usize, to: usize) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(from..to.min(frame.nrows())).to_frame()).unwrap();
    }
    part
}

fn fit(panel: &Panel) -> IncidentModel {
    IncidentDetector::new(IncidentConfig::funnel()).unwrap().fit(panel).unwrap()
}

fn heights(scan: &Scan, series: usize) -> Vec<f64> {
    scan.series[series].heights().collect()
}

fn largest(evidence: &RowEvidence, rows: std::ops::Range<usize>) -> f64 {
    evidence.heights().skip(rows.start).take(rows.len()).fold(0.0, f64::max)
}

/// Purchases of the third brand are gone for ten hours.
fn outage(brand: usize, hour: usize) -> [f64; 4] {
    if brand == 2 && (1000..1010).contains(&hour) { [1.0, 1.0, 0.05, 1.0] } else { [1.0; 4] }
}

#[test]
fn an_outage_is_found_named_and_priced() {
    let panel = Shop::new(6, 60, outage).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let incidents = scan.series[2].incidents(model.threshold(1.0));
    let hit = incidents.iter().find(|i| i.rows.0 < 1010 && i.rows.1 >= 1000).unwrap();
    assert!(hit.rows.0.abs_diff(1000) <= 2 && hit.rows.1.abs_diff(1009) <= 2, "{:?}", hit.rows);
    assert_eq!(hit.kind, IncidentKind::CheckoutOutage);
    assert!(hit.probability > 0.9 && hit.purchase_factor < 0.3);
    let expected = hit.expected[3] * 0.95;
    assert!((hit.revenue_loss - expected).abs() < 0.25 * expected);
    assert!(hit.revenue_loss_interval.0 < expected && expected < hit.revenue_loss_interval.1);
}

#[test]
fn changes_of_any_step_are_found_in_either_direction() {
    let effects: [(usize, [f64; 4], IncidentKind); 6] = [
        (400, [2.5, 1.0, 1.0, 1.0], IncidentKind::Spike),
        (520, [0.3, 1.0, 1.0, 1.0], IncidentKind::Dip),
        (640, [1.0, 0.3, 1.0, 1.0], IncidentKind::CartBreak),
        (760, [1.0, 1.0, 2.5, 1.0], IncidentKind::Unexplained),
        (880, [1.0, 1.0, 1.0, 4.0], IncidentKind::PriceError),
        (1000, [3.0, 1.0 / 3.0, 1.0, 1.0], IncidentKind::BotTraffic),
    ];
    let at = move |brand: usize, hour: usize| {
        let hit = effects.iter().find(|(start, ..)| brand == 3 && (*start..start + 9).contains(&hour));
        hit.map_or([1.0; 4], |(_, effect, _)| *effect)
    };
    let panel = Shop::new(6, 60, at).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    for (start, effect, kind) in effects {
        let incidents = scan.series[3].incidents(model.threshold(1.0));
        let hit = incidents.iter().find(|i| i.rows.0 < start + 9 && i.rows.1 >= start);
        assert_eq!(hit.map(|i| i.kind), Some(kind), "{effect:?}");
    }
}

#[test]
fn a_clean_shop_keeps_to_the_budget() {
    for brands in [1, 3, 10] {
        let panel = Shop::new(brands, 90, plain).panel();
        let model = fit(&panel);
        let scan = model.scan(&panel).unwrap();
        let flagged = model.threshold(1.0);
        let mut incidents = 0;
        for evidence in &scan.series {
            let mut last = None;
            for (row, _) in evidence.log_odds().enumerate().filter(|(_, l)| *l >= flagged) {
                incidents += usize::from(last.is_none_or(|last| row - last > 3));
                last = Some(row);
            }
        }
        let months = brands as f64 * 90.0 / 30.44;
        // Twice the budget, and three standard deviations of so few.
        assert!((incidents as f64) < 2.0 * months + 3.0 * months.sqrt(), "{brands} brands: {incidents}");
    }
}

#[test]
fn what_happens_everywhere_is_one_incident_of_the_site() {
    let site = |_, hour: usize| if (900..908).contains(&hour) { [1.0, 1.0, 0.1, 1.0] } else { [1.0; 4] };
    let panel = Shop::new(8, 60, site).panel();
    let scan = fit(&panel).scan(&panel).unwrap();
    let incidents = scan.site.as_ref().unwrap().incidents(0.0);
    let hit = incidents.iter().find(|i| i.rows.0 < 908 && i.rows.1 >= 900).unwrap();
    assert_eq!(hit.kind, IncidentKind::CheckoutOutage);
    assert!(scan.series.iter().all(|e| largest(e, 900..908) > 4.0));
}

#[test]
fn a_lasting_change_is_news_for_a_day() {
    let change = |brand: usize, hour: usize| if brand == 1 && hour >= 1200 { [0.4, 1.0, 1.0, 1.0] } else { [1.0; 4] };
    let panel = Shop::new(5, 100, change).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let limit = model.threshold(0.2);
    let flagged: Vec<usize> =
        scan.series[1].log_odds().enumerate().filter(|(_, l)| *l >= limit).map(|(row, _)| row).collect();
    let news = flagged.iter().filter(|row| (1194..1230).contains(*row)).count();
    assert!(news >= 20, "{news} of 24 hours");
    assert!(flagged.len() - news <= 12, "{flagged:?}");
}

#[test]
fn slow_drift_is_no_event() {
    let drift = |_, hour: usize| [(hour as f64 / 2000.0).exp(), 1.0, 1.0, 1.0];
    let panel = Shop::new(5, 100, drift).panel();
    let model = fit(&panel);
    let scan = model.scan(&panel).unwrap();
    let limit = model.threshold(1.0);
    let flagged: usize = scan.series.iter().map(|e| e.log_odds().filter(|l| *l >= limit).count()).sum();
    assert!((flagged as f64) < 0.03 * panel.total_rows() as f64, "{flagged}");
}

#[test]
fn a_score_is_final_after_48_hours() {
    let panel =
        Shop::new(4, 70, |brand, hour| if hour == 1100 { [3.0, 1.0, 1.0, 1.0] } else { outage(brand, hour) }).panel();
    let model = fit(&part(&panel, 0, 40 * 24));
    let all = model.scan(&panel).unwrap();
    for end in [45 * 24, 50 * 24 + 5, 61 * 24 + 23] {
        let early = model.scan(&part(&panel, 0, end)).unwrap();
        for series in 0..4 {
            let (early, all) = (heights(&early, series), heights(&all, series));
            assert_eq!(early[..end - 48], all[..end - 48], "rows up to {end}");
        }
    }
    // The outage came after training.
    assert!(largest(&all.series[2], 1000..1010) > 4.0);
}

#[test]
fn a_score_looks_back_no_further_than_the_context() {
    let panel = Shop::new(3, 130, outage).panel();
    let model = fit(&part(&panel, 0, 30 * 24));
    let all = model.scan(&panel).unwrap();
    let from = 40 * 24;
    let late = model.scan(&part(&panel, from, panel.iter().next().unwrap().1.nrows())).unwrap();
    let context = (model.context() / Timestamp::HOUR) as usize;
    for series in 0..3 {
        let (all, late) = (heights(&all, series), heights(&late, series));
        for row in context..late.len() {
            assert!((late[row] - all[from + row]).abs() < 1e-6, "row {row}: {} and {}", late[row], all[from + row]);
        }
    }
}

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
fn local_time_and_calendar_are_ordinary() {
    // The clock of New York goes an hour ahead on 10 March 2024; a sale on 1 March doubles the traffic.
    let clock = crate::clock::Clock::new("America/New_York").unwrap();
    let spring = clock.parse("2024-03-10T03:00:00").unwrap().as_micros() / Timestamp::HOUR - START / 3600;
    let sale = clock.parse("2024-03-01").unwrap().as_micros() / Timestamp::HOUR - START / 3600;
    let busy = move |_: usize, hour: usize| {
        let local = (hour as i64 + 19 + i64::from(hour as i64 >= spring)).rem_euclid(24);
        let on_sale = (sale..sale + 24).contains(&(hour as i64));
        let traffic = if (9..21).contains(&local) { 3.0 } else { 0.6 } * if on_sale { 1.45 } else { 1.0 };
        // Without the wave in UTC that the other shops have.
        [traffic / (1.0 + 0.6 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin()), 1.0, 1.0, 1.0]
    };
    let panel = Shop::new(6, 120, busy).panel();
    let local = IncidentConfig {
        timezone: "America/New_York".to_owned(),
        calendar: vec![CalendarEntry::new("sale", "promotion", "2024-03-01", "2024-03-02")],
        ..IncidentConfig::funnel()
    };
    let flagged = |config: IncidentConfig, from: i64, to: i64| {
        let model = IncidentDetector::new(config).unwrap().fit(&panel).unwrap();
        let scan = model.scan(&panel).unwrap();
        let limit = model.threshold(1.0);
        let rows = |e: &RowEvidence| {
            e.log_odds().skip(from as usize).take((to - from) as usize).filter(|l| *l >= limit).count()
        };
        scan.series.iter().map(rows).sum::<usize>()
    };
    let after = flagged(local.clone(), spring, spring + 14 * 24);
    assert!(after < 60, "{after} of {} rows after the change of the clock", 6 * 14 * 24);
    assert!(after <= flagged(IncidentConfig::funnel(), spring, spring + 14 * 24));
    let (with, without) = (
        flagged(local.clone(), sale, sale + 24),
        flagged(IncidentConfig { calendar: Vec::new(), ..local }, sale, sale + 24),
    );
    assert!(with < without, "{with} and {without} rows of the sale");
}

fn hours_of(hours: i64, step: i64, counts: impl Fn(i64) -> [f64; 4]) -> Panel {
    let columns = Columns::new(COLUMNS).unwrap();
    let time: Vec<Timestamp> = (0..hours).map(|h| Timestamp::from_seconds(h * step)).collect();
    let values = Array2::from_shape_fn((hours as usize, 4), |(row, column)| counts(row as i64)[column]);
    let mut panel = Panel::new(columns.clone());
    panel.insert("shop", Frame::new(time, columns, values).unwrap()).unwrap();
    panel
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
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(&path).unwrap().replace(' ', "");
                let copied = planted.iter().find(|numbers| source.contains(numbers.trim_matches(',')));
                assert_eq!(copied, None, "{}", path.display());
            }
        }
    }
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("funnelpulse-eval"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Another currency changes prices and nothing else.
    #[test]
    fn scores_do_not_depend_on_the_currency(factor in 0.01..1000.0_f64) {
        let panel = Shop::new(3, 30, |_, hour| if hour == 500 { [1.0, 1.0, 1.0, 5.0] } else { [1.0; 4] }).panel();
        let mut other = Panel::new(panel.columns().clone());
        for (key, frame) in &panel {
            let (time, columns, mut values) = frame.clone().into_parts();
            values.column_mut(3).mapv_inplace(|v| v * factor);
            other.insert(key.clone(), Frame::new(time, columns, values).unwrap()).unwrap();
        }
        let (one, two) = (fit(&panel).scan(&panel).unwrap(), fit(&other).scan(&other).unwrap());
        for (a, b) in one.series.iter().zip(&two.series) {
            prop_assert!(a.heights().zip(b.heights()).all(|(a, b)| (a - b).abs() < 1e-3));
            let (a, b) = (a.incident_between(490, 510), b.incident_between(490, 510));
            prop_assert!((a.revenue_loss * factor - b.revenue_loss).abs() < 1e-3 * a.expected[3] * factor);
        }
    }

    /// Whole weeks earlier or later change nothing.
    #[test]
    fn scores_do_not_depend_on_the_date(weeks in -200_i64..200) {
        let shop = |start| Shop { start, ..Shop::new(3, 30, outage) }.panel();
        let (one, two) = (shop(START), shop(START + weeks * 7 * 86_400));
        let (one, two) = (fit(&one).scan(&one).unwrap(), fit(&two).scan(&two).unwrap());
        prop_assert_eq!(heights(&one, 1), heights(&two, 1));
    }

    /// More log odds are more evidence, and thresholds fall with the budget.
    #[test]
    fn evidence_rises(a in -30.0..30.0_f64, step in 0.01..5.0_f64, budget in 0.05..4.0_f64) {
        let model = fit(&Shop::new(2, 10, plain).panel());
        prop_assert!(model.evidence(a + step) > model.evidence(a));
        prop_assert!(model.threshold(budget) > model.threshold(2.0 * budget));
    }

    /// Stronger effects have higher scores.
    #[test]
    fn stronger_effects_score_higher(factor in 0.3..0.6_f64) {
        let largest = |factor: f64| {
            let panel = Shop::new(3, 40, move |brand: usize, hour: usize| {
                if brand == 1 && (600..608).contains(&hour) { [factor, 1.0, 1.0, 1.0] } else { [1.0; 4] }
            }).panel();
            let scan = fit(&panel).scan(&panel).unwrap();
            largest(&scan.series[1], 600..608)
        };
        prop_assert!(largest(0.5 * factor) > largest(factor));
    }
}
