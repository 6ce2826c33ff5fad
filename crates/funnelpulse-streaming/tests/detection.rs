//! The pipeline behind the windows: final rows are the rows of the batch.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use funnelpulse_alerts::NotifierConfig;
use funnelpulse_core::{Frame, Panel, SeriesKey, Timestamp};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
use funnelpulse_features::Counts;
use funnelpulse_pipeline::{Catalog, Config, FittedPipeline, Pipeline};
use funnelpulse_streaming::{Alert, ClosedWindow, LiveDetection, ModelStatus, Operator, Signal, WindowKind, WindowRow};

const TRAINED_HOURS: usize = 14 * 24;
const LATER_HOURS: usize = 5 * 24;

fn shop() -> Panel {
    let config = GeneratorConfig {
        brands: 3,
        days: (TRAINED_HOURS + LATER_HOURS) / 24,
        seed: 5,
        quiet_days: 7,
        missing_share: 0.0,
        ..GeneratorConfig::default()
    };
    let generated = GeneratedFunnel::generate(&config).unwrap();
    let mut panel = Panel::new(generated.panel().columns().clone());
    for (index, (key, frame)) in generated.panel().clone().into_iter().enumerate() {
        let (time, columns, mut values) = frame.into_parts();
        // The biggest brand sells nothing for half a day.
        for row in (TRAINED_HOURS + 30..TRAINED_HOURS + 42).filter(|_| index == 0) {
            values[[row, 2]] = 0.0;
            values[[row, 3]] = 0.0;
        }
        panel.insert(key, Frame::new(time, columns, values).unwrap()).unwrap();
    }
    panel
}

fn rows(panel: &Panel, rows: std::ops::Range<usize>) -> Panel {
    let mut part = Panel::new(panel.columns().clone());
    for (key, frame) in panel {
        part.insert(key.clone(), frame.view().rows(rows.clone()).to_frame()).unwrap();
    }
    part
}

fn trained(panel: &Panel) -> Arc<FittedPipeline> {
    let toml = "pipeline.detectors = ['zscore', 'incidents', 'changepoint']";
    let config = Config::layers().toml(toml).unwrap().build().unwrap();
    let pipeline = Pipeline::builder().config(config).build().unwrap();
    Arc::new(pipeline.fit(&rows(panel, 0..TRAINED_HOURS)).unwrap())
}

fn window(panel: &Panel, hour: usize) -> ClosedWindow {
    let row = |(key, frame): (&SeriesKey, &Frame)| {
        let value = |column: usize| frame.values()[[hour, column]];
        let counts = Counts {
            views: value(0) as u64,
            carts: value(1) as u64,
            purchases: value(2) as u64,
            micro_revenue: (value(3) * 1e6).round() as i128,
        };
        WindowRow { series: key.clone(), counts }
    };
    let start = panel.iter().next().unwrap().1.time()[hour];
    let end = start.offset(Timestamp::HOUR);
    ClosedWindow { start, end, kind: WindowKind::Final, rows: panel.iter().map(row).collect() }
}

/// Every column of the rows, as text, by series and time.
fn by_row(batch: &RecordBatch) -> BTreeMap<(String, i64), Vec<String>> {
    let series = batch.column_by_name("brand").unwrap().as_string::<i32>();
    let time = batch.column_by_name("window_start").unwrap().as_primitive::<TimestampMicrosecondType>();
    // The time is the key.
    let skipped = ["window_start", "rank", "revision", "final"];
    let schema = batch.schema();
    let columns: Vec<_> = schema.fields().iter().filter(|f| !skipped.contains(&f.name().as_str())).collect();
    let text = |row: usize| {
        let cell = |field: &&Arc<arrow::datatypes::Field>| {
            let column = batch.column_by_name(field.name()).unwrap();
            format!("{}={}", field.name(), arrow::util::display::array_value_to_string(column, row).unwrap())
        };
        columns.iter().map(cell).collect()
    };
    (0..batch.num_rows()).map(|row| ((series.value(row).to_owned(), time.value(row)), text(row))).collect()
}

fn follow(panel: &Panel, model: &Arc<FittedPipeline>, restart_every: usize) -> (Vec<RecordBatch>, Vec<Alert>) {
    let fresh = || LiveDetection::new(model.clone()).unwrap().with_alerts(NotifierConfig::default()).unwrap();
    let mut operator = fresh();
    let (mut batches, mut alerts) = (Vec::new(), Vec::new());
    for hour in TRAINED_HOURS..TRAINED_HOURS + LATER_HOURS {
        let output = operator.window(&window(panel, hour)).unwrap();
        batches.extend(output.rows);
        alerts.extend(output.alerts);
        if hour % restart_every == 0 {
            let state = operator.state().unwrap();
            operator = fresh();
            operator.restore(&state, &no_models()).unwrap();
            assert!(operator.state().unwrap() == state, "equal states are equal bytes");
        }
    }
    (batches, alerts)
}

