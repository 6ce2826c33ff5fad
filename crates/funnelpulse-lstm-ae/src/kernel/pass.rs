//! The whole autoencoder for some of a batch's windows, forward and back.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instruction set")]

use pulp::{Simd, WithSimd};

use super::{
    CHUNK,
    buffer::Buffer,
    dropout::Dropout,
    layer::{LayerGradient, Scratch, Source, Span, Trace, Upper},
    panel::{gate_column, padded},
    tile::Rows,
    weights::{PackedDense, PackedWeights, Sizes},
};

/// Windows of a batch: `rows x steps x values`, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows<'a> {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    /// The input of the encoder.
    pub(crate) inputs: &'a [f32],
    /// The target of the decoder, and the weight of each value.
    pub(crate) targets: Option<(&'a [f32], &'a [f32])>,
}

/// Everything that one pass needs, kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    inputs: Buffer,
    traces: Vec<Trace>,
    scratch: Scratch,
    code: Buffer,
    d_code: Buffer,
    d_encoded: Buffer,
    d_sequence: [Buffer; 2],
    pub(crate) outputs: Vec<f32>,
    /// Sum of weighted squared errors.
    pub(crate) loss: f64,
    layers: Vec<LayerGradient>,
    bottleneck: DenseGradient,
    output: DenseGradient,
}

#[derive(Debug, Default)]
struct DenseGradient {
    /// A row per output, as in [`PackedDense`].
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// One pass as something that `pulp` compiles for each instruction set.
pub(crate) struct Pass<'a> {
    pub(crate) weights: &'a PackedWeights,
    pub(crate) encoder_layers: usize,
    pub(crate) windows: Windows<'a>,
    /// Number of the first window, for dropout.
    pub(crate) first_row: usize,
    pub(crate) dropout: Option<Dropout>,
    /// The factor of weighted squared errors before they are differentiated; `None` for no gradients.
    pub(crate) backward: Option<f32>,
    pub(crate) work: &'a mut Workspace,
}

/// Windows of one series, each a slot after the one before, of which only the last step is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sliding<'a> {
    pub(crate) steps: usize,
    /// Number of windows.
    pub(crate) rows: usize,
    /// The inputs of `rows + steps - 1` slots.
    pub(crate) slots: &'a [f32],
    /// The inputs of the last step of each window, where it reads something else there.
    pub(crate) last: Option<&'a [f32]>,
}

impl<'a> Sliding<'a> {
    /// The same windows, some at a time, of so many inputs per slot.
    pub(super) fn chunks(self, width: usize) -> impl Iterator<Item = Self> + use<'a> {
        let Self { steps, rows, slots, last } = self;
        let chunk = move |first: usize| {
            let rows = CHUNK.min(rows - first);
            let last = last.map(|last| &last[first * width..][..rows * width]);
            Self { steps, rows, slots: &slots[first * width..][..(rows + steps - 1) * width], last }
        };
        (0..rows).step_by(CHUNK).map(chunk)
    }
}

/// The last steps of some windows.
pub(crate) struct LastSteps<'a> {
    pub(crate) weights: &'a PackedWeights,
    pub(crate) encoder_layers: usize,
    pub(crate) windows: Sliding<'a>,
    /// Its outputs are `rows x outputs`.
    pub(crate) work: &'a mut Workspace,
}

/// What the first layer of the encoder reads.
#[derive(Clone, Copy)]
enum Inputs<'a> {
    /// The inputs in the workspace.
    Windows,
    Sliding(Sliding<'a>),
}

impl WithSimd for LastSteps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { weights, encoder_layers, windows, work } = self;
        let Sliding { steps, rows, .. } = windows;
        let span = Span { steps, rows, first_row: 0 };
        through_layers(simd, weights, encoder_layers, Inputs::Sliding(windows), span, None, false, work);
        let outputs = weights.output.outputs;
        work.outputs.resize(rows * outputs, 0.0);
        let last = weights.layers.len() - 1;
        let top = output_of(&work.traces[last], &weights.layers[last]).from((steps - 1) * rows);
        for (row, output) in work.outputs.chunks_exact_mut(outputs).enumerate() {
            weights.output.forward(padded_row(top, row), output);
        }
    }
}

