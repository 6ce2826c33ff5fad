//! Odd input: a clear error or a documented result.

use funnelpulse_core::{Timestamp, parse_timestamp};
use funnelpulse_seasonal::{
    Covariates, CustomSeasonality, FourierOrder, Growth, Holiday, Likelihood, Mode, Regressor, Seasonal,
    SeasonalConfig, SeasonalError, SeasonalModel,
};

use crate::coverage::hours;

fn fit(config: SeasonalConfig, time: &[Timestamp], y: &[f64]) -> Result<SeasonalModel, SeasonalError> {
    Seasonal::new(config)?.fit_series(time, y, &Covariates::new())
}

fn wave(rows: usize) -> Vec<f64> {
    let noise = |h: usize| ((h * 7919) % 13) as f64 / 13.0;
    (0..rows).map(|h| 50.0 + 10.0 * (h as f64 * std::f64::consts::TAU / 24.0).sin() + noise(h)).collect()
}

#[test]
fn few_rows_lose_what_they_cannot_carry() {
    let all = SeasonalConfig {
        yearly_seasonality: FourierOrder::On,
        weekly_seasonality: FourierOrder::On,
        daily_seasonality: FourierOrder::On,
        ..Default::default()
    };
    let model = fit(all.clone(), &hours(30), &wave(30)).unwrap();
    assert_eq!(model.dropped_seasonalities(), ["weekly", "yearly"]);
    assert_eq!(model.component_names().collect::<Vec<_>>(), ["daily"]);
    for rows in [2, 3, 5, 24] {
        let model = fit(all.clone(), &hours(rows), &wave(rows)).unwrap();
        let forecast = model.predict(&model.make_future(5, None), &Covariates::new()).unwrap();
        assert!(forecast.yhat.iter().all(|v| v.is_finite()), "{rows} rows");
    }
    let kept = fit(SeasonalConfig { drop_unsupported: false, ..all }, &hours(30), &wave(30)).unwrap();
    assert!(kept.dropped_seasonalities().is_empty());
    let error = fit(SeasonalConfig::default(), &hours(1), &[1.0]).unwrap_err();
    assert_eq!(error.to_string(), "1 usable row, `seasonal` needs at least 2");
}

#[test]
fn constant_and_zero_series_give_constant_models() {
    for value in [0.0, -7.5, 1e12] {
        for growth in [Growth::Linear, Growth::Flat] {
            let model = fit(SeasonalConfig { growth, ..Default::default() }, &hours(200), &[value; 200]).unwrap();
            let forecast = model.predict(&model.make_future(3, None), &Covariates::new()).unwrap();
            assert!(forecast.yhat.iter().all(|v| (v - value).abs() <= 1e-9 * value.abs()), "{value}");
        }
    }
    for likelihood in [Likelihood::Poisson, Likelihood::NegativeBinomial] {
        let model = fit(SeasonalConfig { likelihood, ..Default::default() }, &hours(200), &[0.0; 200]).unwrap();
        let forecast = model.predict(&model.make_future(3, None), &Covariates::new()).unwrap();
        assert!(forecast.yhat.iter().all(|v| *v < 0.01) && forecast.yhat_lower.iter().all(|v| *v == 0.0));
    }
}

#[test]
fn gaps_and_missing_values_change_little() {
    let (time, y) = (hours(24 * 60), wave(24 * 60));
    let whole = fit(SeasonalConfig::default(), &time, &y).unwrap();
    let later = whole.make_future(48, None);
    let expected = whole.predict(&later, &Covariates::new()).unwrap().yhat;
    let close = |model: &SeasonalModel| {
        let yhat = model.predict(&later, &Covariates::new()).unwrap().yhat;
        assert!(yhat.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1.0), "{yhat} {expected}");
    };
    // Three weeks without rows, the same with rows but without values, and irregular spacing.
    let gap = |h: &usize| !(500..1000).contains(h);
    let kept: Vec<usize> = (0..time.len()).filter(gap).collect();
    let times: Vec<_> = kept.iter().map(|h| time[*h]).collect();
    let values: Vec<_> = kept.iter().map(|h| y[*h]).collect();
    let without = fit(SeasonalConfig::default(), &times, &values).unwrap();
    close(&without);
    let missing: Vec<f64> = (0..time.len()).map(|h| if gap(&h) { y[h] } else { f64::NAN }).collect();
    let model = fit(SeasonalConfig::default(), &time, &missing).unwrap();
    assert_eq!((model.rows(), model.effects()), (without.rows(), without.effects()));
    let jitter: Vec<_> = time.iter().enumerate().map(|(h, t)| t.offset((h * 7907 % 60) as i64 * 1_000_000)).collect();
    close(&fit(SeasonalConfig::default(), &jitter, &y).unwrap());
}