#[test]
fn final_rows_are_those_of_the_batch_and_alerts_come_once() {
    let panel = shop();
    let model = trained(&panel);
    let batch = model.detect(&rows(&panel, TRAINED_HOURS..TRAINED_HOURS + LATER_HOURS)).unwrap().to_batch(true);
    let expected = by_row(&batch);
    let (batches, alerts) = follow(&panel, &model, usize::MAX);
    let streamed = concat_batches(&batches[0].schema(), &batches).unwrap();
    let finals = streamed.column_by_name("final").unwrap().as_boolean();
    let final_rows = by_row(&arrow::compute::filter_record_batch(&streamed, finals).unwrap());
    assert_eq!(final_rows.len(), 3 * (LATER_HOURS - 72));
    for (row, cells) in &final_rows {
        assert_eq!(cells, &expected[row], "{row:?}");
    }
    let revisions = streamed.column_by_name("revision").unwrap().as_primitive::<Int64Type>();
    let first = revisions.values().iter().filter(|r| **r == 0).count();
    assert_eq!(first, 3 * LATER_HOURS, "every row has one first verdict");

    let firing: Vec<&Alert> = alerts.iter().filter(|a| a.body.contains("\"firing\"")).collect();
    assert!(!firing.is_empty(), "half a day without a sale is worth an alert");
    let mut ids: Vec<&str> = alerts.iter().map(|a| a.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), alerts.len(), "no alert twice");

    let (again, alerts_again) = follow(&panel, &model, 7);
    assert!(again == batches && alerts_again == alerts, "restarts change nothing");
}

#[test]
fn a_feed_that_stops_is_an_alert_and_a_damaged_state_is_refused() {
    let panel = shop();
    let model = trained(&panel);
    let mut operator = LiveDetection::new(model).unwrap().with_alerts(NotifierConfig::default()).unwrap();
    let now = Timestamp::from_seconds(1_600_000_000);
    let stopped = operator.signal(Signal::FeedStopped(Some(now)), now).unwrap();
    assert!(stopped.alerts[0].body.contains("no event since 2020-09-13T12:26:40Z"), "{}", stopped.alerts[0].body);
    let resumed = operator.signal(Signal::FeedResumed, now).unwrap();
    assert!(resumed.alerts[0].body.contains("\"resolved\"") && resumed.alerts[0].id != stopped.alerts[0].id);
    for state in [&b""[..], b"nonsense", &[255; 40]] {
        assert!(operator.restore(state, &no_models()).is_err());
    }
}

#[test]
fn a_changed_model_file_is_taken_into_use_and_a_broken_one_is_not() {
    let panel = shop();
    let model = trained(&panel);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.model");
    model.save(&path).unwrap();
    let mut operator = LiveDetection::load(&path, Catalog::default()).unwrap();
    operator.window(&window(&panel, TRAINED_HOURS)).unwrap();
    operator.refresh().unwrap();
    assert_eq!((operator.model().next, operator.model().problem), (None, None), "nothing changed");
    std::fs::write(&path, b"no model").unwrap();
    touch(&path, 10);
    operator.refresh().unwrap();
    assert!(operator.model().next.is_none() && operator.model().problem.is_some());
    let before = operator.model().name;
    let pipeline = Pipeline::builder().config(model.config().clone()).build().unwrap();
    pipeline.fit(&rows(&panel, 0..TRAINED_HOURS + 24)).unwrap().save(&path).unwrap();
    touch(&path, 20);
    operator.refresh().unwrap();
    let named = operator.model();
    assert!(named.name == before && named.next.is_some(), "named first, in use from the next window on");
    assert!(!operator.model_bytes(named.next.as_ref().unwrap()).unwrap().is_empty());
    operator.window(&window(&panel, TRAINED_HOURS + 1)).unwrap();
    let ModelStatus { name, next, problem, .. } = operator.model();
    assert_eq!((Some(name), next, problem), (named.next, None, None));
}

fn no_models() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::new()
}

/// Gives a file a time that it did not have.
fn touch(path: &Path, seconds: u64) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(seconds)).unwrap();
}

