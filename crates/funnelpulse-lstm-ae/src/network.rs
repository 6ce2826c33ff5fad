//! The autoencoder as a module of burn's.

use burn::{
    module::{Module, Param, ParamId},
    nn::{Dropout, DropoutConfig, Linear, LstmConfig},
    tensor::{Device, Tensor, TensorData, activation},
};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use crate::kernel::Sizes;

/// Weights of one LSTM layer; columns are gate by gate: input, forget, cell, output.
#[derive(Module, Debug)]
pub(crate) struct LstmLayer {
    /// `inputs x 4 hidden`.
    input: Param<Tensor<2>>,
    /// `hidden x 4 hidden`.
    recurrent: Param<Tensor<2>>,
    /// `4 hidden`.
    bias: Param<Tensor<1>>,
}

/// Encoder, bottleneck, decoder and output layer.
#[derive(Module, Debug)]
pub(crate) struct Network {
    encoder: Vec<LstmLayer>,
    bottleneck: Linear,
    decoder: Vec<LstmLayer>,
    output: Linear,
}

/// Number, name, shape and values of one weight tensor.
type Part<'a> = (usize, ((String, [usize; 2]), &'a [f32]));

impl Network {
    /// A network with the weights of a flat vector in the order of [`Sizes::tensors`].
    pub(crate) fn from_flat(sizes: &Sizes, flat: &[f32], device: &Device) -> Self {
        let mut parts = sizes.tensors().into_iter().zip(sizes.split(flat)).enumerate();
        let mut next = || parts.next().expect("as many parts as the sizes name");
        // The same identities each time: the optimizer's record finds its parameters by them.
        let id = |n: usize| ParamId::from(n as u64 + 1);
        let matrix = |(n, ((_, shape), values)): Part<'_>| {
            let tensor = Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device);
            Param::initialized(id(n), tensor.set_require_grad(device.is_autodiff()))
        };
        let vector = |(n, (_, values)): Part<'_>| {
            let tensor = Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
            Param::initialized(id(n), tensor.set_require_grad(device.is_autodiff()))
        };
        let mut lstm = |_: &usize| LstmLayer { input: matrix(next()), recurrent: matrix(next()), bias: vector(next()) };
        let encoder = sizes.encoder.iter().map(&mut lstm).collect();
        let bottleneck = Linear { weight: matrix(next()), bias: Some(vector(next())) };
        let mut lstm = |_: &usize| LstmLayer { input: matrix(next()), recurrent: matrix(next()), bias: vector(next()) };
        let decoder = sizes.decoder.iter().map(&mut lstm).collect();
        let output = Linear { weight: matrix(next()), bias: Some(vector(next())) };
        Self { encoder, bottleneck, decoder, output }
    }

    /// All weights as one vector; gradients pass through.
    pub(crate) fn flat(&self) -> Tensor<1> {
        fn lstm(layer: &LstmLayer) -> [Tensor<1>; 3] {
            [layer.input.val().flatten(0, 1), layer.recurrent.val().flatten(0, 1), layer.bias.val()]
        }
        let dense = |layer: &Linear| {
            [Some(layer.weight.val().flatten(0, 1)), layer.bias.as_ref().map(Param::val)].into_iter().flatten()
        };
        let mut parts: Vec<Tensor<1>> = self.encoder.iter().flat_map(lstm).collect();
        parts.extend(dense(&self.bottleneck));
        parts.extend(self.decoder.iter().flat_map(lstm));
        parts.extend(dense(&self.output));
        Tensor::cat(parts, 0)
    }

    /// All weights as numbers.
    pub(crate) fn to_flat(&self) -> Vec<f32> {
        self.flat().into_data().iter::<f32>().collect()
    }

    /// Reconstruction by burn's own layers: `windows x steps x outputs` from `windows x steps x inputs`.
    /// `dropout` is 0 but for training.
    pub(crate) fn forward(&self, inputs: Tensor<3>, dropout: f64) -> Tensor<3> {
        let drop: Dropout = DropoutConfig::new(dropout).init();
        let [rows, steps, _] = inputs.dims();
        let mut sequence = inputs;
        for layer in &self.encoder {
            sequence = drop.forward(layer.forward(sequence));
        }
        let encoded: Tensor<2> = sequence.narrow(1, steps - 1, 1).squeeze_dim(1);
        let code = activation::relu(self.bottleneck.forward(encoded));
        let units = code.dims()[1];
        let mut sequence = code.unsqueeze_dim::<3>(1).expand([rows, steps, units]);
        for (n, layer) in self.decoder.iter().enumerate() {
            sequence = layer.forward(sequence);
            if n + 1 < self.decoder.len() {
                sequence = drop.forward(sequence);
            }
        }
        self.output.forward(sequence)
    }

    /// The loss of [`crate::fused::loss`] by burn's own layers.
    pub(crate) fn loss(&self, [inputs, targets, counts]: [Tensor<3>; 3], dropout: f64) -> Tensor<1> {
        let errors = self.forward(inputs, dropout) - targets;
        (errors.square() * counts.clone()).sum() / counts.sum()
    }
}

