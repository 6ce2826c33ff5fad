//! Files that claim more than they hold.

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, Holiday, Mode, Seasonal, SeasonalConfig, SeasonalModel};
use serde_json::{Value, json};

use crate::coverage::hours;

fn saved() -> Value {
    let y: Vec<f64> = (0..100).map(|h| f64::from(h * 7919 % 13)).collect();
    let sale = Holiday { holiday: "sale".into(), ds: vec!["1970-01-02".into()], ..Default::default() };
    let config = SeasonalConfig {
        holidays: vec![sale],
        holidays_mode: Some(Mode::Multiplicative),
        online: true,
        ..Default::default()
    };
    let model = Seasonal::new(config).unwrap().fit_series(&hours(100), &y, &Covariates::new()).unwrap();
    let saved = serde_json::to_value(&model).unwrap();
    assert_eq!(serde_json::from_value::<SeasonalModel>(saved.clone()).unwrap(), model);
    saved
}

fn refused(saved: Value, reason: &str) {
    let error = serde_json::from_value::<SeasonalModel>(saved).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn sums_of_another_shape_are_refused_before_they_take_memory() {
    let mut model = saved();
    let columns = 100_000;
    let terms = model["design"]["terms"].as_array_mut().unwrap();
    let holiday = terms.iter_mut().find(|term| term["name"] == "sale").unwrap();
    let before = holiday["kind"]["Holiday"].as_array().unwrap().len();
    holiday["kind"]["Holiday"] = json!(vec![Vec::<i64>::new(); columns]);
    let free = model["free"].as_array().unwrap().len() - before + columns;
    model["free"] = json!(vec![0.0; free]);
    refused(model, "sums for updates have the shape of the design");
}

#[test]
fn more_changepoints_than_a_configuration_allows_are_refused() {
    let mut model = saved();
    model["design"]["clock"]["changepoints"] = json!(vec![0.5; 1001]);
    model["bends"] = json!(vec![0.0; 1001]);
    refused(model, "ascending changepoints");

    let dates = (0..1001).map(|m| Timestamp::from_seconds(60 * m).to_string()).collect();
    let error = Seasonal::new(SeasonalConfig { changepoints: Some(dates), ..Default::default() }).unwrap_err();
    assert_eq!(error.to_string(), "number of changepoints = 1001 is out of range (0 to 1000)");
}
