use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

fn original() -> Sizes {
    Sizes { inputs: 3, outputs: 3, encoder: vec![64, 32], bottleneck: 32, decoder: vec![32, 64] }
}

fn numbers(n: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..n).map(|_| scale * (rng.random::<f32>() - 0.5)).collect()
}

/// The autoencoder in f64, written as the equations stand.
fn plain_loss(sizes: &Sizes, weights: &[f64], windows: Windows<'_>) -> f64 {
    let mut at = 0;
    let parts: Vec<&[f64]> = sizes
        .tensors()
        .iter()
        .map(|(_, [rows, columns])| {
            at += rows * columns;
            &weights[at - rows * columns..at]
        })
        .collect();
    let s = |x: f64| 1.0 / (1.0 + (-x).exp());
    let lstm = |parts: &[&[f64]], sequence: Vec<Vec<f64>>, hidden: usize| -> Vec<Vec<f64>> {
        let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
        sequence
            .into_iter()
            .map(|x| {
                let z: Vec<f64> = (0..4 * hidden)
                    .map(|n| {
                        let input: f64 = x.iter().enumerate().map(|(k, v)| v * parts[0][k * 4 * hidden + n]).sum();
                        let recurrent: f64 = h.iter().enumerate().map(|(k, v)| v * parts[1][k * 4 * hidden + n]).sum();
                        input + recurrent + parts[2][n]
                    })
                    .collect();
                for u in 0..hidden {
                    c[u] = s(z[hidden + u]) * c[u] + s(z[u]) * z[2 * hidden + u].tanh();
                    h[u] = s(z[3 * hidden + u]) * c[u].tanh();
                }
                h.clone()
            })
            .collect()
    };
    let dense = |weight: &[f64], bias: &[f64], x: &[f64]| -> Vec<f64> {
        let n = bias.len();
        (0..n).map(|j| bias[j] + x.iter().enumerate().map(|(k, v)| v * weight[k * n + j]).sum::<f64>()).collect()
    };
    let (targets, counts) = windows.targets.unwrap();
    let (mut sum, mut total) = (0.0, 0.0);
    for row in 0..windows.rows {
        let value = |step: usize, k: usize| f64::from(windows.inputs[(row * windows.steps + step) * sizes.inputs + k]);
        let mut sequence: Vec<Vec<f64>> =
            (0..windows.steps).map(|t| (0..sizes.inputs).map(|k| value(t, k)).collect()).collect();
        for (layer, &hidden) in sizes.encoder.iter().enumerate() {
            sequence = lstm(&parts[3 * layer..], sequence, hidden);
        }
        let first = 3 * sizes.encoder.len();
        let code = dense(parts[first], parts[first + 1], sequence.last().unwrap());
        let code: Vec<f64> = code.into_iter().map(|v| v.max(0.0)).collect();
        sequence = vec![code; windows.steps];
        for (layer, &hidden) in sizes.decoder.iter().enumerate() {
            sequence = lstm(&parts[first + 2 + 3 * layer..], sequence, hidden);
        }
        let last = parts.len() - 2;
        for (t, h) in sequence.iter().enumerate() {
            for (k, y) in dense(parts[last], parts[last + 1], h).into_iter().enumerate() {
                let at = (row * windows.steps + t) * sizes.outputs + k;
                sum += f64::from(counts[at]) * (y - f64::from(targets[at])).powi(2);
                total += f64::from(counts[at]);
            }
        }
    }
    sum / total
}

/// Sizes that fill no register, missing values, more windows than a chunk.
#[test]
fn gradients_are_those_of_finite_differences() {
    for (encoder, bottleneck, decoder, rows) in
        [(vec![5, 3], 4, vec![3, 5], 3), (vec![4], 3, vec![5], 21), (vec![4, 17, 3], 2, vec![5], 1)]
    {
        let sizes = Sizes { inputs: 4, outputs: 2, encoder, bottleneck, decoder };
        let steps = 11;
        let weights = numbers(sizes.len(), 1.4, 1);
        let inputs = numbers(rows * steps * sizes.inputs, 2.0, 2);
        let targets = numbers(rows * steps * sizes.outputs, 2.0, 3);
        let counts: Vec<f32> = (0..targets.len()).map(|i| if i % 7 == 3 { 0.0 } else { 1.0 }).collect();
        let windows = Windows { steps, rows, inputs: &inputs, targets: Some((&targets, &counts)) };
        let (value, gradient) = loss(&sizes, &weights, windows, None, true, &Scratch::default());
        let exact: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        assert!((f64::from(value) - plain_loss(&sizes, &exact, windows)).abs() < 1e-6);
        let (mut error, mut size) = (0.0, 0.0);
        for at in (0..weights.len()).step_by(1 + weights.len() / 400) {
            let mut moved = exact.clone();
            moved[at] = exact[at] + 1e-5;
            let up = plain_loss(&sizes, &moved, windows);
            moved[at] = exact[at] - 1e-5;
            let slope = (up - plain_loss(&sizes, &moved, windows)) / 2e-5;
            error += (f64::from(gradient[at]) - slope).powi(2);
            size += slope * slope;
        }
        let relative = (error / size).sqrt();
        assert!(relative < 2e-6, "{sizes:?}: relative distance {relative:e}");
    }
}

