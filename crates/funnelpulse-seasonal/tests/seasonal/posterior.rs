//! Standard errors of coefficients: their intervals cover the truth as often as they say.

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, FourierOrder, Likelihood, Regressor, Seasonal, SeasonalConfig};
use rand::SeedableRng;
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64;

/// Series per case; the share of 200 that a 90 % interval covers has a standard error of 2.1 %.
const SERIES: u64 = 200;
/// Standard errors on either side of a 90 % interval.
const NINETY: f64 = 1.644_853_626_951_472_7;
const DAYS: usize = 150;

fn config(likelihood: Likelihood) -> SeasonalConfig {
    SeasonalConfig {
        likelihood,
        n_changepoints: 0,
        yearly_seasonality: FourierOrder::Off,
        weekly_seasonality: FourierOrder::Off,
        daily_seasonality: FourierOrder::Off,
        regressors: vec![Regressor {
            name: "price".into(),
            standardize: funnelpulse_seasonal::Standardize::Never,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Share of the series whose interval around the effect of the price covers its true value.
fn coverage(likelihood: Likelihood, draw: impl Fn(&mut Pcg64, f64) -> f64, effect: impl Fn(f64) -> f64) -> f64 {
    let time: Vec<Timestamp> = (0..DAYS as i64).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    let seasonal = Seasonal::new(config(likelihood)).unwrap();
    let covered = (0..SERIES).filter(|&seed| {
        let mut rng = Pcg64::seed_from_u64(seed);
        let price: Vec<f64> = (0..DAYS).map(|_| StandardNormal.sample(&mut rng)).collect();
        let values: Vec<f64> = price.iter().map(|p| draw(&mut rng, *p)).collect();
        let covariates = Covariates::new().with("price", &price);
        let model = seasonal.fit_series(&time, &values, &covariates).unwrap();
        let errors = seasonal.parameter_errors(&model, &time, &values, &covariates).unwrap();
        assert!(errors.covariance.iter().all(|v| v.is_finite()) && errors.rate > 0.0);
        (effect(model.effects()[0] * model.y_scale()) / (errors.effects[0] * model.y_scale())).abs() < NINETY
    });
    covered.count() as f64 / SERIES as f64
}

#[test]
fn ninety_percent_intervals_of_an_effect_cover_it_in_ninety_percent() {
    let normal = |rng: &mut Pcg64, price: f64| {
        let noise: f64 = StandardNormal.sample(rng);
        50.0 + 0.7 * price + 4.0 * noise
    };
    let gaussian = coverage(Likelihood::Gaussian, normal, |effect| effect - 0.7);
    let count = |rng: &mut Pcg64, price: f64| Poisson::new((2.0 + 0.1 * price).exp()).unwrap().sample(rng);
    let poisson = coverage(Likelihood::Poisson, count, |effect| effect - 0.1);
    println!("90 % intervals cover: Gaussian {gaussian}, Poisson {poisson}");
    for share in [gaussian, poisson] {
        assert!((0.84..=0.96).contains(&share), "{share}");
    }
}

#[test]
fn flat_growth_has_no_rate_and_other_likelihoods_are_refused() {
    let time: Vec<Timestamp> = (0..60).map(|d| Timestamp::from_micros(d * Timestamp::DAY)).collect();
    let values: Vec<f64> = (0..60).map(|d| f64::from(10 + d * 7 % 5)).collect();
    let flat = SeasonalConfig { growth: funnelpulse_seasonal::Growth::Flat, ..Default::default() };
    let seasonal = Seasonal::new(flat).unwrap();
    let model = seasonal.fit_series(&time, &values, &Covariates::new()).unwrap();
    let errors = seasonal.parameter_errors(&model, &time, &values, &Covariates::new()).unwrap();
    assert!(errors.rate < 1e-12 && errors.offset > 0.0 && errors.rate_changes.is_empty());
    let counts = SeasonalConfig { likelihood: Likelihood::Poisson, ..Default::default() };
    let error = Seasonal::new(counts).unwrap().parameter_errors(&model, &time, &values, &Covariates::new());
    assert!(error.unwrap_err().to_string().contains("another likelihood"));
}