/// All LSTM layers and the bottleneck between them, forward.
#[expect(clippy::too_many_arguments, reason = "what a pass reads, writes and keeps apart")]
#[inline(always)]
fn through_layers<S: Simd>(
    simd: S,
    weights: &PackedWeights,
    encoder_layers: usize,
    inputs: Inputs<'_>,
    span: Span,
    dropout: Option<Dropout>,
    keep: bool,
    work: &mut Workspace,
) {
    let Span { steps, rows, .. } = span;
    let (count, width) = (weights.layers.len(), weights.layers[0].inputs);
    work.traces.resize_with(count, Trace::default);
    let dropout = |layer: usize| of_layer(dropout, layer, count);
    for layer in 0..encoder_layers {
        let (done, traces) = work.traces.split_at_mut(layer);
        let (packed, trace) = (&weights.layers[layer], &mut traces[0]);
        let data = match (done.last(), inputs) {
            (Some(below), _) => output_of(below, &weights.layers[layer - 1]),
            (None, Inputs::Windows) => Rows { data: &work.inputs, stride: width, width },
            (None, Inputs::Sliding(Sliding { slots, last, .. })) => {
                let rows = |data| Rows { data, stride: width, width };
                packed.forward_sliding(simd, rows(slots), last.map(rows), span, trace, &mut work.scratch);
                continue;
            }
        };
        packed.forward(simd, Source::Sequence(data), span, dropout(layer), keep, trace, &mut work.scratch);
    }
    let last = encoder_layers - 1;
    let encoded = output_of(&work.traces[last], &weights.layers[last]).from((steps - 1) * rows);
    let code_width = weights.bottleneck.outputs;
    work.code.resize(rows * code_width);
    for (row, code) in work.code.chunks_exact_mut(code_width).enumerate() {
        weights.bottleneck.forward(padded_row(encoded, row), code);
        for value in code {
            // As `max` but NaN stays.
            *value = if *value < 0.0 { 0.0 } else { *value };
        }
    }
    let code = Rows { data: &work.code, stride: code_width, width: code_width };
    for layer in encoder_layers..count {
        let (done, traces) = work.traces.split_at_mut(layer);
        let source = if layer == encoder_layers {
            Source::Constant(code)
        } else {
            Source::Sequence(output_of(&done[layer - 1], &weights.layers[layer - 1]))
        };
        let trace = &mut traces[0];
        weights.layers[layer].forward(simd, source, span, dropout(layer), keep, trace, &mut work.scratch);
    }
}

