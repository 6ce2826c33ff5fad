use funnelpulse_core::{Frame, Timestamp};
use ndarray::{Array2, Axis, Slice, array};
use proptest::prelude::*;

use super::*;
use crate::MetricSpec;

/// One count over one count, and a rate of the two.
fn spec() -> PanelSpec {
    PanelSpec {
        metrics: vec![MetricSpec::amount("x"), MetricSpec::count("n"), MetricSpec::rate("r", "x", "n")],
        ..PanelSpec::default()
    }
}

fn engineer(config: &FeatureConfig) -> FeatureEngineer {
    FeatureEngineer::new(&spec(), config).unwrap()
}

fn all_features() -> FeatureConfig {
    FeatureConfig {
        rolling_days: vec![1, 7],
        lag_hours: vec![1, 5, 24],
        metrics: Some(vec!["x".into(), "n".into(), "r".into()]),
        interactions: Some(vec![["r".into(), "hour".into()], ["x".into(), "n".into()]]),
        ..FeatureConfig::default()
    }
}

fn frame(rows: &[(i64, f64, f64)]) -> Frame {
    let time = rows.iter().map(|r| Timestamp::from_seconds(r.0 * 3600)).collect();
    let values = Array2::from_shape_fn((rows.len(), 2), |(i, j)| if j == 0 { rows[i].1 } else { rows[i].2 });
    Frame::new(time, spec().columns(), values).unwrap()
}

/// Bits, with one kind of NaN.
fn bits(values: ndarray::ArrayView2<'_, f64>) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -5i32..20,
        1 => Just(i32::MIN),
    ]
    .prop_map(|v| if v == i32::MIN { f64::NAN } else { f64::from(v) })
}

/// Hours with gaps, values with holes.
fn rows(max: usize) -> impl Strategy<Value = Vec<(i64, f64, f64)>> {
    prop::collection::vec((1i64..30, value(), value()), 1..max).prop_map(|rows| {
        let mut hour = -100;
        let step = |(gap, x, n)| {
            hour += if gap > 8 { 1 } else { gap };
            (hour, x, n)
        };
        rows.into_iter().map(step).collect()
    })
}

proptest! {
    #[test]
    fn nothing_after_t_matters(mut rows in rows(80), cut in 0usize..80, statistical_days in prop::option::of(1u32..4)) {
        let engineer = engineer(&FeatureConfig { statistical_days, ..all_features() });
        let cut = cut % rows.len() + 1;
        let whole = engineer.transform(frame(&rows).view()).unwrap();
        let prefix = engineer.transform(frame(&rows[..cut]).view()).unwrap();
        let head = whole.view().rows(0..cut);
        prop_assert_eq!(bits(head.values()), bits(prefix.values()));
        for row in &mut rows[cut..] {
            *row = (row.0 + 3, 1e6 - row.1, f64::NAN);
        }
        let changed = engineer.transform(frame(&rows).view()).unwrap();
        prop_assert_eq!(bits(head.values()), bits(changed.view().rows(0..cut).values()));
    }

    #[test]
    fn agrees_with_the_definition(rows in rows(60), statistical_days in prop::option::of(1u32..4)) {
        let engineer = engineer(&FeatureConfig { statistical_days, ..all_features() });
        let features = engineer.transform(frame(&rows).view()).unwrap();
        let get = |row: usize, name: &str| features.column(name).unwrap()[row];
        let close = |a: f64, b: f64| a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        for (i, &(hour, x, n)) in rows.iter().enumerate() {
            let (mean, std) = moments(rows[..=i].iter().filter(|r| r.0 > hour - 24).map(|r| r.1));
            prop_assert!(close(get(i, "x_rolling_mean_1d"), mean));
            prop_assert!(close(get(i, "x_rolling_std_1d"), std));
            let before = rows.iter().find(|r| r.0 == hour - 5).map_or(f64::NAN, |r| r.1);
            prop_assert!(close(get(i, "x_lag_5h"), before));
            let change = if before == 0.0 { f64::NAN } else { (x - before) / before.abs() };
            prop_assert!(close(get(i, "x_change_5h"), change));
            let reach = statistical_days.map_or(i64::MIN, |d| hour - 24 * i64::from(d));
            let past: Vec<f64> = rows[..i].iter().filter(|r| r.0 > reach && !r.1.is_nan()).map(|r| r.1).collect();
            let (mean, std) = moments(past.iter().copied());
            let zscore = if std > 0.0 { (x - mean) / std } else { f64::NAN };
            prop_assert!(close(get(i, "x_zscore"), zscore));
            let below = past.iter().map(|p| if *p < x { 1.0 } else if *p == x { 0.5 } else { 0.0 }).sum::<f64>();
            let percentile = if x.is_nan() { x } else { below / past.len() as f64 };
            prop_assert!(close(get(i, "x_percentile"), percentile));
            prop_assert!(close(get(i, "x_min"), past.iter().copied().fold(f64::NAN, f64::min)));
            prop_assert!(close(get(i, "x_max"), past.iter().copied().fold(f64::NAN, f64::max)));
            let rate = if n == 0.0 { f64::NAN } else { x / n };
            prop_assert!(close(get(i, "r"), rate));
            prop_assert!(close(get(i, "r_x_hour"), rate * hour.rem_euclid(24) as f64));
        }
    }
}

fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, if n < 2.0 { f64::NAN } else { (squares / (n - 1.0)).sqrt() })
}

#[test]
fn default_columns_of_the_funnel() {
    let names = FeatureEngineer::new(&PanelSpec::funnel(), &FeatureConfig::default()).unwrap().names().clone();
    // 4 stored, 5 rates, 6 of time, 14 for each of 5 metrics, 3 products.
    assert_eq!(names.len(), 4 + 5 + 6 + 14 * 5 + 3);
    for name in ["average_order_value", "is_weekend", "conversion_rate_rolling_std_30d", "revenue_change_168h"] {
        assert!(names.position(name).is_some(), "{name}");
    }
    let plain = FeatureEngineer::new(&PanelSpec::funnel(), &FeatureConfig::rates_only()).unwrap();
    // `metrics` alone produces nothing when every group that uses it is off.
    assert_eq!(plain.names().len(), 9);
}

#[test]
fn refuses_what_does_not_fit() {
    let message = |config: FeatureConfig| FeatureEngineer::new(&spec(), &config).unwrap_err().to_string();
    let base = FeatureConfig::default;
    assert_eq!(
        message(FeatureConfig { metrics: Some(vec!["y".into()]), ..base() }),
        "metrics names `y`, which is not a metric (there are: x, n, r)"
    );
    assert_eq!(
        message(FeatureConfig { rolling_days: vec![0], ..base() }),
        "rolling_days = 0 is not allowed: 1 to 3660"
    );
    assert!(message(FeatureConfig { timezone: "Mars".into(), ..base() }).contains("timezone = `Mars`"));
    assert!(message(FeatureConfig { lag_hours: vec![1, 1], ..base() }).contains("`x_lag_1h` appears twice"));
    let business_hours = BusinessHours { start: 18, end: 9 };
    assert!(message(FeatureConfig { business_hours, ..base() }).contains("business_hours = 18 to 9"));
    let pair = Some(vec![["x".into(), "week".into()]]);
    assert!(message(FeatureConfig { interactions: pair, ..base() }).contains("interactions names `week`"));
}

#[test]
fn refuses_rows_that_can_not_follow() {
    let mut state = engineer(&FeatureConfig::default()).state();
    let time = Timestamp::from_seconds(0);
    state.push(time, &[1.0, 2.0]).unwrap();
    let untouched = format!("{state:?}");
    assert!(matches!(state.push(time, &[1.0, 2.0]), Err(FeatureError::NotLater { .. })));
    let later = Timestamp::from_seconds(1);
    assert!(matches!(state.push(later, &[1.0]), Err(FeatureError::RowLength { found: 1, expected: 2, .. })));
    assert!(state.push(later, &[1.0, f64::INFINITY]).is_err());
    assert_eq!(format!("{state:?}"), untouched);
}