#[test]
fn time_runs_in_utc_and_forward() {
    // Clocks go back: in local time an hour happens twice, in UTC none does.
    let local = ["2023-10-29 01:00", "2023-10-29 02:00", "2023-10-29 02:00"];
    let local: Vec<_> = local.iter().map(|t| parse_timestamp(t).unwrap()).collect();
    let error = fit(SeasonalConfig::default(), &local, &[1.0, 2.0, 3.0]).unwrap_err();
    assert_eq!(error.to_string(), "row 2: time 2023-10-29T02:00:00Z does not come after the row above");
    let offset = ["2023-10-29T02:00+02:00", "2023-10-29T02:00+01:00", "2023-10-29T03:00+01:00"];
    let offset: Vec<_> = offset.iter().map(|t| parse_timestamp(t).unwrap()).collect();
    assert!(fit(SeasonalConfig::default(), &offset, &[1.0, 2.0, 3.0]).is_ok());
}

#[test]
fn errors_name_the_row_and_what_is_allowed() {
    let (time, y) = (hours(48), wave(48));
    let says = |config: SeasonalConfig, covariates: &Covariates<'_>, y: &[f64], text: &str| {
        let error = Seasonal::new(config).and_then(|s| s.fit_series(&time, y, covariates)).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    let none = Covariates::new();
    let mut wrong = y.clone();
    wrong[3] = f64::INFINITY;
    let plain = SeasonalConfig::default();
    says(plain.clone(), &none, &wrong, "row 3, `values`: inf is not allowed (a finite number, or NaN)");
    says(plain.clone(), &none, &y[..5], "values has 5 values for 48 times");
    let mut price = y.clone();
    price[7] = f64::NAN;
    let regressors = vec![Regressor { name: "price".into(), ..Default::default() }];
    let priced = SeasonalConfig { regressors, ..plain.clone() };
    says(priced.clone(), &none, &y, "covariate `price` is missing");
    let text = "row 7, `price`: NaN is not allowed (a finite number)";
    says(priced, &Covariates::new().with("price", &price), &y, text);
    let logistic = SeasonalConfig { growth: Growth::Logistic, ..plain.clone() };
    says(logistic.clone(), &none, &y, "covariate `cap` is missing");
    let low = SeasonalConfig { cap: Some(-1.0), ..logistic };
    says(low, &none, &y, "row 0, `cap`: -1 is not allowed (above the floor, which is 0 by default)");
    let poisson = SeasonalConfig { likelihood: Likelihood::Poisson, ..plain.clone() };
    says(poisson, &none, &[0.5; 48], "row 0, `values`: 0.5 is not allowed (a whole number, 0 or more, or NaN)");
    let binomial = SeasonalConfig { likelihood: Likelihood::Binomial, ..plain.clone() };
    says(binomial, &none, &y, "a binomial or beta-binomial likelihood without an exposure column is not supported");
    let late = SeasonalConfig { changepoints: Some(vec!["2030-01-01".into()]), ..plain.clone() };
    says(late, &none, &y, "changepoint 2030-01-01T00:00:00Z lies outside the history");
    let twice = Holiday { holiday: "sale".into(), ..Default::default() };
    let twice = SeasonalConfig { holidays: vec![twice.clone(), twice], ..plain };
    says(twice, &none, &y, "component name `sale`: used twice");
}

