//! The place of each weight in the flat vector of all of them, and all of them packed.

use super::{layer::Packed, panel::padded};

/// Sizes of an autoencoder's layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Values per step that it reads.
    pub(crate) inputs: usize,
    /// Values per step that it reconstructs.
    pub(crate) outputs: usize,
    pub(crate) encoder: Vec<usize>,
    pub(crate) bottleneck: usize,
    pub(crate) decoder: Vec<usize>,
}

impl Sizes {
    /// Inputs and hidden units of the LSTM layers, encoder first.
    pub(crate) fn layers(&self) -> Vec<[usize; 2]> {
        let mut layers = Vec::with_capacity(self.encoder.len() + self.decoder.len());
        for (first, sizes) in [(self.inputs, &self.encoder), (self.bottleneck, &self.decoder)] {
            let mut inputs = first;
            for &hidden in sizes {
                layers.push([inputs, hidden]);
                inputs = hidden;
            }
        }
        layers
    }

    /// Units of the encoder's last layer.
    pub(crate) fn encoded(&self) -> usize {
        *self.encoder.last().expect("an encoder has a layer")
    }

    /// Units of the decoder's last layer.
    pub(crate) fn decoded(&self) -> usize {
        *self.decoder.last().expect("a decoder has a layer")
    }

    /// Name and shape of every weight in the order of the flat vector; vectors have one row.
    pub(crate) fn tensors(&self) -> Vec<(String, [usize; 2])> {
        let mut tensors = Vec::new();
        let layers = self.layers();
        let (encoder, decoder) = layers.split_at(self.encoder.len());
        let lstm = |tensors: &mut Vec<_>, part: &str, layers: &[[usize; 2]]| {
            for (n, [inputs, hidden]) in layers.iter().enumerate() {
                tensors.push((format!("{part}.{n}.input"), [*inputs, 4 * hidden]));
                tensors.push((format!("{part}.{n}.recurrent"), [*hidden, 4 * hidden]));
                tensors.push((format!("{part}.{n}.bias"), [1, 4 * hidden]));
            }
        };
        let dense = |tensors: &mut Vec<_>, part: &str, [inputs, outputs]: [usize; 2]| {
            tensors.push((format!("{part}.weight"), [inputs, outputs]));
            tensors.push((format!("{part}.bias"), [1, outputs]));
        };
        lstm(&mut tensors, "encoder", encoder);
        dense(&mut tensors, "bottleneck", [self.encoded(), self.bottleneck]);
        lstm(&mut tensors, "decoder", decoder);
        dense(&mut tensors, "output", [self.decoded(), self.outputs]);
        tensors
    }

    /// Number of weights.
    pub(crate) fn len(&self) -> usize {
        self.tensors().iter().map(|(_, [rows, columns])| rows * columns).sum()
    }

    /// Cuts a flat vector into its tensors.
    pub(crate) fn split<'a>(&self, mut flat: &'a [f32]) -> Vec<&'a [f32]> {
        let cut = |(_, [rows, columns]): (String, [usize; 2])| {
            let (head, tail) = flat.split_at(rows * columns);
            flat = tail;
            head
        };
        self.tensors().into_iter().map(cut).collect()
    }
}

/// A dense layer; weights transposed: a row per output, padded to whole groups of units.
#[derive(Debug, Default)]
pub(crate) struct PackedDense {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl PackedDense {
    fn pack(&mut self, [inputs, outputs]: [usize; 2], weight: &[f32], bias: &[f32]) {
        (self.inputs, self.outputs) = (inputs, outputs);
        self.bias = bias.to_vec();
        let width = padded(inputs);
        self.weight.clear();
        self.weight.resize(outputs * width, 0.0);
        for (output, row) in self.weight.chunks_exact_mut(width).enumerate() {
            for (input, value) in row[..inputs].iter_mut().enumerate() {
                *value = weight[input * outputs + output];
            }
        }
    }
}

/// All weights in the order in which the kernel reads them.
#[derive(Debug, Default)]
pub(crate) struct PackedWeights {
    /// The weights that were packed, and whether for training too.
    packed: Option<(Sizes, bool)>,
    flat: Vec<f32>,
    pub(crate) layers: Vec<Packed>,
    pub(crate) bottleneck: PackedDense,
    pub(crate) output: PackedDense,
}

impl PackedWeights {
    /// Packs a flat vector; `back` for training too. The same one again costs next to nothing: for a window alone packing
    /// would take as long as a fifth of its pass.
    pub(crate) fn pack(&mut self, sizes: &Sizes, flat: &[f32], back: bool) {
        if self.packed.as_ref().is_some_and(|(s, b)| s == sizes && *b >= back) && same(&self.flat, flat) {
            return;
        }
        self.packed = Some((sizes.clone(), back));
        self.flat.clear();
        self.flat.extend_from_slice(flat);
        let parts = sizes.split(flat);
        let layers = sizes.layers();
        self.layers.resize_with(layers.len(), Packed::default);
        let (encoder, rest) = parts.split_at(3 * sizes.encoder.len());
        let (bottleneck, rest) = rest.split_at(2);
        let (decoder, output) = rest.split_at(3 * sizes.decoder.len());
        let kernels = encoder.chunks_exact(3).chain(decoder.chunks_exact(3));
        for ((layer, shape), parts) in self.layers.iter_mut().zip(layers).zip(kernels) {
            layer.pack(shape, [parts[0], parts[1], parts[2]], back);
        }
        self.bottleneck.pack([sizes.encoded(), sizes.bottleneck], bottleneck[0], bottleneck[1]);
        self.output.pack([sizes.decoded(), sizes.outputs], output[0], output[1]);
    }
}

/// Bit by bit, without a branch per value.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a.to_bits() ^ b.to_bits())) == 0
}
