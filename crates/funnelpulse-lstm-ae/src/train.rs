//! Training: epochs of shuffled windows, early stopping, checkpoints.

use std::{ops::Range, time::Instant};

use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{AdamConfig, GradientsParams, ModuleOptimizer},
    tensor::Tensor,
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{
    LstmAutoencoderConfig, LstmAutoencoderError,
    checkpoint::Checkpoint,
    engine,
    kernel::{Scratch, Sizes},
    network::{Network, first_weights},
    series::{Batch, Cutter, Series},
};

/// Losses of one epoch: mean squared errors in units of each column's spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLoss {
    /// Over the training windows, with dropout, while the weights changed.
    pub training: f32,
    /// Over the validation windows, after the epoch.
    pub validation: f32,
}

/// The progress of training; given to the callback of
/// [`fit_with_progress`](crate::LstmAutoencoder::fit_with_progress) after every epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingProgress {
    /// The epoch that was just finished, from 1 on.
    pub epoch: usize,
    /// Most epochs there will be.
    pub epochs: usize,
    /// Its losses.
    pub loss: EpochLoss,
    /// The epoch with the best validation loss so far.
    pub best_epoch: usize,
    /// Seconds since training started (or went on from a checkpoint).
    pub elapsed: f64,
    /// Seconds that are left if it runs to the last epoch.
    pub remaining: f64,
}

/// The input of training.
pub(crate) struct Task<'a> {
    pub(crate) config: &'a LstmAutoencoderConfig,
    pub(crate) sizes: &'a Sizes,
    pub(crate) cutter: &'a Cutter,
    pub(crate) series: &'a [Series],
    /// Starts of training windows by series, run by run.
    pub(crate) training: &'a [Vec<Range<usize>>],
    /// Series and start of the validation windows.
    pub(crate) validation: &'a [(usize, usize)],
    pub(crate) scratch: &'a Scratch,
}

/// Best weights and the losses of all epochs.
pub(crate) fn train(
    task: &Task<'_>,
    progress: &mut dyn FnMut(&TrainingProgress),
) -> Result<(Vec<f32>, Vec<EpochLoss>), LstmAutoencoderError> {
    let config = task.config;
    let device = engine::device(config.compute)?.autodiff();
    let identity = Checkpoint::identity(task);
    let restored = match &config.checkpoint {
        Some(path) => Checkpoint::read(path, identity)?.filter(|c| c.weights.len() == task.sizes.len()),
        None => None,
    };
    let mut state = restored.unwrap_or_else(|| Checkpoint::new(identity, first_weights(task.sizes, config.seed)));
    let mut network = Network::from_flat(task.sizes, &state.weights, &device);
    let mut optimizer = optimizer(config);
    if !state.optimizer.is_empty() {
        optimizer = state.restore_optimizer(optimizer, config.checkpoint.as_deref())?;
    }
    let begun = Instant::now();
    let first = state.history.len();
    let mut batch = Batch::default();
    for epoch in first..config.epochs {
        if epoch >= state.best_epoch + config.patience && epoch > 0 {
            break;
        }
        let mut rng = Pcg64::seed_from_u64(config.seed.wrapping_add((epoch as u64 + 1) << 32));
        let windows = epoch_windows(task, &mut rng);
        let mut total = 0.0;
        for (n, part) in windows.chunks(config.batch_size).enumerate() {
            batch.clear();
            for &(series, start) in part {
                task.cutter.cut(&task.series[series], start, &mut batch);
                if rng.random_bool(config.corruption) {
                    corrupt(task, series, &mut rng, &mut batch);
                }
            }
            let data = engine::tensors(task.sizes, &batch, &device);
            let seed = config.seed ^ ((epoch as u64 + 1) << 40) ^ (n as u64);
            let loss = batch_loss(task, &network, data, seed);
            let value = loss.clone().into_scalar::<f32>();
            if !value.is_finite() {
                return Err(diverged(config, epoch, value));
            }
            total += f64::from(value) * part.len() as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(config.learning_rate, network, gradients);
        }
        state.weights = network.to_flat();
        let training = (total / windows.len().max(1) as f64) as f32;
        let validation = if task.validation.is_empty() { training } else { validation_loss(task, &state.weights)? };
        if !(validation.is_finite() && state.weights.iter().all(|w| w.is_finite())) {
            return Err(diverged(config, epoch, validation));
        }
        let loss = EpochLoss { training, validation };
        if state.history.is_empty() || validation < state.best_loss {
            (state.best_epoch, state.best_loss) = (epoch + 1, validation);
            state.best.clone_from(&state.weights);
        }
        state.history.push(loss);
        if let Some(path) = &config.checkpoint {
            state.optimizer = Checkpoint::optimizer_bytes(&optimizer, path)?;
            state.write(path)?;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let (done, epochs) = (epoch + 1, config.epochs);
        let remaining = elapsed / (done - first) as f64 * (epochs - done) as f64;
        progress(&TrainingProgress { epoch: done, epochs, loss, best_epoch: state.best_epoch, elapsed, remaining });
    }
    Ok((state.best, state.history))
}

fn diverged(config: &LstmAutoencoderConfig, epoch: usize, loss: f32) -> LstmAutoencoderError {
    LstmAutoencoderError::Diverged { epoch: epoch + 1, loss, learning_rate: config.learning_rate }
}

fn optimizer(config: &LstmAutoencoderConfig) -> ModuleOptimizer {
    let clipping = config.clip_norm.map(|norm| GradientClippingConfig::Norm(norm as f32));
    AdamConfig::new().with_epsilon(1e-7).with_grad_clipping(clipping).init()
}

/// Windows of an epoch in random order: every run of starts from another first row on.
fn epoch_windows(task: &Task<'_>, rng: &mut Pcg64) -> Vec<(usize, usize)> {
    let stride = task.config.stride;
    let mut windows = Vec::new();
    for (series, runs) in task.training.iter().enumerate() {
        for run in runs {
            let first = run.start + rng.random_range(0..stride.min(run.len()));
            windows.extend((first..run.end).step_by(stride).map(|start| (series, start)));
        }
    }
    windows.shuffle(rng);
    windows.truncate(task.config.max_windows);
    windows
}

fn fill(task: &Task<'_>, windows: &[(usize, usize)], batch: &mut Batch) {
    batch.clear();
    for &(series, start) in windows {
        task.cutter.cut(&task.series[series], start, batch);
    }
}

/// Replaces a run of rows of the last window, up to half of it, by one from anywhere in the same series.
fn corrupt(task: &Task<'_>, series: usize, rng: &mut Pcg64, batch: &mut Batch) {
    let length = task.cutter.length;
    let run = rng.random_range(1..=length / 2);
    let first = rng.random_range(0..=length - run);
    let starts = &task.training[series];
    let other = starts[rng.random_range(0..starts.len())].clone();
    // A run of starts has a whole window behind each.
    let donor = rng.random_range(other.start..other.end + length - run);
    task.cutter.corrupt(&task.series[series], donor, first..first + run, batch);
}

fn batch_loss(task: &Task<'_>, network: &Network, data: [Tensor<3>; 3], seed: u64) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if task.config.compute == crate::Compute::Fused {
        let dropout = crate::kernel::Dropout::new(task.config.dropout, seed);
        let plan = crate::fused::Plan { sizes: task.sizes.clone(), dropout, scratch: task.scratch.clone() };
        return crate::fused::loss(network.flat(), data, plan);
    }
    let [inputs, _, _] = &data;
    inputs.device().seed(seed);
    network.loss(data, task.config.dropout)
}

