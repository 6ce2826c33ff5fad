//! Prophet reads exported models and forecasts what we forecast, where it is installed.

use std::process::Command;

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{
    Covariates, CustomSeasonality, Growth, Holiday, Likelihood, Mode, Regressor, Scaling, Seasonal, SeasonalConfig,
};

/// Loads a model and predicts: prints yhat and trend of every row.
const SCRIPT: &str = "
import sys, json, logging
logging.disable(logging.WARNING)
import pandas as pd
from prophet.serialize import model_from_json, model_to_json
model = model_from_json(open(sys.argv[1]).read())
rows = json.load(open(sys.argv[2]))
future = pd.DataFrame({'ds': pd.to_datetime(rows['ds'], unit='s'), 'price': rows['price'], 'open': [v > 0 for v in rows['open']]})
made = model.make_future_dataframe(200, freq='h', include_history=False)
assert (made['ds'].reset_index(drop=True) == future['ds'].tail(200).reset_index(drop=True)).all()
forecast = model.predict(future)
again = model_from_json(model_to_json(model)).predict(future)
assert (again['yhat'] == forecast['yhat']).all()
assert (forecast['yhat_lower'] < forecast['yhat_upper']).all()
for yhat, trend in zip(forecast['yhat'], forecast['trend']):
    print(repr(float(yhat)), repr(float(trend)))
";

const ROWS: usize = 1_200;

fn times() -> Vec<Timestamp> {
    (0..ROWS as i64).map(|h| Timestamp::from_seconds(1_569_888_000 + 3_600 * h)).collect()
}

fn configs() -> [SeasonalConfig; 5] {
    let price = Regressor { name: "price".into(), ..Default::default() };
    let open = CustomSeasonality {
        name: "open days".into(),
        period: 1.0,
        fourier_order: 2,
        prior_scale: Some(5.0),
        mode: None,
        condition_name: Some("open".into()),
    };
    let holiday = |name: &str, ds: &str, window: (i32, i32)| Holiday {
        holiday: name.into(),
        ds: vec![ds.into()],
        lower_window: window.0,
        upper_window: window.1,
        prior_scale: None,
    };
    let holidays = vec![holiday("singles day", "2019-11-11", (0, 0)), holiday("all saints", "2019-11-01", (-1, 1))];
    [
        SeasonalConfig::default(),
        SeasonalConfig {
            regressors: vec![price.clone()],
            seasonalities: vec![open],
            holidays: holidays.clone(),
            ..Default::default()
        },
        SeasonalConfig {
            seasonality_mode: Mode::Multiplicative,
            regressors: vec![Regressor { mode: Some(Mode::Additive), ..price }],
            holidays,
            ..Default::default()
        },
        SeasonalConfig { scaling: Scaling::Minmax, n_changepoints: 0, ..Default::default() },
        SeasonalConfig { growth: Growth::Flat, ..Default::default() },
    ]
}

#[test]
fn prophet_forecasts_the_same() {
    let python = std::env::var("EXPORT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import prophet"]).output();
    if !found.is_ok_and(|run| run.status.success()) {
        eprintln!("skipped: {python} has no prophet; EXPORT_PYTHON names an interpreter that has it");
        return;
    }
    let time = times();
    let price: Vec<f64> = (0..ROWS).map(|h| (h * 7 % 10) as f64).collect();
    let open: Vec<f64> = (0..ROWS).map(|h| f64::from(u8::from(h / 24 % 7 < 5))).collect();
    let y: Vec<f64> = (0..ROWS)
        .map(|h| {
            let bend = (h as f64 - 500.0).max(0.0);
            let wave = (h as f64 / 24.0 * std::f64::consts::TAU).sin();
            (200.0 + 0.1 * bend) * (1.0 + 0.2 * wave * open[h]) - 3.0 * price[h] + (h * 7_919 % 101) as f64 / 10.0
        })
        .collect();
    // The last 200 rows are the future.
    let past = ROWS - 200;
    let folder = tempfile::tempdir().unwrap();
    let (model_file, rows_file) = (folder.path().join("model.json"), folder.path().join("rows.json"));
    let seconds: Vec<i64> = time.iter().map(|t| t.as_micros() / Timestamp::SECOND).collect();
    let rows = serde_json::json!({ "ds": seconds, "price": price, "open": open });
    std::fs::write(&rows_file, rows.to_string()).unwrap();
    for (case, config) in configs().into_iter().enumerate() {
        let covariates = |n: usize| Covariates::new().with("price", &price[..n]).with("open", &open[..n]);
        let model = Seasonal::new(config).unwrap().fit_series(&time[..past], &y[..past], &covariates(past)).unwrap();
        std::fs::write(&model_file, model.to_prophet_json().unwrap()).unwrap();
        let run = Command::new(&python).arg("-c").arg(SCRIPT).args([&model_file, &rows_file]).output().unwrap();
        assert!(run.status.success(), "case {case}: {}", String::from_utf8_lossy(&run.stderr));
        let ours = model.predict(&time, &covariates(ROWS)).unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        let theirs: Vec<Vec<f64>> =
            text.lines().map(|line| line.split(' ').map(|v| v.parse().unwrap()).collect()).collect();
        assert_eq!(theirs.len(), ROWS);
        let mut worst = 0.0_f64;
        for (row, theirs) in theirs.iter().enumerate() {
            worst = worst.max((theirs[0] - ours.yhat[row]).abs()).max((theirs[1] - ours.trend[row]).abs());
        }
        println!("case {case}: largest difference from Prophet {worst:e}");
        assert!(worst < 1e-6, "case {case}: {worst}");
    }
}

#[test]
fn what_prophet_can_not_hold_is_refused_by_name() {
    let time = times();
    let counts: Vec<f64> = (0..ROWS).map(|h| (5 + h * 7 % 10) as f64).collect();
    let refused = |config: SeasonalConfig| {
        let model = Seasonal::new(config).unwrap().fit_series(&time, &counts, &Covariates::new()).unwrap();
        model.to_prophet_json().unwrap_err().to_string()
    };
    assert!(refused(SeasonalConfig { likelihood: Likelihood::Poisson, ..Default::default() }).contains("likelihood"));
    let logistic = SeasonalConfig { growth: Growth::Logistic, cap: Some(20.0), ..Default::default() };
    assert!(refused(logistic).contains("logistic growth"));
    let scaled =
        SeasonalConfig { seasonality_mode: Mode::Multiplicative, scaling: Scaling::Minmax, ..Default::default() };
    assert!(refused(scaled).contains("minmax"));
    let day = |name: &str, window| Holiday {
        holiday: name.into(),
        ds: vec!["2019-10-20".into()],
        upper_window: window,
        ..Default::default()
    };
    let twice = SeasonalConfig { holidays: vec![day("sale", 1), day("sale day 1", 0)], ..Default::default() };
    assert!(refused(twice).contains("sale day 1"));
}
