//! Which device runs the network.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    Compute, LstmAutoencoderError,
    kernel::{self, Scratch, Sizes, Sliding, Windows},
    network::Network,
    series::{Batch, Cutter, Series},
};

/// The device of a choice, or why this build has none.
pub(crate) fn device(compute: Compute) -> Result<Device, LstmAutoencoderError> {
    match compute {
        #[cfg(feature = "flex")]
        Compute::Fused | Compute::Plain => Ok(Device::flex()),
        #[cfg(not(feature = "flex"))]
        Compute::Fused => Err(LstmAutoencoderError::Compute { asked: "fused", feature: "flex" }),
        #[cfg(not(feature = "flex"))]
        Compute::Plain => Err(LstmAutoencoderError::Compute { asked: "plain", feature: "flex" }),
        #[cfg(feature = "wgpu")]
        Compute::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(feature = "wgpu"))]
        Compute::Wgpu => Err(LstmAutoencoderError::Compute { asked: "wgpu", feature: "wgpu" }),
        #[cfg(feature = "cuda")]
        Compute::Cuda => Ok(Device::cuda(0)),
        #[cfg(not(feature = "cuda"))]
        Compute::Cuda => Err(LstmAutoencoderError::Compute { asked: "cuda", feature: "cuda" }),
    }
}

/// Most windows of a batch that is only scored. A GPU takes as long for one as for hundreds, since every step of time
/// waits for the one before; 2,048 windows of 168 steps of 64 units are 88 MB, within the 128 MiB that `WebGPU` allows
/// everywhere.
pub(crate) fn most_windows(compute: Compute) -> usize {
    match compute {
        Compute::Fused | Compute::Plain => 256,
        Compute::Wgpu | Compute::Cuda => 2048,
    }
}

/// Tensors of a batch: inputs, targets and counts.
pub(crate) fn tensors(sizes: &Sizes, batch: &Batch, device: &Device) -> [Tensor<3>; 3] {
    let steps = batch.targets.len() / (batch.rows * sizes.outputs);
    let tensor = |values: &[f32], width: usize| {
        Tensor::from_data(TensorData::new(values.to_vec(), [batch.rows, steps, width]), device)
    };
    [tensor(&batch.inputs, sizes.inputs), tensor(&batch.targets, sizes.outputs), tensor(&batch.counts, sizes.outputs)]
}

/// Reconstructions of a batch: windows x steps x outputs.
pub(crate) fn reconstruct(
    compute: Compute,
    sizes: &Sizes,
    weights: &[f32],
    batch: &Batch,
    scratch: &Scratch,
) -> Result<Vec<f32>, LstmAutoencoderError> {
    if compute == Compute::Fused {
        let steps = batch.inputs.len() / (batch.rows * sizes.inputs);
        let windows = Windows { steps, rows: batch.rows, inputs: &batch.inputs, targets: None };
        return Ok(kernel::reconstruct(sizes, weights, windows, scratch));
    }
    let device = device(compute)?;
    let [inputs, _, _] = tensors(sizes, batch, &device);
    let outputs = Network::from_flat(sizes, weights, &device).forward(inputs, 0.0);
    Ok(outputs.into_data().iter::<f32>().collect())
}

/// Reconstructions of the last row of each window of a series, which start in these slots, in order of time: windows x
/// outputs.
pub(crate) fn last_rows(
    compute: Compute,
    sizes: &Sizes,
    weights: &[f32],
    (cutter, series, starts): (&Cutter, &Series, &[usize]),
    scratch: &Scratch,
) -> Result<Vec<f32>, LstmAutoencoderError> {
    if compute == Compute::Fused {
        return Ok(last_rows_fused(sizes, weights, (cutter, series, starts), scratch));
    }
    let (outputs, mut last_rows) = (sizes.outputs, Vec::with_capacity(starts.len() * sizes.outputs));
    let mut batch = Batch::default();
    for starts in starts.chunks(Batch::room(sizes, cutter.length, most_windows(compute))) {
        batch.clear();
        for &start in starts {
            cutter.cut(series, start, &mut batch);
        }
        let windows = reconstruct(compute, sizes, weights, &batch, scratch)?;
        let windows = windows.chunks_exact(cutter.length * outputs);
        windows.for_each(|window| last_rows.extend_from_slice(&window[(cutter.length - 1) * outputs..]));
    }
    Ok(last_rows)
}

/// The same by the fused kernel: windows that start a slot after one another share what they read.
fn last_rows_fused(
    sizes: &Sizes,
    weights: &[f32],
    (cutter, series, starts): (&Cutter, &Series, &[usize]),
    scratch: &Scratch,
) -> Vec<f32> {
    let (Some(&first), Some(&last)) = (starts.first(), starts.last()) else { return Vec::new() };
    let (steps, width) = (cutter.length, sizes.inputs);
    let slots = cutter.inputs_of(series, first..last + steps, false);
    let last_steps = cutter.blind.then(|| cutter.inputs_of(series, first + steps - 1..last + steps, true));
    let run = |starts: &[usize]| {
        let (at, rows) = ((starts[0] - first) * width, starts.len());
        let slots = &slots[at..][..(rows + steps - 1) * width];
        Sliding { steps, rows, slots, last: last_steps.as_ref().map(|last| &last[at..][..rows * width]) }
    };
    let runs: Vec<Sliding<'_>> = starts.chunk_by(|a, b| a + 1 == *b).map(run).collect();
    kernel::last_steps(sizes, weights, &runs, scratch)
}