fn validation_loss(task: &Task<'_>, weights: &[f32]) -> Result<f32, LstmAutoencoderError> {
    let mut batch = Batch::default();
    let (mut sum, mut total) = (0.0, 0.0);
    let room = Batch::room(task.sizes, task.cutter.length, engine::most_windows(task.config.compute));
    for part in task.validation.chunks(room) {
        fill(task, part, &mut batch);
        let outputs = engine::reconstruct(task.config.compute, task.sizes, weights, &batch, task.scratch)?;
        for ((output, target), count) in outputs.iter().zip(&batch.targets).zip(&batch.counts) {
            sum += f64::from(*count) * f64::from(output - target).powi(2);
            total += f64::from(*count);
        }
    }
    Ok((sum / f64::max(total, 1.0)) as f32)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use funnelpulse_core::FrameView;
    use funnelpulse_testing::noise_frame;

    use super::*;
    use crate::{Compute, scale::Scale};

    fn train_with(
        config: &LstmAutoencoderConfig,
        history: FrameView<'_>,
    ) -> Result<Vec<EpochLoss>, LstmAutoencoderError> {
        let cutter = Cutter::new(config);
        let series = [Series::of(history, &Scale::plain(2), funnelpulse_core::Timestamp::HOUR, 0)];
        let task = Task {
            config,
            sizes: &config.sizes(2),
            cutter: &cutter,
            series: &series,
            training: &[series[0].starts(cutter.length, 0..150)],
            validation: &[(0, 160), (0, 180)],
            scratch: &Scratch::default(),
        };
        train(&task, &mut |_| ()).map(|(_, history)| history)
    }

    /// A step size beyond what a configuration may say: within its bounds Adam's weights stay finite for any data.
    #[test]
    fn a_loss_that_is_no_number_is_an_error_and_leaves_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.bin");
        let history = noise_frame(200, 2, 1);
        for compute in [Compute::Fused, Compute::Plain] {
            let config = LstmAutoencoderConfig {
                compute,
                sequence_length: 12,
                encoder: vec![4],
                bottleneck: 2,
                decoder: vec![4],
                epochs: 3,
                learning_rate: 1e38,
                clip_norm: None,
                checkpoint: Some(path.clone()),
                ..Default::default()
            };
            match train_with(&config, history.view()) {
                Err(LstmAutoencoderError::Diverged { epoch: 1, loss, learning_rate: 1e38 }) => {
                    assert!(!loss.is_finite());
                }
                other => panic!("{compute:?}: {other:?}"),
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing to go on from");
            let sane = LstmAutoencoderConfig { learning_rate: 1e-3, ..config };
            assert_eq!(train_with(&sane, history.view()).unwrap().len(), 3);
            assert!(path.exists());
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn corrupted_windows_keep_their_targets_and_their_hidden_row() {
        let config = LstmAutoencoderConfig { sequence_length: 12, calendar: false, ..Default::default() };
        let frame = noise_frame(200, 2, 1);
        let scale = Scale::learn(frame.view().values(), &[false; 2]);
        let series = Series::of(frame.view(), &scale, funnelpulse_core::Timestamp::HOUR, 0);
        let cutter = Cutter::new(&config);
        let (mut whole, mut corrupted) = (Batch::default(), Batch::default());
        cutter.cut(&series, 30, &mut whole);
        cutter.cut(&series, 30, &mut corrupted);
        cutter.corrupt(&series, 100, 8..12, &mut corrupted);
        assert_eq!(corrupted.targets, whole.targets);
        assert_eq!(corrupted.counts, whole.counts);
        assert_eq!(corrupted.inputs[..16], whole.inputs[..16]);
        let donor: Vec<f32> = series.values[200..206].iter().map(|v| *v as f32).collect();
        assert_eq!(corrupted.inputs[16..22], donor);
        assert_eq!(corrupted.inputs[22..], [0.0; 2]);
    }
}
