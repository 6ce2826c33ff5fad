//! Which device runs the network.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    Compute, LstmAutoencoderError,
    kernel::{self, Scratch, Sizes, Windows},
    network::Network,
    series::Batch,
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
