//! One library on the windows of one series: `lstm-ae-peers WHO SERIES THREADS`, or `loss SERIES SEED EPOCHS`.

use std::{env, fs, time::Instant};

use funnelpulse_core::{Columns, Detector, FittedDetector, Frame, Timestamp};
use funnelpulse_lstm_ae::{LstmAutoencoder, LstmAutoencoderConfig, Transform};
use ndarray::Array2;

mod burn_peer;
mod candle_peer;
mod quality;

pub const STEPS: usize = 168;
pub const COLUMNS: usize = 3;
pub const BATCH: usize = 32;

/// Seconds: of the process on one thread, of the wall on more.
pub struct Clock {
    threads: usize,
    begun: Instant,
}

impl Clock {
    pub fn new(threads: usize) -> Self {
        Self { threads, begun: Instant::now() }
    }

    pub fn now(&self) -> f64 {
        if self.threads > 1 {
            return self.begun.elapsed().as_secs_f64();
        }
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }

    /// Best of `rounds`.
    pub fn best(&self, rounds: usize, mut work: impl FnMut()) -> f64 {
        let once = |_| {
            let start = self.now();
            work();
            self.now() - start
        };
        (0..rounds).map(once).fold(f64::INFINITY, f64::min)
    }
}

/// Windows that start at each row, one after the other: `n x STEPS x COLUMNS`.
pub fn windows(series: &[f32]) -> Vec<f32> {
    series.windows(STEPS * COLUMNS).step_by(COLUMNS).flatten().copied().collect()
}

/// Megabytes: `VmRSS` now, `VmHWM` at most so far.
pub fn memory(what: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(what)?.strip_prefix(':'));
    let kilobytes = line.and_then(|l| l.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

pub fn report(who: &str, train: f64, predict: f64, one: f64) {
    println!("{who}\t{train}\t{predict}\t{one}\t{}", memory("VmHWM"));
}

fn frame(series: &[f32]) -> Frame {
    let values: Vec<f64> = series.iter().map(|v| f64::from(*v)).collect();
    let rows = values.len() / COLUMNS;
    let time = (0..rows).map(|h| Timestamp::from_seconds(3600 * h as i64)).collect();
    let columns = Columns::new(["a", "b", "c"]).expect("three names");
    Frame::new(time, columns, Array2::from_shape_vec((rows, COLUMNS), values).expect("whole rows")).expect("valid")
}

fn ours(series: &[f32], clock: &Clock) {
    let frame = frame(series);
    let n = frame.nrows() - STEPS + 1;
    let config = LstmAutoencoderConfig {
        stride: 1,
        epochs: 4,
        validation_share: 0.0,
        contamination: None,
        calendar: false,
        blind: false,
        corruption: 0.0,
        transform: Transform::Linear,
        max_windows: 1 << 20,
        ..Default::default()
    };
    let mut ticks = vec![];
    let detector = LstmAutoencoder::new(config).expect("valid");
    let mut tick = |_: &_| ticks.push(clock.now());
    let model = detector.fit_with_progress(&[frame.view()], &mut tick).expect("trains");
    let epoch = ticks.windows(2).map(|t| t[1] - t[0]).fold(f64::INFINITY, f64::min);
    let predict = clock.best(5, || drop(model.detect(frame.view())));
    let single = frame.view().rows(0..STEPS);
    let one = clock.best(200, || drop(model.detect(single)));
    report("ours", n as f64 / epoch, n as f64 / predict, one * 1e3);
}

/// Losses after training as Keras is trained, for the table of quality.
fn loss(series: &[f32], seed: u64, epochs: usize) {
    let config = LstmAutoencoderConfig {
        stride: 1,
        epochs,
        patience: epochs,
        clip_norm: None,
        validation_share: 0.3,
        max_windows: 1 << 20,
        contamination: None,
        calendar: false,
        blind: false,
        corruption: 0.0,
        transform: Transform::Linear,
        seed,
        ..Default::default()
    };
    let frame = frame(series);
    let config = quality::changed(&config);
    let model = LstmAutoencoder::new(config).expect("valid").fit(frame.view()).expect("trains");
    let best = model.history().iter().map(|l| l.validation).fold(f32::INFINITY, f32::min);
    println!("{}\t{}", best, model.history().last().expect("an epoch").training);
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments[1] == "funnel" {
        return quality::funnel();
    }
    if arguments[1] == "score" {
        return quality::score(&arguments[2], arguments[3].parse().expect("a number of rows"));
    }
    let bytes = fs::read(&arguments[2]).expect("the series");
    let (values, _) = bytes.as_chunks::<4>();
    let series: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
    let number = |n: usize| arguments[n].parse::<usize>().expect("a number");
    let clock = Clock::new(number(3));
    match arguments[1].as_str() {
        "ours" => ours(&series, &clock),
        "burn" => burn_peer::run(&series, &clock),
        "candle" => candle_peer::run(&series, &clock),
        "loss" => loss(&series, number(3) as u64, number(4)),
        other => panic!("no library called {other}"),
    }
}
