//! Intervals and scores on data drawn from each likelihood.

use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Timestamp};
use funnelpulse_seasonal::{Covariates, Likelihood, Metric, Seasonal, SeasonalConfig};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Binomial, Distribution, Gamma, Poisson, StandardNormal};
use rand_pcg::Pcg64;

pub(crate) fn hours(rows: usize) -> Vec<Timestamp> {
    (0..rows).map(|h| Timestamp::from_seconds(1_672_617_600 + 3600 * h as i64)).collect()
}

fn day(hour: usize) -> f64 {
    (hour as f64 * std::f64::consts::TAU / 24.0).sin()
}

/// Trials of a row: log-uniform between 3 and 3,000.
fn traffic(rng: &mut Pcg64) -> f64 {
    (3.0 * 1000f64.powf(rng.random::<f64>())).round()
}

/// One observation with a daily season, and its exposure.
pub(crate) fn draw(likelihood: Likelihood, hour: usize, rng: &mut Pcg64) -> (f64, f64) {
    let count = |mean: f64, rng: &mut Pcg64| Poisson::new(mean).unwrap().sample(rng);
    match likelihood {
        Likelihood::Gaussian => {
            let noise: f64 = StandardNormal.sample(rng);
            (20.0 + 5.0 * day(hour) + noise, 1.0)
        }
        Likelihood::Poisson => (count(200.0 * (0.5 * day(hour)).exp(), rng), 1.0),
        Likelihood::NegativeBinomial => {
            let mean = 200.0 * (0.5 * day(hour)).exp();
            let rate: f64 = Gamma::new(5.0, mean / 5.0).unwrap().sample(rng);
            (count(rate, rng), 1.0)
        }
        Likelihood::Binomial | Likelihood::BetaBinomial => {
            let trials = traffic(rng);
            let mean = 1.0 / (1.0 + (1.5 - 0.4 * day(hour)).exp());
            let share = if likelihood == Likelihood::Binomial {
                mean
            } else {
                Beta::new(mean * 80.0, (1.0 - mean) * 80.0).unwrap().sample(rng)
            };
            (Binomial::new(trials as u64, share).unwrap().sample(rng) as f64, trials)
        }
    }
}

pub(crate) fn config(likelihood: Likelihood) -> SeasonalConfig {
    let exposure = matches!(likelihood, Likelihood::Binomial | Likelihood::BetaBinomial).then(|| "views".to_owned());
    SeasonalConfig { likelihood, exposure, interval_width: 0.95, ..Default::default() }
}

#[test]
fn nominal_95_percent_holds_on_rows_that_were_held_out() {
    let (rows, trained) = (4000, 2000);
    for likelihood in [
        Likelihood::Gaussian,
        Likelihood::Poisson,
        Likelihood::NegativeBinomial,
        Likelihood::Binomial,
        Likelihood::BetaBinomial,
    ] {
        let mut rng = Pcg64::seed_from_u64(11);
        let time = hours(rows);
        let (y, views): (Vec<f64>, Vec<f64>) = (0..rows).map(|h| draw(likelihood, h, &mut rng)).unzip();
        let seasonal = Seasonal::new(config(likelihood)).unwrap();
        let history = Covariates::new().with("views", &views[..trained]);
        let model = seasonal.fit_series(&time[..trained], &y[..trained], &history).unwrap();
        let later = Covariates::new().with("views", &views[trained..]);
        let forecast = model.predict(&time[trained..], &later).unwrap();
        // Few trials make wide steps: only rows where a step is small against the interval.
        let judged: Vec<usize> = (trained..rows).filter(|i| views[*i] == 1.0 || views[*i] >= 300.0).collect();
        let inside = |i: &&usize| {
            let at = **i - trained;
            (forecast.yhat_lower[at]..=forecast.yhat_upper[at]).contains(&y[**i])
        };
        let share = judged.iter().filter(inside).count() as f64 / judged.len() as f64;
        println!("{likelihood:?}: {:.2} % of {} rows inside", 100.0 * share, judged.len());
        assert!((0.93..=0.97).contains(&share), "{likelihood:?}: {share} inside a 95 % interval");
    }
}