#[test]
fn huge_values_become_missing_and_pass() {
    let rows: Vec<_> =
        (0..40).map(|h| (h, if h < 5 { 1e308 * [1.0, -1.0][h as usize % 2] } else { 3.0 }, 1e-5)).collect();
    let features = engineer(&all_features()).transform(frame(&rows).view()).unwrap();
    let std = features.column("x_rolling_std_1d").unwrap();
    assert!(std[3].is_nan());
    assert_eq!(std[39], 0.0, "the window has moved on");
    assert_eq!(features.column("r").unwrap()[39], 3.0 / 1e-5);
}

#[test]
fn finds_columns_by_name_in_any_layout() {
    let rows: Vec<_> = (0..30).map(|h| (h, h as f64, 2.0)).collect();
    let straight = frame(&rows);
    let (time, _, values) = straight.clone().into_parts();
    let mut turned = values.clone();
    turned.invert_axis(Axis(1));
    let extra = ndarray::concatenate![Axis(1), turned, values.slice_axis(Axis(1), Slice::from(..1))];
    let columns = Columns::new(["n", "x", "z"]).unwrap();
    let engineer = engineer(&all_features());
    let expected = engineer.transform(straight.view()).unwrap();
    let found = engineer.transform(Frame::new(time, columns, extra).unwrap().view()).unwrap();
    assert_eq!(bits(found.values()), bits(expected.values()));
    let lacking = Frame::from_rows(Columns::new(["x"]).unwrap(), array![[1.0]]).unwrap();
    assert!(engineer.transform(lacking.view()).unwrap_err().to_string().contains("column `n` is missing"));
}

/// Against pandas: see `golden/features.py`.
#[test]
fn agrees_with_pandas() {
    #[derive(serde::Deserialize)]
    struct Golden {
        hour: Vec<i64>,
        x: Vec<Option<f64>>,
        expected: std::collections::BTreeMap<String, Vec<Option<f64>>>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../golden/features.json")).unwrap();
    let rows: Vec<_> = golden.hour.iter().zip(&golden.x).map(|(h, x)| (*h, x.unwrap_or(f64::NAN), 1.0)).collect();
    let config = FeatureConfig { metrics: Some(vec!["x".into()]), interactions: Some(vec![]), ..Default::default() };
    let features = engineer(&config).transform(frame(&rows).view()).unwrap();
    assert_eq!(golden.expected.len(), 4 + 6 + 4 + 5, "{:?}", golden.expected.keys());
    for (name, expected) in &golden.expected {
        for (row, (found, expected)) in features.column(name).unwrap().iter().zip(expected).enumerate() {
            let expected = expected.unwrap_or(f64::NAN);
            let equal =
                found.is_nan() && expected.is_nan() || (found - expected).abs() <= 1e-9 * (1.0 + expected.abs());
            assert!(equal, "{name}, row {row}: {found}, pandas says {expected}");
        }
    }
}

#[test]
fn columns_look_back_as_far_as_their_names_say() {
    let config = FeatureConfig { rolling_days: vec![7, 30], lag_hours: vec![1, 24], ..FeatureConfig::default() };
    let columns = [
        ("x_lag_1h", Timestamp::HOUR),
        ("x_change_24h", 24 * Timestamp::HOUR),
        ("x_rolling_mean_7d", 7 * Timestamp::DAY),
        ("x_rolling_std_30d", 30 * Timestamp::DAY),
        ("x_min", i64::MAX),
        ("x", 0),
        // Not among the configured ones.
        ("x_lag_2h", 0),
    ];
    for (column, micros) in columns {
        assert_eq!(config.look_back(column), micros, "{column}");
    }
    let limited = FeatureConfig { statistical_days: Some(90), ..config };
    assert_eq!(limited.look_back("x_min"), 90 * Timestamp::DAY);
}
