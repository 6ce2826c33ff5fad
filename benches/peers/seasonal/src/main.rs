//! Times one implementation on one series: `ours|augurs FILE NAME REPEATS`, results as JSON.
//!
//! CPU time of the calling thread; medians over the repeats.

use std::{error::Error, hint::black_box, time::Duration};

use augurs_prophet::{
    FeatureMode, IntervalWidth, PredictionData, Prophet, ProphetOptions, SeasonalityOption, TrainingData,
    wasmstan::WasmstanOptimizer,
};
use cpu_time::ThreadTime;
use funnelpulse_core::Timestamp;
use funnelpulse_seasonal::{Covariates, FourierOrder, Mode, Seasonal, SeasonalConfig};

const AHEAD: usize = 168;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [who, file, name, repeats] = &arguments[..] else { return Err("usage: ours|augurs FILE NAME REPEATS".into()) };
    let repeats = repeats.parse()?;
    let mut time = Vec::new();
    let mut y = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let (seconds, value) = line.split_once(',').ok_or("two columns expected")?;
        time.push(seconds.parse::<i64>()?);
        y.push(value.parse::<f64>()?);
    }
    let timings = if who == "ours" { ours(&time, &y, name, repeats)? } else { augurs(&time, &y, name, repeats)? };
    println!("{timings}");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn timed<T>(repeats: usize, mut run: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let start = ThreadTime::now();
        black_box(run());
        start.elapsed()
    };
    median((0..repeats).map(once).collect())
}

fn ours(seconds: &[i64], y: &[f64], name: &str, repeats: usize) -> Result<serde_json::Value, Box<dyn Error>> {
    let config = if name == "peyton" {
        SeasonalConfig::default()
    } else {
        SeasonalConfig {
            seasonality_mode: Mode::Multiplicative,
            interval_width: 0.95,
            yearly_seasonality: FourierOrder::Off,
            weekly_seasonality: FourierOrder::On,
            daily_seasonality: FourierOrder::On,
            ..Default::default()
        }
    };
    let time: Vec<Timestamp> = seconds.iter().map(|s| Timestamp::from_seconds(*s)).collect();
    let (seasonal, none) = (Seasonal::new(config)?, Covariates::new());
    let model = seasonal.fit_series(&time, y, &none)?;
    let future = model.make_future(AHEAD, None);
    Ok(serde_json::json!({
        "fit": timed(repeats, || seasonal.fit_series(&time, y, &none)),
        "history": timed(repeats, || model.predict(&time, &none)),
        "future": timed(repeats, || model.predict(&future, &none)),
        "lp": model.log_posterior(),
    }))
}

fn augurs(seconds: &[i64], y: &[f64], name: &str, repeats: usize) -> Result<serde_json::Value, Box<dyn Error>> {
    let options = if name == "peyton" {
        ProphetOptions::default()
    } else {
        ProphetOptions {
            seasonality_mode: FeatureMode::Multiplicative,
            interval_width: IntervalWidth::try_new(0.95)?,
            yearly_seasonality: SeasonalityOption::Manual(false),
            weekly_seasonality: SeasonalityOption::Manual(true),
            daily_seasonality: SeasonalityOption::Manual(true),
            ..Default::default()
        }
    };
    let step = seconds[1] - seconds[0];
    let last = seconds[seconds.len() - 1];
    let mut fits = Vec::new();
    let mut fitted = None;
    for _ in 0..repeats {
        // A fresh model each time; compiling the WebAssembly module is not timed.
        let mut prophet = Prophet::new(options.clone(), WasmstanOptimizer::new());
        let data = TrainingData::new(seconds.to_vec(), y.to_vec())?;
        let start = ThreadTime::now();
        prophet.fit(data, Default::default())?;
        fits.push(start.elapsed());
        fitted = Some(prophet);
    }
    let prophet = fitted.ok_or("no repeats")?;
    let ahead: Vec<i64> = (1..=AHEAD as i64).map(|i| last + i * step).collect();
    Ok(serde_json::json!({
        "fit": median(fits),
        "history": timed(repeats, || prophet.predict(None)),
        "future": timed(repeats, || prophet.predict(PredictionData::new(ahead.clone()))),
    }))
}
