//! Fits 1,000 hourly series of 3,600 rows one after another on two threads and prints how long that
//! took and what the process used at most: a model is dropped before the next series is made.
//! Then the time of one fit of 2,880 hourly counts by each likelihood.

use std::time::Instant;

use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, Likelihood, Seasonal, SeasonalConfig, SeasonalError};

const SERIES: usize = 1000;
const ROWS: usize = 3600;

fn series(number: usize) -> Vec<f64> {
    let value = |h: usize| {
        let hour = h as f64;
        let noise = ((h * 7919 + number * 104_729) % 1009) as f64 / 1009.0;
        100.0 + 0.01 * hour + 20.0 * (hour * std::f64::consts::TAU / 24.0).sin() + 8.0 * noise
    };
    (0..ROWS).map(value).collect()
}

/// Median milliseconds of a fit of 2,880 counts out of some 120.
fn counts(likelihood: Likelihood) -> Result<f64, SeasonalError> {
    let trials = matches!(likelihood, Likelihood::Binomial | Likelihood::BetaBinomial);
    let exposure = trials.then(|| "views".to_owned());
    let seasonal = Seasonal::new(SeasonalConfig { likelihood, exposure, ..Default::default() })?;
    let time: Vec<Timestamp> = (0..2880).map(|h| Timestamp::from_seconds(3600 * h)).collect();
    let views: Vec<f64> = (0..2880).map(|h| (120.0 + 50.0 * (f64::from(h) * 0.2618).sin()).round()).collect();
    let noise = |h: usize| (h * 7919 % 1009) as f64 / 200.0;
    let y: Vec<f64> = views.iter().enumerate().map(|(h, views)| (views * 0.05 + noise(h)).round()).collect();
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        seasonal.fit_series(&time, &y, &Covariates::new().with("views", &views))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[10])
}

#[expect(clippy::print_stdout, reason = "a program that prints what it measured")]
fn main() -> Result<(), SeasonalError> {
    let seasonal = Seasonal::new(SeasonalConfig::default())?;
    let time: Vec<Timestamp> = (0..ROWS).map(|h| Timestamp::from_seconds(3600 * h as i64)).collect();
    let (seasonal, time) = (&seasonal, &time[..]);
    let start = Instant::now();
    let fit = |first: usize| {
        (first..SERIES).step_by(2).try_for_each(|n| seasonal.fit_series(time, &series(n), &Covariates::new()).map(drop))
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| fit(1));
        fit(0)?;
        other.join().expect("a fit does not panic")
    })?;
    let seconds = start.elapsed().as_secs_f64();
    // Linux only; elsewhere the memory is left out.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("unknown", str::trim);
    println!("{SERIES} series of {ROWS} rows: {seconds:.2} s on two threads, peak memory {peak}");
    let likelihoods =
        [Likelihood::Poisson, Likelihood::NegativeBinomial, Likelihood::Binomial, Likelihood::BetaBinomial];
    for likelihood in likelihoods {
        println!("{likelihood:?}: {:.1} ms", counts(likelihood)?);
    }
    Ok(())
}