/// The dropout of a layer: the last has none.
#[inline(always)]
fn of_layer(dropout: Option<Dropout>, layer: usize, count: usize) -> Option<Dropout> {
    if layer + 1 == count { None } else { dropout.map(|d| d.of_layer(layer)) }
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[expect(clippy::too_many_lines, reason = "one pass through the network, there and back")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Windows { steps, rows, inputs, targets } = self.windows;
        let span = Span { steps, rows, first_row: self.first_row };
        let weights = self.weights;
        let count = weights.layers.len();
        let work = self.work;
        let width = weights.layers[0].inputs;
        transpose(inputs, [rows, steps, width], &mut work.inputs);
        let keep = self.backward.is_some();
        through_layers(simd, weights, self.encoder_layers, Inputs::Windows, span, self.dropout, keep, work);
        let dropout = |layer: usize| of_layer(self.dropout, layer, count);
        let code_width = weights.bottleneck.outputs;
        let last = self.encoder_layers - 1;

        // The output layer, and the loss where there is something to compare with.
        let outputs = weights.output.outputs;
        let top = output_of(&work.traces[count - 1], &weights.layers[count - 1]);
        work.outputs.resize(rows * steps * outputs, 0.0);
        for step in 0..steps {
            for row in 0..rows {
                let at = (row * steps + step) * outputs;
                weights.output.forward(padded_row(top, step * rows + row), &mut work.outputs[at..][..outputs]);
            }
        }
        let Some((targets, counts)) = targets else { return };
        let mut loss = 0.0;
        for ((output, target), count) in work.outputs.iter().zip(targets).zip(counts) {
            // A value that does not count may be anything.
            if *count > 0.0 {
                loss += f64::from(*count) * f64::from(output - target).powi(2);
            }
        }
        work.loss = loss;
        let Some(scale) = self.backward else { return };

        // Back.
        work.layers.resize_with(count, LayerGradient::default);
        for (gradient, layer) in work.layers.iter_mut().zip(&weights.layers) {
            let columns = 4 * layer.width();
            for (part, depth) in
                [(&mut gradient.input, layer.inputs), (&mut gradient.recurrent, layer.hidden), (&mut gradient.bias, 1)]
            {
                part.resize(depth * columns);
                part.fill(0.0);
            }
        }
        work.output.clear(&weights.output);
        work.bottleneck.clear(&weights.bottleneck);
        let [d_upper, d_lower] = &mut work.d_sequence;
        let top_width = top.stride;
        d_upper.resize(steps * rows * top_width);
        for (place, d_row) in d_upper.chunks_exact_mut(top_width).enumerate() {
            let (step, row) = (place / rows, place % rows);
            let at = (row * steps + step) * outputs;
            d_row.fill(0.0);
            for output in 0..outputs {
                let count = counts[at + output];
                if count > 0.0 {
                    let d = scale * count * (work.outputs[at + output] - targets[at + output]);
                    weights.output.backward(output, d, padded_row(top, place), d_row, &mut work.output);
                }
            }
        }
        for layer in (self.encoder_layers + 1..count).rev() {
            let source = Source::Sequence(output_of(&work.traces[layer - 1], &weights.layers[layer - 1]));
            let upper = Upper::Each(&*d_upper);
            let below = Some((&mut *d_lower, dropout(layer - 1)));
            let (trace, gradient) = (&work.traces[layer], &mut work.layers[layer]);
            weights.layers[layer].backward(simd, source, upper, span, trace, gradient, below, &mut work.scratch);
            std::mem::swap(d_upper, d_lower);
        }
        let layer = self.encoder_layers;
        let code = Rows { data: &work.code, stride: code_width, width: code_width };
        let (trace, gradient) = (&work.traces[layer], &mut work.layers[layer]);
        let (upper, below) = (Upper::Each(&*d_upper), Some((&mut work.d_code, None)));
        weights.layers[layer].backward(
            simd,
            Source::Constant(code),
            upper,
            span,
            trace,
            gradient,
            below,
            &mut work.scratch,
        );

        let encoded = output_of(&work.traces[last], &weights.layers[last]).from((steps - 1) * rows);
        let encoded_width = encoded.stride;
        work.d_encoded.resize(rows * encoded_width);
        work.d_encoded.fill(0.0);
        let d_code_width = padded(code_width);
        for (row, d_row) in work.d_encoded.chunks_exact_mut(encoded_width).enumerate() {
            for output in 0..code_width {
                if work.code[row * code_width + output] > 0.0 {
                    let d = work.d_code[row * d_code_width + output];
                    weights.bottleneck.backward(output, d, padded_row(encoded, row), d_row, &mut work.bottleneck);
                }
            }
            if let Some(dropout) = dropout(last) {
                dropout.apply(span.place(steps - 1, row), d_row);
            }
        }
        for layer in (0..self.encoder_layers).rev() {
            let source = Source::Sequence(match layer.checked_sub(1) {
                None => Rows { data: &work.inputs, stride: width, width },
                Some(below) => output_of(&work.traces[below], &weights.layers[below]),
            });
            let upper = if layer == last { Upper::Last(&work.d_encoded) } else { Upper::Each(&*d_upper) };
            let below = layer.checked_sub(1).map(|below| (&mut *d_lower, dropout(below)));
            let (trace, gradient) = (&work.traces[layer], &mut work.layers[layer]);
            weights.layers[layer].backward(simd, source, upper, span, trace, gradient, below, &mut work.scratch);
            std::mem::swap(d_upper, d_lower);
        }
    }
}

