//! The fused LSTM autoencoder for CPUs.
//!
//! A pass computes a chunk of a batch from the windows to the loss, and back to the gradients of all
//! weights, without a tensor library in between. Chunks always hold the same windows, on however
//! many threads they run, and their results are added up in their order: so the outcome is the same
//! for any number of threads.

#![cfg_attr(not(feature = "flex"), allow(dead_code, unused_imports, reason = "without a CPU device it scores only"))]

mod buffer;
mod dropout;
mod layer;
mod ops;
mod panel;
mod pass;
mod simd;
mod tile;
mod weights;

use std::sync::{Arc, Mutex};

use pulp::{Arch, WithSimd};
use rayon::prelude::*;

pub(crate) use dropout::Dropout;
use pass::{LastSteps, Pass, Workspace};
pub(crate) use pass::{Sliding, Windows};
use weights::PackedWeights;
pub(crate) use weights::Sizes;

/// Windows that are computed together: enough to use the registers, and few enough that two cores
/// share a batch of 32.
const CHUNK: usize = 16;

/// Memory of earlier passes that later ones use again. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch(Arc<Mutex<Pool>>);

#[derive(Debug, Default)]
struct Pool {
    workspaces: Vec<Workspace>,
    packed: Vec<PackedWeights>,
}

impl Scratch {
    fn with<T>(&self, work: impl FnOnce(&mut Pool) -> T) -> T {
        // A pass that panicked never gave its memory back, so what is in the pool is sound.
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Runs a pass in memory of the pool.
    fn with_workspace<T>(&self, pass: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut work = self.with(|pool| pool.workspaces.pop()).unwrap_or_default();
        let result = pass(&mut work);
        self.with(|pool| pool.workspaces.push(work));
        result
    }

    /// Runs passes with packed weights; `back` for training too.
    fn with_packed<T>(
        &self,
        sizes: &Sizes,
        weights: &[f32],
        back: bool,
        passes: impl FnOnce(&PackedWeights) -> T,
    ) -> T {
        let mut packed = self.with(|pool| pool.packed.pop()).unwrap_or_default();
        packed.pack(sizes, weights, back);
        let result = passes(&packed);
        self.with(|pool| pool.packed.push(packed));
        result
    }
}

/// Runs compiled for the best instruction set there is.
fn dispatch<W: WithSimd>(work: W) -> W::Output {
    Arch::new().dispatch(work)
}

fn chunks<'a>(sizes: &Sizes, windows: Windows<'a>) -> Vec<(usize, Windows<'a>)> {
    let steps = windows.steps;
    (0..windows.rows)
        .step_by(CHUNK)
        .map(|first| {
            let rows = CHUNK.min(windows.rows - first);
            let part = |all: &'a [f32], width: usize| &all[first * steps * width..][..rows * steps * width];
            let inputs = part(windows.inputs, sizes.inputs);
            let targets = windows.targets.map(|(a, b)| (part(a, sizes.outputs), part(b, sizes.outputs)));
            (first, Windows { steps, rows, inputs, targets })
        })
        .collect()
}

fn run<T: Send>(
    sizes: &Sizes,
    weights: &[f32],
    windows: Windows<'_>,
    dropout: Option<Dropout>,
    backward: Option<f32>,
    scratch: &Scratch,
    finish: impl Fn(&mut Workspace) -> T + Sync,
) -> Vec<T> {
    let encoder_layers = sizes.encoder.len();
    scratch.with_packed(sizes, weights, backward.is_some(), |weights| {
        let chunk = |(first_row, windows): (usize, Windows<'_>)| {
            scratch.with_workspace(|work| {
                dispatch(Pass { weights, encoder_layers, windows, first_row, dropout, backward, work: &mut *work });
                finish(work)
            })
        };
        each(chunks(sizes, windows), chunk)
    })
}

/// Results in the order of the chunks.
fn each<C: Send, T: Send>(chunks: Vec<C>, pass: impl Fn(C) -> T + Sync + Send) -> Vec<T> {
    if chunks.len() > 1 { chunks.into_par_iter().map(pass).collect() } else { chunks.into_iter().map(pass).collect() }
}

/// Reconstructions of the last step of every window: `rows x outputs`, run by run.
pub(crate) fn last_steps(sizes: &Sizes, weights: &[f32], runs: &[Sliding<'_>], scratch: &Scratch) -> Vec<f32> {
    let chunks: Vec<Sliding<'_>> = runs.iter().flat_map(|run| run.chunks(sizes.inputs)).collect();
    let encoder_layers = sizes.encoder.len();
    let done = scratch.with_packed(sizes, weights, false, |weights| {
        let chunk = |windows: Sliding<'_>| {
            scratch.with_workspace(|work| {
                dispatch(LastSteps { weights, encoder_layers, windows, work: &mut *work });
                std::mem::take(&mut work.outputs)
            })
        };
        each(chunks, chunk)
    });
    done.concat()
}

/// Reconstructions: `rows x steps x outputs`.
pub(crate) fn reconstruct(sizes: &Sizes, weights: &[f32], windows: Windows<'_>, scratch: &Scratch) -> Vec<f32> {
    run(sizes, weights, windows, None, None, scratch, |work| std::mem::take(&mut work.outputs)).concat()
}

/// Mean squared error over the values that count; with `gradient`, its derivative by each weight too.
pub(crate) fn loss(
    sizes: &Sizes,
    weights: &[f32],
    windows: Windows<'_>,
    dropout: Option<Dropout>,
    gradient: bool,
    scratch: &Scratch,
) -> (f32, Vec<f32>) {
    let counts = windows.targets.map_or(&[][..], |(_, counts)| counts);
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum::<f64>().max(f64::MIN_POSITIVE);
    let backward = gradient.then_some((2.0 / total) as f32);
    let finish = |work: &mut Workspace| {
        let mut flat = vec![0.0; if gradient { weights.len() } else { 0 }];
        if gradient {
            work.add_gradients(sizes, &mut flat);
        }
        (work.loss, flat)
    };
    let mut parts = run(sizes, weights, windows, dropout, backward, scratch, finish).into_iter();
    let (mut sum, mut flat) = parts.next().unwrap_or_default();
    for (loss, part) in parts {
        sum += loss;
        flat.iter_mut().zip(&part).for_each(|(all, part)| *all += part);
    }
    ((sum / total) as f32, flat)
}

#[cfg(test)]
mod tests;
