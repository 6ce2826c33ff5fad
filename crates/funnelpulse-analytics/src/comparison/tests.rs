use funnelpulse_core::{Columns, Frame, Funnel, Panel, Timestamp};
use funnelpulse_features::{MetricSpec, PanelSpec};
use ndarray::Array2;

use super::*;

const START: i64 = 1_572_566_400; // 2019-11-01

/// One row per hour number.
fn frame(rows: &[(i64, [f64; 4])]) -> Frame {
    let time = rows.iter().map(|(hour, _)| Timestamp::from_seconds(START + 3600 * hour)).collect();
    let values = Array2::from_shape_fn((rows.len(), 4), |(row, column)| rows[row].1[column]);
    Frame::new(time, PanelSpec::funnel().columns(), values).unwrap()
}

/// Two days of two brands: `a` sells half on the second day, `b` has no row in its hours 5 to 7.
fn shop() -> Panel {
    let mut panel = Panel::new(PanelSpec::funnel().columns());
    let a: Vec<_> = (0..48).map(|h| (h, [100.0, 20.0, if h < 24 { 4.0 } else { 2.0 }, 40.0])).collect();
    let b: Vec<_> = (0..48).filter(|h| !(29..32).contains(h)).map(|h| (h, [10.0, 2.0, 1.0, 5.5])).collect();
    panel.insert("a", frame(&a)).unwrap();
    panel.insert("b", frame(&b)).unwrap();
    panel
}

fn side<'a>(series: Option<&'a str>, text: &str) -> Selection<'a> {
    Selection { series, period: (!text.is_empty()).then(|| text.parse().unwrap()) }
}

const FIRST: &str = "2019-11-01..2019-11-02";
const SECOND: &str = "2019-11-02..2019-11-03";

fn funnel() -> Funnel {
    let name = |name: &str| Some(name.to_owned());
    Funnel { traffic: name("views"), carts: name("carts"), purchases: name("purchases"), revenue: name("revenue") }
}

fn compared(after: Selection<'_>, before: Selection<'_>) -> Result<PanelComparison, CompareError> {
    compare_panel(&shop(), &PanelSpec::funnel(), &funnel(), after, before)
}

#[test]
fn sums_add_up_and_name_what_changed() {
    let days = compared(side(None, SECOND), side(None, FIRST)).unwrap();
    let total = |name: &str| days.totals.iter().find(|c| &*c.metric == name).unwrap();
    assert_eq!((total("views").before, total("views").after), (2640.0, 2610.0));
    assert_eq!((total("purchases").before, total("purchases").after), (120.0, 69.0));
    assert_eq!(total("revenue").difference(), -16.5);
    let conversion = days.rates.iter().find(|c| &*c.metric == "conversion_rate").unwrap();
    assert_eq!(conversion.before, 120.0 / 2640.0);
    let stages = days.stages.as_ref().unwrap();
    assert!((stages.stages.iter().map(|s| s.contribution).sum::<f64>() + 16.5).abs() < 1e-9);
    assert_eq!((&*days.measure, days.contributions.len()), ("revenue", 2));
    assert_eq!((days.contributions[0].series.as_str(), days.contributions[0].change.difference()), ("b", -16.5));
    assert_eq!(days.contributions[1].change.difference(), 0.0);
    assert_eq!(days.contributions[1].stage.as_deref(), Some("purchase_rate"));
    assert_eq!((days.after.windows, days.after.rows, days.after.missing.len()), (24, 45, 0));
}

#[test]
fn hours_without_data_are_named() {
    let days = compared(side(Some("b"), "2019-11-01 20:00..2019-11-03 03:00"), side(Some("b"), FIRST)).unwrap();
    let gaps: Vec<(String, u64)> = days.after.missing.iter().map(|g| (g.period.to_string(), g.windows)).collect();
    assert_eq!(
        gaps,
        [("2019-11-02 05:00..2019-11-02 08:00".to_owned(), 3), ("2019-11-03..2019-11-03 03:00".to_owned(), 3)]
    );
    assert_eq!((days.after.missing_windows(), days.after.windows), (6, 25));
    assert_eq!(days.before.missing_windows(), 0);
    // 25 hours against 24, the same in each.
    let revenue = days.totals.last().unwrap();
    assert!((days.percentage_per_window(revenue).unwrap()).abs() < 1e-9);
    assert!(revenue.percentage().unwrap() > 4.0);
    // A period that begins before the data and off their grid.
    let early = compared(side(None, "2019-10-31 22:30..2019-11-02"), side(None, SECOND)).unwrap();
    assert_eq!(early.after.missing[0].period, "2019-10-31 23:00..2019-11-01".parse().unwrap());
    assert_eq!(early.after.missing_windows(), 1);
}

#[test]
fn series_against_series() {
    let both = compared(side(Some("a"), ""), side(Some("b"), "")).unwrap();
    assert_eq!((both.totals[0].before, both.totals[0].after), (450.0, 4800.0));
    assert!(both.contributions.is_empty());
    assert_eq!(both.before.missing_windows(), 3);
    assert_eq!(both.stages.unwrap().stages.len(), 4);
    let mixed = compared(side(Some("a"), FIRST), side(Some("b"), SECOND)).unwrap();
    assert_eq!((mixed.after.name.as_str(), mixed.totals[0].after), ("a in 2019-11-01..2019-11-02", 2400.0));
}

#[test]
fn what_can_not_be_compared_is_named() {
    let message = |after, before| compared(after, before).unwrap_err().to_string();
    assert_eq!(message(side(Some("aa"), ""), side(None, "")), "there is no series `aa`, did you mean `a`?");
    assert_eq!(message(side(None, ""), side(Some("zebra"), "")), "there is no series `zebra`");
    assert_eq!(message(side(None, FIRST), side(None, FIRST)), "2019-11-01..2019-11-02 would be compared with itself");
    assert_eq!(
        message(side(Some("a"), "2020-01-01..2020-01-02"), side(None, FIRST)),
        "no row lies in a in 2020-01-01..2020-01-02 (the rows run from 2019-11-01 to 2019-11-02 23:00)"
    );
    let empty = Panel::new(PanelSpec::funnel().columns());
    let error =
        compare_panel(&empty, &PanelSpec::funnel(), &funnel(), side(None, FIRST), side(None, SECOND)).unwrap_err();
    assert_eq!(error.to_string(), "no row lies in 2019-11-01..2019-11-02");
}

#[test]
fn missing_values_are_not_summed_and_any_table_is_compared() {
    let metrics = vec![MetricSpec::amount("balance")];
    let spec = PanelSpec { metrics, step_seconds: 86_400, ..PanelSpec::funnel() };
    let columns = Columns::new(["balance"]).unwrap();
    let time = (0..4).map(|h| Timestamp::from_seconds(START + 86_400 * h)).collect();
    let values = ndarray::array![[-5.0], [f64::NAN], [7.0], [-2.0]];
    let mut panel = Panel::new(columns.clone());
    panel.insert("x", Frame::new(time, columns, values).unwrap()).unwrap();
    let halves = side(None, "2019-11-03..2019-11-05");
    let found = compare_panel(&panel, &spec, &Funnel::default(), halves, side(None, "2019-11-01..2019-11-03")).unwrap();
    assert_eq!((found.totals[0].before, found.totals[0].after), (-5.0, 5.0));
    assert_eq!((found.stages, &*found.measure), (None, "balance"));
    assert_eq!((found.before.rows, found.before.missing_windows()), (1, 1));
    let json = serde_json::to_value(&found.totals[0]).unwrap();
    assert_eq!(json["difference"], 10.0);
}