/// A trailing hour that ends `minutes` after the start of an hour: as much of both hours.
fn trailing(panel: &Panel, hour: usize, minutes: u64) -> ClosedWindow {
    let (before, now) = (window(panel, hour - 1), window(panel, hour));
    let part = |before: u64, now: u64| (before * (60 - minutes) + now * minutes) / 60;
    let rows = before.rows.iter().zip(&now.rows).map(|(before, now)| {
        let counts = Counts {
            views: part(before.counts.views, now.counts.views),
            carts: part(before.counts.carts, now.counts.carts),
            purchases: part(before.counts.purchases, now.counts.purchases),
            micro_revenue: (before.counts.micro_revenue * i128::from(60 - minutes)
                + now.counts.micro_revenue * i128::from(minutes))
                / 60,
        };
        WindowRow { series: before.series.clone(), counts }
    });
    let end = now.start.offset(minutes as i64 * Timestamp::HOUR / 60);
    ClosedWindow { start: end.offset(-Timestamp::HOUR), end, kind: WindowKind::Early, rows: rows.collect() }
}

#[test]
fn early_results_warn_once_an_hour_and_change_nothing() {
    let panel = shop_times(0.0);
    let model = trained(&panel);
    let fresh = || LiveDetection::new(model.clone()).unwrap().with_alerts(NotifierConfig::default()).unwrap();
    let (mut plain, mut early) = (fresh(), fresh());
    let (mut warnings, mut official) = (Vec::new(), Vec::new());
    for hour in TRAINED_HOURS..TRAINED_HOURS + 48 {
        if hour > TRAINED_HOURS {
            for minutes in (15..60).step_by(15) {
                let output = early.early(&trailing(&panel, hour, minutes)).unwrap();
                assert!(output.rows.is_empty(), "no row before the hour is over");
                warnings.extend(output.alerts.into_iter().map(|alert| (hour, alert)));
            }
        }
        let (a, b) = (plain.window(&window(&panel, hour)).unwrap(), early.window(&window(&panel, hour)).unwrap());
        assert_eq!(a, b, "hour {hour}");
        assert!(plain.state().unwrap() == early.state().unwrap());
        official.extend(a.alerts.into_iter().map(|alert| (hour, alert)));
    }
    // What is warned of is an alert once its hour is over, or later.
    let incident = |alert: &Alert| -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&alert.body).unwrap()["incident"].clone()
    };
    let came = |(hour, warning): &(usize, Alert)| {
        official.iter().any(|(later, alert)| later >= hour && incident(alert) == incident(warning))
    };
    assert!(warnings.iter().any(came), "none of {warnings:?} is in {official:?}");
    let ids: std::collections::BTreeSet<&str> = warnings.iter().map(|(_, alert)| alert.id.as_str()).collect();
    assert_eq!(ids.len(), warnings.len(), "each hour warns once");
    let (_, first) = &warnings[0];
    assert!(first.body.contains("Early warning") && first.body.contains("The hour is not over"), "{}", first.body);
    assert!(fresh().early(&trailing(&panel, TRAINED_HOURS, 30)).unwrap().rows.is_empty());
}

/// The shop with half a day in which one brand has this multiple of its usual visits and sales.
fn shop_times(factor: f64) -> Panel {
    let mut panel = Panel::new(shop().columns().clone());
    for (index, (key, frame)) in shop().into_iter().enumerate() {
        let (time, columns, mut values) = frame.into_parts();
        for row in (TRAINED_HOURS + 6..TRAINED_HOURS + 18).filter(|_| index == 1) {
            values.row_mut(row).mapv_inplace(|value| factor * value);
        }
        panel.insert(key, Frame::new(time, columns, values).unwrap()).unwrap();
    }
    panel
}

#[test]
fn what_brings_more_than_expected_is_no_early_warning() {
    let panel = shop_times(5.0);
    let model = trained(&panel);
    let mut operator = LiveDetection::new(model).unwrap().with_alerts(NotifierConfig::default()).unwrap();
    let (mut gains, mut alerts) = (0, Vec::new());
    for hour in TRAINED_HOURS..TRAINED_HOURS + 24 {
        if hour > TRAINED_HOURS {
            let early = trailing(&panel, hour, 45);
            let advance = operator.live().early(early.start, early.end, &early.panel().unwrap()).unwrap();
            let of_brand = advance.incidents.iter().filter(|news| news.incident.is_opportunity());
            gains += of_brand.filter(|news| news.incident.probability > 0.99).count();
            let warnings = operator.early(&early).unwrap().alerts;
            assert!(warnings.iter().all(|w| w.body.contains("\"revenue\":\"-")), "hour {hour}: {warnings:?}");
        }
        alerts.extend(operator.window(&window(&panel, hour)).unwrap().alerts);
    }
    assert!(gains > 0, "the test data have no likely gain");
    assert!(alerts.iter().any(|alert| alert.body.contains("above what was expected")), "{alerts:?}");
}