#[test]
fn windows_that_slide_end_as_windows_of_their_own_bit_for_bit() {
    for (encoder, decoder, rows) in [(vec![5], vec![4], 1), (vec![5, 3], vec![3, 17], 21), (vec![16], vec![16], 40)] {
        let sizes = Sizes { inputs: 4, outputs: 2, encoder, bottleneck: 3, decoder };
        let (steps, weights) = (7, numbers(sizes.len(), 1.4, 1));
        let (slots, hidden) = (numbers((rows + steps - 1) * 4, 2.0, 2), numbers(rows * 4, 2.0, 3));
        for last in [None, Some(&hidden[..])] {
            let run = Sliding { steps, rows, slots: &slots, last };
            let found = last_steps(&sizes, &weights, &[run], &Scratch::default());
            let mut inputs = Vec::new();
            for row in 0..rows {
                inputs.extend_from_slice(&slots[row * 4..][..(steps - usize::from(last.is_some())) * 4]);
                inputs.extend(last.iter().flat_map(|last| &last[row * 4..][..4]));
            }
            let windows = Windows { steps, rows, inputs: &inputs, targets: None };
            let whole = reconstruct(&sizes, &weights, windows, &Scratch::default());
            let ends: Vec<f32> = whole.chunks_exact(steps * 2).flat_map(|w| &w[(steps - 1) * 2..]).copied().collect();
            assert_eq!(found, ends);
        }
    }
}

/// With dropout the mask is fixed by the seed, so the loss is still a function of the weights; f32 and
/// large steps, hence the wide bound.
#[test]
fn gradients_with_dropout_are_those_of_the_dropped_network() {
    let sizes = Sizes { inputs: 2, outputs: 2, encoder: vec![6, 5], bottleneck: 4, decoder: vec![5, 6] };
    let (steps, rows) = (9, 5);
    let weights = numbers(sizes.len(), 1.4, 1);
    let inputs = numbers(rows * steps * 2, 2.0, 2);
    let counts = vec![1.0; inputs.len()];
    let windows = Windows { steps, rows, inputs: &inputs, targets: Some((&inputs, &counts)) };
    let scratch = Scratch::default();
    let dropout = Dropout::new(0.3, 9);
    let (value, gradient) = loss(&sizes, &weights, windows, dropout, true, &scratch);
    assert_ne!(value, loss(&sizes, &weights, windows, None, false, &scratch).0);
    assert_ne!(value, loss(&sizes, &weights, windows, Dropout::new(0.3, 10), false, &scratch).0);
    let size = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    // The derivative in random directions.
    for seed in 20..30 {
        let direction = numbers(weights.len(), 2.0, seed);
        let along = |by: f32| -> f64 {
            let moved: Vec<f32> = weights.iter().zip(&direction).map(|(w, d)| w + by * d).collect();
            f64::from(loss(&sizes, &moved, windows, dropout, false, &scratch).0)
        };
        let slope = (along(2e-3) - along(-2e-3)) / 4e-3;
        let dot: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
        assert!((slope - dot).abs() < 3e-3 * f64::from(size), "{slope} {dot} of {size}");
    }
}

#[test]
fn threads_and_chunks_change_nothing() {
    let sizes = original();
    let (steps, rows) = (12, 37);
    let weights = numbers(sizes.len(), 0.3, 1);
    let inputs = numbers(rows * steps * 3, 2.0, 2);
    let counts = vec![1.0; inputs.len()];
    let windows = Windows { steps, rows, inputs: &inputs, targets: Some((&inputs, &counts)) };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let scratch = Scratch::default();
            let first = loss(&sizes, &weights, windows, Dropout::new(0.2, 3), true, &scratch);
            // Memory of the first pass makes no difference to the second.
            assert_eq!(first, loss(&sizes, &weights, windows, Dropout::new(0.2, 3), true, &scratch));
            (first, reconstruct(&sizes, &weights, windows, &scratch))
        })
    };
    let one = on(1);
    assert_eq!(one, on(3));
    // A window alone is reconstructed as in company.
    let alone = Windows { rows: 1, inputs: &inputs[..steps * 3], targets: None, ..windows };
    assert_eq!(reconstruct(&sizes, &weights, alone, &Scratch::default()), one.1[..steps * 3]);
}

/// For measuring: `cargo test --release -p funnelpulse-lstm-ae speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures, does not test"]
fn speed() {
    let sizes = original();
    assert_eq!(sizes.len(), 64_227);
    let weights = numbers(sizes.len(), 0.2, 1);
    let (steps, rows) = (168, 32);
    let inputs = numbers(rows * steps * 3, 2.0, 2);
    let counts = vec![1.0; inputs.len()];
    let windows = Windows { steps, rows, inputs: &inputs, targets: Some((&inputs, &counts)) };
    let single = Windows { rows: 1, inputs: &inputs[..steps * 3], targets: None, ..windows };
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let scratch = Scratch::default();
            let best = |mut work: Box<dyn FnMut() + '_>| {
                (0..12)
                    .map(|_| {
                        let start = std::time::Instant::now();
                        for _ in 0..5 {
                            work();
                        }
                        start.elapsed().as_secs_f64() / 5.0
                    })
                    .fold(f64::INFINITY, f64::min)
            };
            let dropout = Dropout::new(0.2, 3);
            let train = best(Box::new(|| drop(loss(&sizes, &weights, windows, dropout, true, &scratch))));
            let predict = best(Box::new(|| drop(reconstruct(&sizes, &weights, windows, &scratch))));
            let one = best(Box::new(|| drop(reconstruct(&sizes, &weights, single, &scratch))));
            println!(
                "{threads} threads: train {:.0}/s, predict {:.0}/s, one window {:.3} ms",
                32.0 / train,
                32.0 / predict,
                1e3 * one
            );
        });
    }
}