impl LstmLayer {
    /// Burn's `nn::Lstm` with these weights: views of them, so that gradients reach them.
    fn forward(&self, sequence: Tensor<3>) -> Tensor<3> {
        let [inputs, columns] = self.input.dims();
        let hidden = columns / 4;
        let device = sequence.device();
        let mut lstm = LstmConfig::new(inputs, hidden, true).init(&device);
        let forget = lstm.forget_gate.as_mut().expect("gates are not coupled");
        let gates = [&mut lstm.input_gate, forget, &mut lstm.cell_gate, &mut lstm.output_gate];
        for (gate, part) in gates.into_iter().enumerate() {
            let columns =
                |tensor: Tensor<2>| Param::initialized(ParamId::new(), tensor.narrow(1, gate * hidden, hidden));
            part.input_transform.weight = columns(self.input.val());
            part.hidden_transform.weight = columns(self.recurrent.val());
            let bias = self.bias.val().narrow(0, gate * hidden, hidden);
            part.input_transform.bias = Some(Param::initialized(ParamId::new(), bias));
            part.hidden_transform.bias = None;
        }
        lstm.forward(sequence, None).0
    }
}

/// First weights as Keras chooses them: kernels uniform (Glorot & Bengio 2010), recurrent kernels with
/// orthonormal rows (Saxe, `McClelland` & Ganguli 2014), biases 0 but for forget gates, 1 (Jozefowicz,
/// Zaremba & Sutskever 2015).
pub(crate) fn first_weights(sizes: &Sizes, seed: u64) -> Vec<f32> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut flat = Vec::with_capacity(sizes.len());
    for (name, [rows, columns]) in sizes.tensors() {
        if name.ends_with("recurrent") {
            flat.extend(orthonormal(rows, columns, &mut rng));
        } else if name.ends_with("bias") {
            let gates = name.starts_with("encoder") || name.starts_with("decoder");
            let forget = if gates { columns / 4..columns / 2 } else { 0..0 };
            flat.extend((0..columns).map(|n| f32::from(u8::from(forget.contains(&n)))));
        } else {
            let limit = (6.0 / (rows + columns) as f64).sqrt();
            flat.extend((0..rows * columns).map(|_| (limit * (2.0 * rng.random::<f64>() - 1.0)) as f32));
        }
    }
    flat
}

/// Random rows at right angles to each other, by Gram and Schmidt's method; `rows <= columns`.
fn orthonormal(rows: usize, columns: usize, rng: &mut Pcg64) -> Vec<f32> {
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(rows);
    while done.len() < rows {
        let mut row: Vec<f64> = (0..columns).map(|_| rng.sample(StandardNormal)).collect();
        // Twice, because once leaves rounding errors of the size of what was taken away.
        for _ in 0..2 {
            for other in &done {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for value in &mut row {
            *value /= norm;
        }
        done.push(row);
    }
    done.into_iter().flatten().map(|v| v as f32).collect()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::Gradients;

    use super::*;
    use crate::{
        fused::{self, Plan},
        kernel::Scratch,
    };

    fn compare<const D: usize>(param: &Param<Tensor<D>>, plain: &Gradients, fused: &Gradients) {
        let [plain, fused] = [plain, fused].map(|grads| param.val().grad(grads).expect("a gradient"));
        let norm = |t: Tensor<D>| t.square().sum().sqrt().into_scalar::<f32>();
        let (distance, size) = (norm(plain.clone() * 2.0 - fused), norm(plain));
        assert!(size > 0.0 && distance < 1e-4 * size, "{distance:e} of {size:e}");
    }

    #[test]
    fn both_paths_have_the_same_loss_and_gradients() {
        let device = Device::flex().autodiff();
        let sizes = Sizes { inputs: 4, outputs: 3, encoder: vec![20, 9], bottleneck: 6, decoder: vec![9, 20] };
        let weights = first_weights(&sizes, 3);
        let network = Network::from_flat(&sizes, &weights, &device);
        assert_eq!(network.to_flat(), weights);
        assert_eq!(network.num_params(), sizes.len());
        let (rows, steps) = (18, 13);
        let numbers = |width: usize, salt: f64| {
            let values: Vec<f32> = (0..rows * steps * width).map(|i| ((i as f64 * salt).sin()) as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [rows, steps, width]), &device)
        };
        let data = [numbers(4, 0.7), numbers(3, 0.31), numbers(3, 0.9).greater_elem(-0.5).float()];
        let plan = Plan { sizes, dropout: None, scratch: Scratch::default() };
        let plain = network.loss(data.clone(), 0.0);
        let fused = fused::loss(network.flat(), data, plan);
        let value = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
        assert!((value(&plain) - value(&fused)).abs() < 1e-6);
        let (plain, fused) = (plain.backward(), (fused * 2.0).backward());
        for layer in network.encoder.iter().chain(&network.decoder) {
            compare(&layer.input, &plain, &fused);
            compare(&layer.recurrent, &plain, &fused);
            compare(&layer.bias, &plain, &fused);
        }
        for layer in [&network.bottleneck, &network.output] {
            compare(&layer.weight, &plain, &fused);
            compare(layer.bias.as_ref().unwrap(), &plain, &fused);
        }
    }

    #[test]
    fn first_weights_are_as_documented() {
        let sizes = Sizes { inputs: 3, outputs: 3, encoder: vec![8], bottleneck: 4, decoder: vec![8] };
        let flat = first_weights(&sizes, 1);
        let parts = sizes.split(&flat);
        assert_eq!(parts[2][8..16], [1.0; 8]);
        assert_eq!(parts[2][..8], [0.0; 8]);
        let recurrent = Tensor::<1>::from_floats(parts[1], &Device::flex()).reshape([8, 32]);
        let product = recurrent.clone().matmul(recurrent.transpose());
        let error = (product - Tensor::eye(8, &Device::flex())).abs().max().into_scalar::<f32>();
        assert!(error < 1e-6, "{error}");
        assert!(parts[0].iter().all(|w| w.abs() <= (6.0_f32 / 35.0).sqrt()));
    }
}
