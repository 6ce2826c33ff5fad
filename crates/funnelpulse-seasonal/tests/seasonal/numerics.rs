//! Where floating point could spoil a fit.

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, Regressor, Seasonal, SeasonalConfig};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::coverage::hours;

fn normal(rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    (0..rows).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// The noise's standard deviation in the unit of y, and the share of rows inside the interval.
fn noise_and_coverage(config: &SeasonalConfig, y: &[f64]) -> (f64, f64) {
    let time = hours(y.len());
    let model = Seasonal::new(config.clone()).unwrap().fit_series(&time, y, &Covariates::new()).unwrap();
    let forecast = model.predict(&time, &Covariates::new()).unwrap();
    let inside = |i: &usize| (forecast.yhat_lower[*i]..=forecast.yhat_upper[*i]).contains(&y[*i]);
    assert!(model.log_posterior().is_finite());
    (model.sigma() * model.y_scale(), (0..y.len()).filter(inside).count() as f64 / y.len() as f64)
}

#[test]
fn a_level_far_above_the_noise_does_not_hide_it() {
    for online in [false, true] {
        let config = SeasonalConfig { online, ..Default::default() };
        for level in [0.0, 1e6, 1e8, 1e9] {
            let y: Vec<f64> = normal(1000, 5).iter().map(|noise| level + noise).collect();
            let (sigma, coverage) = noise_and_coverage(&config, &y);
            assert!((sigma - 1.0).abs() < 0.1 && (coverage - 0.8).abs() < 0.05, "{level}: {sigma} {coverage}");
        }
    }
}

#[test]
fn a_season_far_above_the_noise_does_not_hide_it() {
    let noise = normal(1000, 6);
    let season = |h: usize| 1e8 * (h as f64 * std::f64::consts::TAU / 24.0).sin();
    let y: Vec<f64> = noise.iter().enumerate().map(|(h, noise)| 3e8 + season(h) + noise).collect();
    let (sigma, coverage) = noise_and_coverage(&SeasonalConfig::default(), &y);
    assert!((sigma - 1.0).abs() < 0.1 && (coverage - 0.8).abs() < 0.05, "{sigma} {coverage}");
}

#[test]
fn updates_keep_the_noise_of_a_high_level() {
    let y: Vec<f64> = normal(1000, 7).iter().map(|noise| 1e8 + noise).collect();
    let time = hours(1000);
    let seasonal = Seasonal::new(SeasonalConfig { online: true, ..Default::default() }).unwrap();
    let mut model = seasonal.fit_series(&time[..800], &y[..800], &Covariates::new()).unwrap();
    model.update(&time[800..], &y[800..], &Covariates::new()).unwrap();
    let sigma = model.sigma() * model.y_scale();
    assert!((sigma - 1.0).abs() < 0.1, "{sigma}");
}

#[test]
fn updates_leave_a_noise_that_sums_cannot_hold() {
    let season = |h: usize| 3e8 + 1e8 * (h as f64 * std::f64::consts::TAU / 24.0).sin();
    let y: Vec<f64> = normal(1000, 12).iter().enumerate().map(|(h, noise)| season(h) + noise).collect();
    let time = hours(1000);
    let seasonal = Seasonal::new(SeasonalConfig { online: true, ..Default::default() }).unwrap();
    let mut model = seasonal.fit_series(&time[..800], &y[..800], &Covariates::new()).unwrap();
    model.update(&time[800..], &y[800..], &Covariates::new()).unwrap();
    let sigma = model.sigma() * model.y_scale();
    assert!((sigma - 1.0).abs() < 0.1, "{sigma}");
    let yhat = model.predict(&time, &Covariates::new()).unwrap().yhat;
    let rmse = (yhat.iter().zip(&y).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 1000.0).sqrt();
    assert!(rmse < 1.5, "{rmse}");
}

#[test]
fn a_series_without_noise_ends_soon() {
    let season = |h: usize| 100.0 + 0.01 * h as f64 + 10.0 * (h as f64 * std::f64::consts::TAU / 24.0).sin();
    let y: Vec<f64> = (0..10_000).map(season).collect();
    let time = hours(y.len());
    let model = Seasonal::new(SeasonalConfig::default()).unwrap().fit_series(&time, &y, &Covariates::new()).unwrap();
    println!("{} iterations, sigma {}", model.iterations(), model.sigma());
    assert!(model.iterations() < 50 && model.sigma() < 1e-4, "{} {}", model.iterations(), model.sigma());
}

#[test]
fn identical_regressors_share_an_effect() {
    let time = hours(300);
    let price: Vec<f64> = (0..300).map(|h| f64::from(h * 31 % 17)).collect();
    let y: Vec<f64> = price.iter().zip(normal(300, 8)).map(|(p, noise)| 100.0 - 3.0 * p + noise).collect();
    let regressor = |name: &str| Regressor { name: name.into(), prior_scale: Some(1e6), ..Default::default() };
    let config = SeasonalConfig { regressors: vec![regressor("one"), regressor("other")], ..Default::default() };
    let covariates = Covariates::new().with("one", &price).with("other", &price);
    let model = Seasonal::new(config).unwrap().fit_series(&time, &y, &covariates).unwrap();
    let yhat = model.predict(&time, &covariates).unwrap().yhat;
    let rmse = (yhat.iter().zip(&y).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 300.0).sqrt();
    assert!(rmse < 1.2, "{rmse}");
}

#[test]
fn prior_scales_have_bounds() {
    for scale in [1e-160, 1e-7, 1e7, f64::INFINITY, f64::NAN] {
        let all = [
            SeasonalConfig { changepoint_prior_scale: scale, ..Default::default() },
            SeasonalConfig { seasonality_prior_scale: scale, ..Default::default() },
            SeasonalConfig { holidays_prior_scale: scale, ..Default::default() },
            SeasonalConfig {
                regressors: vec![Regressor { name: "a".into(), prior_scale: Some(scale), ..Default::default() }],
                ..Default::default()
            },
        ];
        for config in all {
            let error = Seasonal::new(config).unwrap_err().to_string();
            assert!(error.ends_with("is out of range (1e-6 to 1e6)"), "{error}");
        }
    }
    let y: Vec<f64> = normal(200, 9);
    for scale in [1e-6, 1e6] {
        let config =
            SeasonalConfig { changepoint_prior_scale: scale, seasonality_prior_scale: scale, ..Default::default() };
        let (sigma, _) = noise_and_coverage(&config, &y);
        assert!((sigma - 1.0).abs() < 0.2, "{scale}: {sigma}");
    }
}

#[test]
fn errors_name_the_row_as_it_was_given() {
    let time = hours(48);
    let mut y: Vec<f64> = (0..48).map(|h| f64::from(h * 7 % 5)).collect();
    y[2] = f64::NAN;
    y[5] = f64::NAN;
    let says = |config: SeasonalConfig, name: &str, column: &[f64], text: &str| {
        let covariates = Covariates::new().with(name, column);
        let error = Seasonal::new(config).unwrap().fit_series(&time, &y, &covariates).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    let plain = SeasonalConfig::default();
    let mut price = vec![1.0; 48];
    price[2] = f64::NAN;
    price[7] = f64::NAN;
    let regressors = vec![Regressor { name: "price".into(), ..Default::default() }];
    let text = "row 7, `price`: NaN is not allowed (a finite number)";
    says(SeasonalConfig { regressors, ..plain.clone() }, "price", &price, text);
    let mut cap = vec![10.0; 48];
    cap[7] = -1.0;
    let logistic = SeasonalConfig { growth: funnelpulse_seasonal::Growth::Logistic, ..plain };
    says(logistic.clone(), "cap", &cap, "row 7, `cap`: -1 is not allowed (above the floor, which is 0 by default)");
    cap[7] = f64::INFINITY;
    says(logistic, "cap", &cap, "row 7, `cap`: inf is not allowed (a finite number)");
}

#[test]
fn a_long_simulation_changes_the_future_only() {
    let (time, y) = (hours(600), normal(600, 10));
    let fit = |uncertainty_samples| {
        let config = SeasonalConfig { uncertainty_samples, ..Default::default() };
        Seasonal::new(config).unwrap().fit_series(&time, &y, &Covariates::new()).unwrap()
    };
    let [exact, simulated] = [0, 2000].map(fit);
    let all: Vec<Timestamp> = hours(4000);
    let [exact, simulated] = [exact, simulated].map(|m| m.predict(&all, &Covariates::new()).unwrap());
    assert!((0..600).all(|row| exact.yhat_upper[row] == simulated.yhat_upper[row]));
    for row in [600, 2000, 3999] {
        let [a, b] = [&exact, &simulated].map(|f| f.yhat_upper[row] - f.yhat_lower[row]);
        assert!(a != b && (a / b - 1.0).abs() < 0.1, "row {row}: {a} {b}");
    }
}

#[test]
fn updates_refuse_what_fits_refuse() {
    let (time, y) = (hours(200), normal(200, 11));
    let mut weights = vec![1.0; 200];
    weights[150] = -2.0;
    let config = SeasonalConfig { online: true, weights: Some("w".into()), ..Default::default() };
    let seasonal = Seasonal::new(config).unwrap();
    let mut model =
        seasonal.fit_series(&time[..100], &y[..100], &Covariates::new().with("w", &weights[..100])).unwrap();
    let before = model.clone();
    let error = model.update(&time[100..], &y[100..], &Covariates::new().with("w", &weights[100..])).unwrap_err();
    assert_eq!(error.to_string(), "row 50, `w`: -2 is not allowed (0 or more)");
    let ones = vec![1.0; 100];
    let mut values = y[100..].to_vec();
    values[3] = f64::INFINITY;
    let error = model.update(&time[100..], &values, &Covariates::new().with("w", &ones)).unwrap_err();
    assert_eq!(error.to_string(), "row 3, `values`: inf is not allowed (a finite number, or NaN)");
    assert_eq!(model, before);
}