#[test]
fn a_cap_below_the_data_bounds_the_trend() {
    let (time, y) = (hours(240), wave(240));
    let config = SeasonalConfig { growth: Growth::Logistic, cap: Some(40.0), ..Default::default() };
    let model = fit(config, &time, &y).unwrap();
    let forecast = model.predict(&model.make_future(10, None), &Covariates::new()).unwrap();
    assert!(forecast.trend.iter().all(|v| *v <= 40.0), "{}", forecast.trend);
}

#[test]
fn logistic_growth_saturates() {
    let time: Vec<_> = (0..300).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    let curve = |d: f64| 10.0 + 90.0 / (1.0 + (-(d - 120.0) / 25.0).exp());
    let y: Vec<f64> = (0..300).map(|d| curve(f64::from(d)) + f64::from(d * 37 % 11) * 0.1 - 0.5).collect();
    let config = SeasonalConfig { growth: Growth::Logistic, cap: Some(100.0), floor: Some(10.0), ..Default::default() };
    let model = fit(config, &time, &y).unwrap();
    let forecast = model.predict(&time, &Covariates::new()).unwrap();
    for d in [20, 120, 280] {
        assert!((forecast.yhat[d] - curve(d as f64)).abs() < 1.0, "day {d}: {}", forecast.yhat[d]);
    }
    let future = model.predict(&model.make_future(200, None), &Covariates::new()).unwrap();
    assert!(future.trend.iter().all(|v| *v < 100.5) && future.trend[199] > 97.0);
}

#[test]
fn holidays_regressors_and_conditions_are_found() {
    let days = 400;
    let time: Vec<_> = (0..days).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    let sale = |d: i64| d % 50 == 10;
    let weekend: Vec<f64> = (0..days).map(|d| f64::from(u8::from(d % 7 > 4))).collect();
    let price: Vec<f64> = (0..days).map(|d| 5.0 + (d * 31 % 17) as f64).collect();
    let season = |d: i64| (d as f64 * std::f64::consts::TAU / 3.5).sin();
    let y: Vec<f64> = (0..days)
        .map(|d| {
            let effect = f64::from(u8::from(sale(d))) * 30.0 + f64::from(u8::from(sale(d - 1))) * 12.0;
            let own = 5.0 * weekend[d as usize] * season(d) - 2.0 * price[d as usize];
            100.0 + effect + own + (d * 53 % 7) as f64 * 0.1
        })
        .collect();
    let ds = (0..days).filter(|d| sale(*d)).map(|d| time[d as usize].to_string()).collect();
    let config = SeasonalConfig {
        holidays: vec![Holiday { holiday: "sale".into(), ds, upper_window: 1, ..Default::default() }],
        regressors: vec![Regressor { name: "price".into(), ..Default::default() }],
        seasonalities: vec![CustomSeasonality {
            name: "half week".into(),
            period: 3.5,
            fourier_order: 1,
            prior_scale: None,
            mode: Some(Mode::Additive),
            condition_name: Some("weekend".into()),
        }],
        weekly_seasonality: FourierOrder::Off,
        ..Default::default()
    };
    let covariates = Covariates::new().with("price", &price).with("weekend", &weekend);
    let model = Seasonal::new(config).unwrap().fit_series(&time, &y, &covariates).unwrap();
    let forecast = model.predict(&time, &covariates).unwrap();
    let part = |name: &str, d: usize| forecast.component(name).unwrap()[d];
    assert!((part("sale", 60) - 30.0).abs() < 1.0 && (part("sale", 61) - 12.0).abs() < 1.0);
    assert!(part("sale", 62) == 0.0 && part("half week", 7 * 9 + 1) == 0.0);
    assert!((part("half week", 5) - 5.0 * season(5)).abs() < 0.5);
    assert!((part("price", 1) - part("price", 0) + 2.0 * (price[1] - price[0])).abs() < 0.5);
    assert!((&forecast.trend + &forecast.terms(Mode::Additive) - &forecast.yhat).iter().all(|d| d.abs() < 1e-9));
}

