//! Short series that use the features which the reference series don't: made by `tests/golden/make.py`.

use std::collections::BTreeMap;

use funnelpulse_core::parse_timestamp;
use funnelpulse_seasonal::{Covariates, Seasonal, SeasonalConfig};

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    settings: SeasonalConfig,
    ds: Vec<String>,
    y: Vec<f64>,
    covariates: BTreeMap<String, Vec<f64>>,
    lp: f64,
    yhat: Vec<f64>,
    trend: Vec<f64>,
    components: BTreeMap<String, Vec<f64>>,
}

#[test]
fn agrees_with_prophet_on_its_other_features() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/prophet.json")).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = &case.name;
        let time: Vec<_> = case.ds.iter().map(|t| parse_timestamp(t).unwrap()).collect();
        let covariates = case.covariates.iter().fold(Covariates::new(), |all, (name, c)| all.with(name.clone(), c));
        let model = Seasonal::new(case.settings).unwrap().fit_series(&time, &case.y, &covariates).unwrap();
        let forecast = model.predict(&time, &covariates).unwrap();
        let range = case.y.iter().fold(f64::MIN, |a, b| a.max(*b)) - case.y.iter().fold(f64::MAX, |a, b| a.min(*b));
        let largest = |ours: &ndarray::Array1<f64>, theirs: &[f64]| {
            ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / range
        };
        let (yhat, trend) = (largest(&forecast.yhat, &case.yhat), largest(&forecast.trend, &case.trend));
        println!(
            "{name}: log posterior {:.7}, Stan's {:?}; yhat {yhat:.6}, trend {trend:.6}",
            model.log_posterior(),
            case.lp
        );
        // Stan prints eight digits: half of the last, and the bar of 1e-6.
        let printed = 0.5 * 10f64.powf(case.lp.log10().floor() - 7.0);
        let lp = model.log_posterior();
        assert!(lp >= case.lp - printed - 1e-6, "{name}: {lp} {}", case.lp);
        // Half a percent, as for the reference series. On one series Stan stops 1.2 below the
        // optimum of the log posterior, with a trend of its own: 0.93 % was measured there.
        let bar = if name == "additive" { 0.0095 } else { 0.005 };
        assert_eq!(bar > 0.005, lp > case.lp + 1.0, "{name} is the one where Stan stops far below");
        assert!(yhat < bar && trend < bar, "{name}: yhat {yhat}, trend {trend} of the range");
        assert_eq!(model.component_names().count(), case.components.len());
        for (part, theirs) in &case.components {
            let deviation = largest(forecast.component(part).unwrap(), theirs);
            println!("{name}, {part}: {deviation:.6}");
            assert!(deviation < 0.0005, "{name}, {part}: {deviation} of the range");
        }
    }
}