/// False alarms at the level of one percent, by decade of exposure: `3..30`, `30..300`, `300..3000`.
fn false_alarms(metric: Metric, rates: bool) -> [f64; 3] {
    let rows = 24_000;
    let mut rng = Pcg64::seed_from_u64(5);
    let (y, views): (Vec<f64>, Vec<f64>) = (0..rows).map(|h| draw(Likelihood::BetaBinomial, h, &mut rng)).unzip();
    let values = Array2::from_shape_fn((rows, 2), |(i, j)| match j {
        0 if rates => y[i] / views[i],
        0 => y[i],
        _ => views[i],
    });
    let columns = Columns::new([metric.column.as_str(), "views"]).unwrap();
    let frame = Frame::new(hours(rows), columns, values).unwrap();
    let seasonal = Seasonal::new(SeasonalConfig { metrics: vec![metric], ..Default::default() }).unwrap();
    let score = seasonal.fit(frame.view()).unwrap().detect(frame.view()).unwrap().into_score();
    let share = |from: f64, to: f64| {
        let own: Vec<usize> = (0..rows).filter(|i| (from..to).contains(&views[*i])).collect();
        own.iter().filter(|i| score[**i] > 2.0).count() as f64 / own.len() as f64
    };
    [share(3.0, 30.0), share(30.0, 300.0), share(300.0, 3001.0)]
}

#[test]
fn false_alarms_stay_at_their_level_in_every_decade_of_exposure() {
    let metric = Metric {
        column: "purchases".into(),
        likelihood: Some(Likelihood::BetaBinomial),
        exposure: Some("views".into()),
    };
    let ours = false_alarms(metric, false);
    println!("beta-binomial: {ours:.4?}");
    assert!(ours.iter().all(|share| (0.005..=0.015).contains(share)), "{ours:?}");
    let band = false_alarms(Metric { column: "rate".into(), ..Default::default() }, true);
    println!("Gaussian band on the rate: {band:.4?}");
    assert!(band[0] > 0.015 && band[2] < 0.005, "a band of one width fits no decade: {band:?}");
}

#[test]
fn a_checkout_outage_is_flagged_and_a_quiet_night_is_not() {
    let rows = 24 * 30;
    let mut rng = Pcg64::seed_from_u64(3);
    let outage = 24 * 25 + 9..24 * 25 + 15;
    let views = |hour: usize| if hour % 24 < 6 { 3.0 } else { 800.0 };
    let values = Array2::from_shape_fn((rows, 2), |(i, j)| match j {
        0 if outage.contains(&i) => 0.0,
        0 => Binomial::new(views(i) as u64, 0.04).unwrap().sample(&mut rng) as f64,
        _ => views(i),
    });
    let frame = Frame::new(hours(rows), Columns::new(["purchases", "views"]).unwrap(), values).unwrap();
    let metric = Metric {
        column: "purchases".into(),
        likelihood: Some(Likelihood::BetaBinomial),
        exposure: Some("views".into()),
    };
    let seasonal = Seasonal::new(SeasonalConfig { metrics: vec![metric], robust: true, ..Default::default() }).unwrap();
    let model = seasonal.fit(frame.view()).unwrap();
    let score = model.detect(frame.view()).unwrap().into_score();
    for hour in outage.clone() {
        assert!(score[hour] > 6.0, "hour {hour} of the outage scores {}", score[hour]);
    }
    let night = (0..rows).filter(|h| h % 24 < 6).map(|h| score[h]).fold(0.0, f64::max);
    assert!(night < 3.5, "a night of three views scores {night}");
    let residual = model.residuals(frame.view()).unwrap();
    assert!(residual[[outage.start, 0]] < -25.0 && residual[[outage.start, 1]].is_nan());
}

#[test]
fn anomalies_in_the_history_do_not_widen_a_robust_band() {
    let rows = 24 * 40;
    for likelihood in [Likelihood::Gaussian, Likelihood::NegativeBinomial, Likelihood::BetaBinomial] {
        let mut rng = Pcg64::seed_from_u64(8);
        let (clean, views): (Vec<f64>, Vec<f64>) = (0..rows).map(|h| draw(likelihood, h, &mut rng)).unzip();
        let mut dirty = clean.clone();
        for i in (17..rows).step_by(97) {
            dirty[i] = if likelihood == Likelihood::BetaBinomial { views[i] } else { 10.0 * clean[i] };
        }
        let width = |y: &[f64], robust: bool| {
            let seasonal = Seasonal::new(SeasonalConfig { robust, ..config(likelihood) }).unwrap();
            let model = seasonal.fit_series(&hours(rows), y, &Covariates::new().with("views", &views)).unwrap();
            let forecast = model.predict(&hours(rows), &Covariates::new().with("views", &views)).unwrap();
            (&forecast.yhat_upper - &forecast.yhat_lower).mean().unwrap()
        };
        let clean_width = width(&clean, false);
        let (robust, plain) = (width(&dirty, true) / clean_width, width(&dirty, false) / clean_width);
        println!("{likelihood:?}: width {robust:.3} times that of clean data when robust, {plain:.3} otherwise");
        assert!((0.93..1.07).contains(&robust) && plain > 1.2, "{likelihood:?}: {robust} {plain}");
    }
}