#[test]
fn weights_count_rows_and_fits_ignore_where_they_started() {
    let (time, y) = (hours(300), wave(300));
    let weights: Vec<f64> = (0..300).map(|h| if h % 3 == 0 { 0.0 } else { 1.0 }).collect();
    let weighted = SeasonalConfig { weights: Some("w".into()), ..Default::default() };
    let seasonal = Seasonal::new(weighted).unwrap();
    let model = seasonal.fit_series(&time, &y, &Covariates::new().with("w", &weights)).unwrap();
    let kept: Vec<usize> = (0..300).filter(|h| h % 3 != 0).collect();
    let times: Vec<_> = kept.iter().map(|h| time[*h]).collect();
    let values: Vec<_> = kept.iter().map(|h| y[*h]).collect();
    let plain = fit(SeasonalConfig::default(), &times, &values).unwrap();
    assert_eq!(model.effects(), plain.effects());
    // A weight of four halves the interval; without weights it is that of one.
    let later = model.make_future(2, None);
    let width = |covariates: &Covariates<'_>| {
        let forecast = model.predict(&later, covariates).unwrap();
        forecast.yhat_upper[0] - forecast.yhat_lower[0]
    };
    let ratio = width(&Covariates::new().with("w", &[4.0, 4.0])) / width(&Covariates::new());
    assert!((ratio - 0.5).abs() < 1e-3, "{ratio}");

    let seasonal = Seasonal::new(SeasonalConfig::default()).unwrap();
    let start =
        seasonal.fit_series(&time, &wave(300).into_iter().rev().collect::<Vec<_>>(), &Covariates::new()).unwrap();
    let (cold, warm) = (
        seasonal.fit_series(&time, &y, &Covariates::new()).unwrap(),
        seasonal.fit_warm(&start, &time, &y, &Covariates::new()).unwrap(),
    );
    assert!((cold.log_posterior() - warm.log_posterior()).abs() < 1e-5);
}

#[test]
fn multiplicative_terms_leave_the_minimum_alone() {
    let days: Vec<_> = (0..200).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    let y: Vec<f64> = (0..200).map(|d| 1000.0 + f64::from(d) * if d % 7 == 0 { 1.5 } else { 1.0 }).collect();
    let config = SeasonalConfig {
        scaling: funnelpulse_seasonal::Scaling::Minmax,
        seasonality_mode: Mode::Multiplicative,
        ..Default::default()
    };
    let model = fit(config, &days, &y).unwrap();
    let yhat = model.predict(&days, &Covariates::new()).unwrap().yhat;
    assert!(yhat.iter().zip(&y).all(|(a, b)| (a - b).abs() < 5.0), "{yhat}");
}

#[test]
fn counts_at_the_edges_give_finite_models() {
    let time = hours(200);
    let views = [50.0; 200];
    let ordinary: Vec<f64> = (0..200).map(|h| f64::from(h * 31 % 7)).collect();
    let mut burst = ordinary.clone();
    burst[77] = 1e9;
    let series = [("none", vec![0.0; 200]), ("all", vec![50.0; 200]), ("ordinary", ordinary), ("burst", burst)];
    for likelihood in
        [Likelihood::Poisson, Likelihood::NegativeBinomial, Likelihood::Binomial, Likelihood::BetaBinomial]
    {
        for (what, y) in &series {
            for robust in [false, true] {
                let config =
                    SeasonalConfig { likelihood, exposure: Some("views".into()), robust, ..Default::default() };
                let covariates = Covariates::new().with("views", &views);
                let model = Seasonal::new(config).unwrap().fit_series(&time, y, &covariates).unwrap();
                let forecast = model.predict(&time, &covariates).unwrap();
                let columns = [&forecast.yhat, &forecast.yhat_lower, &forecast.yhat_upper, &forecast.trend];
                assert!(columns.iter().all(|c| c.iter().all(|v| v.is_finite())), "{likelihood:?}, {what}");
                let order = |i: &usize| forecast.yhat_lower[*i] <= forecast.yhat_upper[*i];
                assert!((0..200).all(|i| order(&i)), "{likelihood:?}, {what}");
            }
        }
    }
}
