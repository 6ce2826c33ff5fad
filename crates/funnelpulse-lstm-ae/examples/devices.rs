//! Trains and scores the autoencoder on every device that this build has, and prints a table of times.
//!
//! `cargo run --release -p funnelpulse-lstm-ae --features wgpu --example devices -- [WINDOWS BATCH EPOCHS]`
//!
//! The network is the plain one of the benchmarks: 64,227 weights, windows of 168 x 3. `devices.py` in
//! `benches/peers/lstm-ae` measures `PyTorch` on the same series.

use std::{env, error::Error, time::Instant};

use funnelpulse_core::{Columns, FittedDetector, Frame, Timestamp};
use funnelpulse_lstm_ae::{Compute, LstmAutoencoder, LstmAutoencoderConfig, LstmAutoencoderModel, Transform};
use ndarray::{Array1, Array2};

const COLUMNS: usize = 3;
/// Passes of scoring, of which the fastest counts: the first compiles kernels.
const PASSES: usize = 3;

/// Three hourly metrics with a daily and a weekly rhythm and noise that is the same everywhere.
fn series(rows: usize) -> Result<Frame, Box<dyn Error>> {
    let value = |(hour, column): (usize, usize)| {
        let (h, c) = (hour as f64, column as f64);
        let day = (std::f64::consts::TAU * (h - 8.0 + c) / 24.0).sin();
        let week = if hour / 24 % 7 >= 5 { 0.7 } else { 1.0 };
        let noise = ((hour * 7919 + column * 104_729) % 1009) as f64 / 1009.0 - 0.5;
        (1.0 + 0.6 * day) * week + 0.2 * noise
    };
    let time = (0..rows).map(|hour| Timestamp::from_seconds(3600 * hour as i64)).collect();
    Ok(Frame::new(time, Columns::new(["a", "b", "c"])?, Array2::from_shape_fn((rows, COLUMNS), value))?)
}

/// Every window is trained on, none validates.
fn config(compute: Compute, batch_size: usize, epochs: usize) -> LstmAutoencoderConfig {
    LstmAutoencoderConfig {
        compute,
        batch_size,
        epochs,
        stride: 1,
        max_windows: 1 << 20,
        clip_norm: None,
        validation_share: 0.0,
        contamination: None,
        calendar: false,
        blind: false,
        corruption: 0.0,
        transform: Transform::Linear,
        ..Default::default()
    }
}

/// The devices of this build; the CPU's kernel is always the first.
fn devices() -> Vec<(&'static str, Compute)> {
    let all = [("CPU, fused", Compute::Fused), ("wgpu", Compute::Wgpu), ("cuda", Compute::Cuda)];
    let built = |(_, compute): &(_, Compute)| LstmAutoencoder::new(config(*compute, 1, 1)).is_ok();
    all.into_iter().filter(built).collect()
}

/// Seconds of the fastest epoch, and the model. The first epoch also compiles kernels.
fn train(frame: &Frame, config: LstmAutoencoderConfig) -> Result<(f64, LstmAutoencoderModel), Box<dyn Error>> {
    let mut ends = vec![];
    let begun = Instant::now();
    let mut tick = |_: &_| ends.push(begun.elapsed().as_secs_f64());
    let model = LstmAutoencoder::new(config)?.fit_with_progress(&[frame.view()], &mut tick)?;
    let epoch = ends.windows(2).map(|end| end[1] - end[0]).fold(f64::INFINITY, f64::min);
    Ok((epoch, model))
}

/// Seconds of the fastest pass, and the scores.
fn score(frame: &Frame, model: &LstmAutoencoderModel) -> Result<(f64, Array1<f64>), Box<dyn Error>> {
    let (mut best, mut scores) = (f64::INFINITY, Array1::default(0));
    for _ in 0..PASSES {
        let begun = Instant::now();
        scores = model.detect(frame.view())?.into_score();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok((best, scores))
}

#[expect(clippy::print_stdout, reason = "a program that prints what it measured")]
fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [windows, batch, epochs] = numbers.try_into().unwrap_or([512, 32, 3]);
    let frame = series(windows + LstmAutoencoderConfig::default().sequence_length - 1)?;
    println!("{windows} windows in batches of {batch}, {epochs} epochs\n");
    println!(
        "| device | an epoch, s | sequences/s | scoring, s | sequences/s | last loss | scores differ by | all, s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, compute) in devices() {
        let begun = Instant::now();
        let (epoch, model) = train(&frame, config(compute, batch, epochs))?;
        let (scoring, scores) = score(&frame, &model)?;
        // The same weights on the CPU.
        let (_, expected) = score(&frame, &model.on(Compute::Fused)?)?;
        let differences = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b);
        let worst = differences.filter(|d| !d.is_nan()).fold(0.0, f64::max);
        let loss = model.history().last().map_or(f32::NAN, |loss| loss.training);
        println!(
            "| {name} | {epoch:.3} | {:.0} | {scoring:.3} | {:.0} | {loss:.4} | {worst:.1e} | {:.1} |",
            windows as f64 / epoch,
            windows as f64 / scoring,
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