impl Workspace {
    /// Adds the gradients of the last pass to a flat vector in the order of the weights.
    pub(crate) fn add_gradients(&self, sizes: &Sizes, flat: &mut [f32]) {
        let mut at = 0;
        let lstm = |flat: &mut [f32], layers: &[LayerGradient], shapes: &[[usize; 2]], at: &mut usize| {
            for (gradient, [inputs, hidden]) in layers.iter().zip(shapes) {
                for (part, depth) in [(&gradient.input, *inputs), (&gradient.recurrent, *hidden), (&gradient.bias, 1)] {
                    let columns = 4 * padded(*hidden);
                    for (k, row) in part.chunks_exact(columns).enumerate().take(depth) {
                        for (n, value) in row.iter().enumerate() {
                            if let Some(column) = gate_column(n, *hidden) {
                                flat[*at + k * 4 * hidden + column] += value;
                            }
                        }
                    }
                    *at += depth * 4 * hidden;
                }
            }
        };
        let dense = |flat: &mut [f32], gradient: &DenseGradient, [inputs, outputs]: [usize; 2], at: &mut usize| {
            for (output, row) in gradient.weight.chunks_exact(padded(inputs)).enumerate() {
                for (input, value) in row[..inputs].iter().enumerate() {
                    flat[*at + input * outputs + output] += value;
                }
            }
            *at += inputs * outputs;
            for (to, from) in flat[*at..][..outputs].iter_mut().zip(&gradient.bias) {
                *to += from;
            }
            *at += outputs;
        };
        let shapes = sizes.layers();
        let split = sizes.encoder.len();
        lstm(flat, &self.layers[..split], &shapes[..split], &mut at);
        dense(flat, &self.bottleneck, [sizes.encoded(), sizes.bottleneck], &mut at);
        lstm(flat, &self.layers[split..], &shapes[split..], &mut at);
        dense(flat, &self.output, [sizes.decoded(), sizes.outputs], &mut at);
    }
}

impl DenseGradient {
    fn clear(&mut self, layer: &PackedDense) {
        self.weight.clear();
        self.weight.resize(layer.weight.len(), 0.0);
        self.bias.clear();
        self.bias.resize(layer.outputs, 0.0);
    }
}

/// Partial sums side by side, so that none waits for another.
const LANES: usize = 16;

impl PackedDense {
    #[inline(always)]
    fn forward(&self, input: &[f32], output: &mut [f32]) {
        for ((value, bias), weight) in
            output.iter_mut().zip(&self.bias).zip(self.weight.chunks_exact(padded(self.inputs)))
        {
            let mut sums = [0.0_f32; LANES];
            for (a, b) in input.chunks_exact(LANES).zip(weight.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    sums[lane] += a[lane] * b[lane];
                }
            }
            // In pairs: sixteen additions one after the other would take longer than the products.
            for half in [8, 4, 2, 1] {
                let (low, high) = sums.split_at_mut(half);
                low.iter_mut().zip(&high[..half]).for_each(|(low, high)| *low += high);
            }
            *value = bias + sums[0];
        }
    }

    /// Adds the gradients that come from output `index` having gradient `d`.
    #[inline(always)]
    fn backward(&self, index: usize, d: f32, input: &[f32], d_input: &mut [f32], gradient: &mut DenseGradient) {
        let width = padded(self.inputs);
        let weight = &self.weight[index * width..][..width];
        let d_weight = &mut gradient.weight[index * width..][..width];
        for (((d_input, d_weight), input), weight) in d_input.iter_mut().zip(d_weight).zip(input).zip(weight) {
            *d_input += d * weight;
            *d_weight += d * input;
        }
        gradient.bias[index] += d;
    }
}

/// The output of a layer for the next one: after dropout where there is one.
#[inline(always)]
fn output_of<'a>(trace: &'a Trace, layer: &super::layer::Packed) -> Rows<'a> {
    let data = if trace.dropped.is_empty() { &trace.hidden } else { &trace.dropped };
    Rows { data, stride: layer.width(), width: layer.hidden }
}

#[inline(always)]
fn padded_row(rows: Rows<'_>, index: usize) -> &[f32] {
    &rows.data[index * rows.stride..][..rows.stride]
}

/// From `rows x steps x values` to `steps x rows x values`.
#[inline(always)]
fn transpose(from: &[f32], [rows, steps, width]: [usize; 3], to: &mut Buffer) {
    to.resize(rows * steps * width);
    for (place, to) in to.chunks_exact_mut(width).enumerate() {
        let (step, row) = (place / rows, place % rows);
        to.copy_from_slice(&from[(row * steps + step) * width..][..width]);
    }
}
