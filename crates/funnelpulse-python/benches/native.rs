//! The work of `bench.py` without Python: `native WORK ...`, one of
//!
//! - `forest SETTINGS X ROWS COLUMNS`: growing a forest on an array of f64 in a file, and scoring the array;
//! - `breaks KERNEL MIN_SIZE PENALTY X ROWS`: one search for breaks;
//! - `forecast SETTINGS X ROWS AHEAD`: fitting an hourly series, and the forecast after it.
//!
//! Prints a line of JSON: milliseconds of processor time per call, the best of several rounds.
#![expect(clippy::print_stdout, reason = "the result of the program")]

use std::{
    error::Error,
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use funnelpulse::{
    changepoint::{
        cost::CostKind,
        kernel::rbf_pelt,
        search::{Fpop, Pelt},
    },
    core::Timestamp,
    iforest::{IsolationForest, IsolationForestConfig},
    seasonal::{Covariates, Seasonal, SeasonalConfig},
};
use ndarray::Array2;

type Outcome<T> = Result<T, Box<dyn Error>>;

const REPEATS: usize = 7;
/// A round of calls is at least so long: the clock of processor time moves in steps of milliseconds.
const ROUND: Duration = Duration::from_millis(200);
/// The hour of 2024-01-01 after 1970, the first of the series that is forecast.
const START: usize = 19_723 * 24;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let found = match args[..] {
        ["forest", settings, x, rows, columns] => forest(settings, &read(x, rows.parse()?, columns.parse()?)?),
        ["breaks", kernel, min_size, penalty, x, rows] => {
            breaks(kernel, min_size.parse()?, penalty.parse()?, &read(x, rows.parse()?, 1)?)
        }
        ["forecast", settings, x, rows, ahead] => forecast(settings, read(x, rows.parse()?, 1)?, ahead.parse()?),
        _ => return Err("see the top of benches/native.rs".into()),
    }?;
    println!("{found}");
    Ok(())
}

fn read(path: &str, rows: usize, columns: usize) -> Outcome<Array2<f64>> {
    let bytes = fs::read(path)?;
    let values = bytes.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect();
    Ok(Array2::from_shape_vec((rows, columns), values)?)
}

/// Milliseconds of processor time that all threads of this process have used.
fn processor() -> Outcome<f64> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += text.split_whitespace().next().ok_or("schedstat is empty")?.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e6)
}

/// Milliseconds per call, the best of several rounds of calls.
fn best<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let (start, since, mut calls) = (processor()?, Instant::now(), 0.0);
        while since.elapsed() < ROUND {
            black_box(work()?);
            calls += 1.0;
        }
        best = best.min((processor()? - start) / calls);
    }
    Ok(best)
}

fn forest(settings: &str, values: &Array2<f64>) -> Outcome<String> {
    let grow = || -> Outcome<_> {
        let config: IsolationForestConfig = serde_json::from_str(settings)?;
        Ok(IsolationForest::new(config)?.fit_values(values.view())?)
    };
    let model = grow()?;
    let fit = best(grow)?;
    let score = best(|| Ok(model.score_values(values.view())?.to_vec()))?;
    Ok(format!(r#"{{"fit": {fit}, "score": {score}}}"#))
}

/// As `funnelpulse.ruptures` does it: `linear` and `rbf` are kernels, `l2` is the cost.
fn breaks(kernel: &str, min_size: usize, penalty: f64, values: &Array2<f64>) -> Outcome<String> {
    let search = || -> Outcome<_> {
        Ok(match kernel {
            "rbf" => rbf_pelt(values.view(), None, min_size, 1, penalty)?,
            "linear" => Fpop::new(min_size, 1)?.l2(values.column(0), penalty)?,
            _ => {
                let kind: CostKind = kernel.parse()?;
                Pelt::new(min_size, 1)?.search(&*kind.build(values.view(), None, 4)?, penalty)?
            }
        })
    };
    let found = search()?.breaks.len();
    Ok(format!(r#"{{"predict": {}, "breaks": {found}}}"#, best(search)?))
}

fn forecast(settings: &str, values: Array2<f64>, ahead: usize) -> Outcome<String> {
    let hours = |from: usize, count: usize| -> Vec<Timestamp> {
        (from..from + count).map(|hour| Timestamp::from_micros(hour as i64 * Timestamp::HOUR)).collect()
    };
    let (time, future) = (hours(START, values.nrows()), hours(START + values.nrows(), ahead));
    let values = values.into_raw_vec_and_offset().0;
    let train = || -> Outcome<_> {
        let config: SeasonalConfig = serde_json::from_str(settings)?;
        Ok(Seasonal::new(config)?.fit_series(&time, &values, &Covariates::new())?)
    };
    let model = train()?;
    let fit = best(train)?;
    let predict = best(|| Ok(model.predict(&future, &Covariates::new())?))?;
    Ok(format!(r#"{{"fit": {fit}, "predict": {predict}}}"#))
}
