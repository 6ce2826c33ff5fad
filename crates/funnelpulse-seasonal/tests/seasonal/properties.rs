//! What a model must not depend on.

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, CustomSeasonality, Mode, Seasonal, SeasonalConfig, SeasonalModel};
use proptest::prelude::*;

use crate::coverage::hours;

fn fit(config: &SeasonalConfig, time: &[Timestamp], y: &[f64]) -> SeasonalModel {
    Seasonal::new(config.clone()).unwrap().fit_series(time, y, &Covariates::new()).unwrap()
}

fn series(noise: &[f64], bend: f64, swing: f64) -> Vec<f64> {
    let value = |(h, noise): (usize, &f64)| {
        let t = h as f64;
        10.0 + bend * (t - 150.0).max(0.0) / 100.0 + swing * (t * std::f64::consts::TAU / 24.0).cos() + noise
    };
    noise.iter().enumerate().map(value).collect()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        prop_assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "row {row}: {a} and {b}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shifts_and_scales(
        noise in prop::collection::vec(-1.0..1.0f64, 360),
        bend in -4.0..4.0f64,
        swing in 0.0..3.0f64,
        weeks in -500i64..500,
        factor in prop::sample::select(vec![1e-9, 0.3, 1e6]),
        multiplicative in any::<bool>(),
    ) {
        let seasonality_mode = if multiplicative { Mode::Multiplicative } else { Mode::Additive };
        let config = SeasonalConfig { seasonality_mode, ..Default::default() };
        let (time, y) = (hours(noise.len()), series(&noise, bend, swing));
        let model = fit(&config, &time, &y);
        let forecast = model.predict(&time, &Covariates::new()).unwrap();

        // Whole weeks later, and with it the forecast.
        let later: Vec<_> = time.iter().map(|t| t.offset(weeks * 7 * Timestamp::DAY)).collect();
        let shifted = fit(&config, &later, &y);
        close(&shifted.predict(&later, &Covariates::new()).unwrap().yhat.to_vec(), &forecast.yhat.to_vec(), 1e-6)?;

        // In another unit.
        let scaled: Vec<f64> = y.iter().map(|y| y * factor).collect();
        let other = fit(&config, &time, &scaled);
        let yhat = other.predict(&time, &Covariates::new()).unwrap().yhat / factor;
        close(&yhat.to_vec(), &forecast.yhat.to_vec(), 1e-6)?;
        prop_assert!((other.log_posterior() - model.log_posterior()).abs() < 1e-4);
    }

    #[test]
    fn the_order_of_seasonalities(noise in prop::collection::vec(-1.0..1.0f64, 300), swing in 0.0..3.0f64) {
        let season = |name: &str, period, mode| CustomSeasonality {
            name: name.into(), period, fourier_order: 2, prior_scale: None, mode: Some(mode), condition_name: None,
        };
        let mut seasonalities =
            vec![season("a", 1.0, Mode::Additive), season("b", 7.0, Mode::Multiplicative), season("c", 2.5, Mode::Additive)];
        let (time, y) = (hours(noise.len()), series(&noise, 1.0, swing));
        let config = |seasonalities: &[CustomSeasonality]| SeasonalConfig {
            seasonalities: seasonalities.to_vec(),
            daily_seasonality: funnelpulse_seasonal::FourierOrder::Off,
            weekly_seasonality: funnelpulse_seasonal::FourierOrder::Off,
            ..Default::default()
        };
        let one = fit(&config(&seasonalities), &time, &y).predict(&time, &Covariates::new()).unwrap();
        seasonalities.reverse();
        let other = fit(&config(&seasonalities), &time, &y).predict(&time, &Covariates::new()).unwrap();
        close(&one.yhat.to_vec(), &other.yhat.to_vec(), 1e-6)?;
        close(&one.component("c").unwrap().to_vec(), &other.component("c").unwrap().to_vec(), 1e-5)?;
    }

    #[test]
    fn updates_find_the_optimum_for_all_rows(noise in prop::collection::vec(-1.0..1.0f64, 400), bend in -2.0..2.0f64) {
        let config = SeasonalConfig { online: true, ..Default::default() };
        let (time, y) = (hours(noise.len()), series(&noise, bend, 1.0));
        let mut one = fit(&config, &time[..350], &y[..350]);
        let mut many = one.clone();
        one.update(&time[350..], &y[350..], &Covariates::new()).unwrap();
        for row in 350..400 {
            many.update(&time[row..=row], &y[row..=row], &Covariates::new()).unwrap();
        }
        prop_assert!((one.log_posterior() - many.log_posterior()).abs() < 1e-5);
        let later = one.make_future(24, None);
        let [a, b] = [&one, &many].map(|m| m.predict(&later, &Covariates::new()).unwrap().yhat.to_vec());
        close(&a, &b, 1e-3)?;
    }
}

#[test]
fn simulated_intervals_are_seeded_and_agree_with_the_exact_ones() {
    let noise: Vec<f64> = (0..500).map(|h| f64::from(h * 7919 % 101) / 50.0 - 1.0).collect();
    let (time, y) = (hours(500), series(&noise, 3.0, 1.0));
    let exact = fit(&SeasonalConfig::default(), &time, &y);
    let sampled = SeasonalConfig { uncertainty_samples: 4000, ..Default::default() };
    let simulated = fit(&sampled, &time, &y);
    let future = exact.make_future(200, None);
    let [exact, simulated, again] =
        [&exact, &simulated, &simulated].map(|m| m.predict(&future, &Covariates::new()).unwrap());
    assert_eq!(simulated, again);
    for row in [0, 100, 199] {
        let [a, b] = [&exact, &simulated].map(|f| f.yhat_upper[row] - f.yhat_lower[row]);
        assert!((a / b - 1.0).abs() < 0.05, "row {row}: {a} {b}");
    }
}

#[test]
fn settings_read_as_prophet_writes_them() {
    let text = r#"{"seasonality_mode": "multiplicative", "yearly": false, "weekly": true, "daily": 6,
        "interval_width": 0.95, "growth": "flat", "holidays": [{"name": "sale", "dates": ["2019-11-29"]}]}"#;
    let config: SeasonalConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.daily_seasonality, funnelpulse_seasonal::FourierOrder::Terms(6));
    let back: SeasonalConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(back, config);
    let error = serde_json::from_str::<SeasonalConfig>(r#"{"weekly": "often"}"#).unwrap_err().to_string();
    assert!(error.contains("expected \"auto\", true, false or a number of Fourier terms"), "{error}");
}
