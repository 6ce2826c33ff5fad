//! One LSTM layer over all steps, forward and back (Hochreiter & Schmidhuber 1997; forget gates: Gers,
//! Schmidhuber & Cummins 2000).
use pulp::Simd;

use super::{
    buffer::Buffer,
    dropout::Dropout,
    ops::{AddRows, Drop, Gradients, Step},
    panel::{Panel, gate_column, padded},
    tile::{Outer, Product, Rows},
};

/// Steps whose gradients are added up at a time: those of their pre-activations stay in the cache.
const STRETCH: usize = 8;
/// Rows below which a step does not fill a tile.
const FEW: usize = 4;

/// Weights of a layer, packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    pub(super) input: Panel,
    pub(super) recurrent: Panel,
    bias: Panel,
    /// Transposed, for the way back.
    input_back: Panel,
    recurrent_back: Panel,
}

/// Gradients of a layer's weights, columns in the layout of the gates.
#[derive(Debug, Default)]
pub(crate) struct LayerGradient {
    pub(crate) input: Buffer,
    pub(crate) recurrent: Buffer,
    pub(crate) bias: Buffer,
}

/// The intermediate values of a layer's forward pass, by step, row and unit.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    gates: Buffer,
    cell: Buffer,
    tanh_cell: Buffer,
    pub(crate) hidden: Buffer,
    /// Hidden states after dropout, where there is one.
    pub(crate) dropped: Buffer,
}

/// The input of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// A row for each step and row.
    Sequence(Rows<'a>),
    /// The same rows in each step: their part is computed once.
    Constant(Rows<'a>),
}

/// The pre-activations of a layer's steps without what the step before brings.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// The same in each step, to which the input comes where it is a sequence.
    Same(&'a [f32], Option<Rows<'a>>),
    /// Those of a step lie `stride` values after those of the step before; those of the last step are `last`, where
    /// they are given.
    Ahead { all: &'a [f32], stride: usize, last: Option<&'a [f32]> },
}

impl<'a> Before<'a> {
    /// The `large` pre-activations of a step, and the input that is not yet among them.
    fn of_step(self, step: usize, Span { steps, rows, .. }: Span, large: usize) -> (&'a [f32], Option<Rows<'a>>) {
        match self {
            Self::Same(before, input) => (before, input.map(|data| data.from(step * rows))),
            Self::Ahead { last: Some(last), .. } if step + 1 == steps => (last, None),
            Self::Ahead { all, stride, .. } => (&all[step * stride..][..large], None),
        }
    }
}

/// The source of the gradient of the hidden states.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Upper<'a> {
    /// A row for each step and row.
    Each(&'a [f32]),
    /// Rows for the last step.
    Last(&'a [f32]),
}

/// Number of steps and rows, and the numbering of rows for dropout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) steps: usize,
    pub(crate) rows: usize,
    pub(crate) first_row: usize,
}

impl Span {
    /// The number of a row in a step, the same in whatever chunk it is computed.
    #[inline]
    pub(crate) fn place(self, step: usize, row: usize) -> usize {
        (self.first_row + row) * self.steps + step
    }
}

/// Memory for intermediate results of a layer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    before: Buffer,
    ahead: Buffer,
    zeros: Buffer,
    d_gates: Buffer,
    d_before: Buffer,
    d_hidden: Buffer,
    d_cell: Buffer,
}

impl Packed {
    /// Packs kernels of `inputs x 4 hidden` and `hidden x 4 hidden` and a bias; `back` for training too.
    pub(crate) fn pack(&mut self, [inputs, hidden]: [usize; 2], parts: [&[f32]; 3], back: bool) {
        (self.inputs, self.hidden) = (inputs, hidden);
        let [input, recurrent, bias] = parts;
        self.input.pack_gates(inputs, hidden, input);
        self.recurrent.pack_gates(hidden, hidden, recurrent);
        self.bias.pack_gates(1, hidden, bias);
        if back {
            let depth = 4 * padded(hidden);
            let at = |kernel: &[f32], k: usize, n: usize| {
                gate_column(k, hidden).map_or(0.0, |column| kernel[n * 4 * hidden + column])
            };
            self.input_back.pack(depth, inputs, |k, n| at(input, k, n));
            self.recurrent_back.pack(depth, hidden, |k, n| at(recurrent, k, n));
        }
    }

    /// Values per row of hidden states.
    pub(crate) fn width(&self) -> usize {
        padded(self.hidden)
    }

    /// Fills the hidden states of `trace` (and what is left of them after dropout); the rest of it only
    /// with `keep`.
    #[expect(clippy::too_many_arguments, reason = "what a layer reads, writes and keeps apart")]
    pub(crate) fn forward<S: Simd>(
        &self,
        simd: S,
        source: Source<'_>,
        span: Span,
        dropout: Option<Dropout>,
        keep: bool,
        trace: &mut Trace,
        scratch: &mut Scratch,
    ) {
        let Span { steps, rows, .. } = span;
        // Pre-activations that are the same in each step: the bias, and the input where it is constant.
        self.biases(rows, &mut scratch.before);
        let before = match source {
            Source::Constant(data) => {
                self.add_input(simd, data, rows, &mut scratch.before);
                Before::Same(&scratch.before, None)
            }
            // The weights of few rows are read faster than they are used: one product for all steps reads those of
            // the input a fourth as often.
            Source::Sequence(data) if rows < FEW => {
                self.biases(steps * rows, &mut scratch.ahead);
                self.add_input(simd, data, steps * rows, &mut scratch.ahead);
                Before::Ahead { all: &scratch.ahead, stride: rows * 4 * self.width(), last: None }
            }
            Source::Sequence(data) => Before::Same(&scratch.before, Some(data)),
        };
        self.steps(simd, before, span, dropout, keep, trace);
    }

    /// The same without dropout for windows that start a slot after one another, so that they share the inputs of
    /// `slots`. In the last step the input is `last`, where it is given.
    pub(crate) fn forward_sliding<S: Simd>(
        &self,
        simd: S,
        slots: Rows<'_>,
        last: Option<Rows<'_>>,
        span: Span,
        trace: &mut Trace,
        scratch: &mut Scratch,
    ) {
        let Span { steps, rows, .. } = span;
        self.biases(steps + rows - 1, &mut scratch.ahead);
        self.add_input(simd, slots, steps + rows - 1, &mut scratch.ahead);
        if let Some(last) = last {
            self.biases(rows, &mut scratch.before);
            self.add_input(simd, last, rows, &mut scratch.before);
        }
        // What is a step later in one window is a window later in the same step.
        let (all, last) = (&*scratch.ahead, last.map(|_| &*scratch.before));
        self.steps(simd, Before::Ahead { all, stride: 4 * self.width(), last }, span, None, false, trace);
    }

    /// Fills pre-activations of some rows with the bias.
    fn biases(&self, rows: usize, into: &mut Buffer) {
        let large = 4 * self.width();
        into.resize(rows * large);
        for row in into.chunks_exact_mut(large) {
            row.copy_from_slice(&self.bias.data);
        }
    }

    /// Adds what the input brings.
    fn add_input<S: Simd>(&self, simd: S, left: Rows<'_>, rows: usize, out: &mut Buffer) {
        simd.vectorize(Product { left, rows, panel: &self.input, out, stride: 4 * self.width(), add: true });
    }

    /// All steps, given the pre-activations that do not hang on the step before.
    fn steps<S: Simd>(
        &self,
        simd: S,
        before: Before<'_>,
        span: Span,
        dropout: Option<Dropout>,
        keep: bool,
        trace: &mut Trace,
    ) {
        let Span { steps, rows, .. } = span;
        let width = self.width();
        let (small, large) = (rows * width, rows * 4 * width);
        trace.hidden.resize(steps * small);
        trace.dropped.resize(if dropout.is_some() { steps * small } else { 0 });
        trace.cell.resize(if keep { steps * small } else { 2 * small });
        if keep {
            trace.gates.resize(steps * large);
            trace.tanh_cell.resize(steps * small);
        }
        for step in 0..steps {
            let (done, hidden) = trace.hidden.split_at_mut(step * small);
            let earlier =
                (step > 0).then(|| Rows { data: &done[(step - 1) * small..], stride: width, width: self.hidden });
            let (earlier_cell, cell) = if keep {
                let (done, cell) = trace.cell.split_at_mut(step * small);
                ((step > 0).then(|| &done[(step - 1) * small..]), &mut cell[..small])
            } else {
                let (even, odd) = trace.cell.split_at_mut(small);
                let (old, new) = if step % 2 == 0 { (odd, even) } else { (even, odd) };
                ((step > 0).then_some(&*old), new)
            };
            let (before, input) = before.of_step(step, span, large);
            simd.vectorize(Step {
                layer: self,
                rows,
                before,
                input,
                recurrent: earlier,
                earlier_cell,
                hidden: &mut hidden[..small],
                cell,
                kept: if keep {
                    Some((&mut trace.gates[step * large..][..large], &mut trace.tanh_cell[step * small..][..small]))
                } else {
                    None
                },
            });
            if let Some(dropout) = dropout {
                let to = &mut trace.dropped[step * small..][..small];
                to.copy_from_slice(&hidden[..small]);
                simd.vectorize(Drop { dropout, span, step, width, values: to });
            }
        }
    }

    /// Adds to the gradients of the weights and, where asked for, writes those of the source: a row per step
    /// and row for a sequence, a row per row for constants, padded to whole groups of units.
    #[expect(clippy::too_many_arguments, clippy::too_many_lines, reason = "one walk back through time")]
    pub(crate) fn backward<S: Simd>(
        &self,
        simd: S,
        source: Source<'_>,
        upper: Upper<'_>,
        span: Span,
        trace: &Trace,
        gradient: &mut LayerGradient,
        mut d_source: Option<(&mut Buffer, Option<Dropout>)>,
        scratch: &mut Scratch,
    ) {
        let Span { steps, rows, .. } = span;
        let width = self.width();
        let (small, large) = (rows * width, rows * 4 * width);
        scratch.zeros.resize(small);
        scratch.zeros.fill(0.0);
        scratch.d_gates.resize(STRETCH * large);
        scratch.d_before.resize(large);
        scratch.d_before.fill(0.0);
        scratch.d_hidden.resize(small);
        scratch.d_hidden.fill(0.0);
        scratch.d_cell.resize(small);
        scratch.d_cell.fill(0.0);
        let source_width = padded(self.inputs);
        if let Some((d_source, _)) = &mut d_source {
            let steps = if matches!(source, Source::Sequence(_)) { steps } else { 1 };
            d_source.resize(steps * rows * source_width);
        }
        let mut end = steps;
        while end > 0 {
            let start = end.saturating_sub(STRETCH);
            for step in (start..end).rev() {
                let d_gates = &mut scratch.d_gates[(step - start) * large..][..large];
                let at = step * small;
                let d_upper = match upper {
                    Upper::Each(all) => &all[at..][..small],
                    Upper::Last(last) if step + 1 == steps => last,
                    Upper::Last(_) => &scratch.zeros,
                };
                let earlier_cell = if step > 0 { &trace.cell[at - small..][..small] } else { &scratch.zeros[..] };
                simd.vectorize(Gradients {
                    gates: &trace.gates[step * large..][..large],
                    tanh_cell: &trace.tanh_cell[at..][..small],
                    earlier_cell,
                    d_upper,
                    d_hidden: &scratch.d_hidden,
                    d_cell: &mut scratch.d_cell,
                    d_gates,
                });
                if step > 0 {
                    let left = Rows { data: d_gates, stride: 4 * width, width: 4 * width };
                    simd.vectorize(Product {
                        left,
                        rows,
                        panel: &self.recurrent_back,
                        out: &mut scratch.d_hidden,
                        stride: width,
                        add: false,
                    });
                }
            }
            let count = (end - start) * rows;
            let d_gates = Rows { data: &scratch.d_gates[..count * 4 * width], stride: 4 * width, width: 4 * width };
            let first = usize::from(start == 0) * rows;
            if count > first {
                let data = &trace.hidden[start.saturating_sub(1) * small..];
                let left = Rows { data, stride: width, width: self.hidden };
                simd.vectorize(Outer {
                    left,
                    right: d_gates.from(first),
                    rows: count - first,
                    out: &mut gradient.recurrent,
                });
            }
            match source {
                Source::Sequence(data) => {
                    simd.vectorize(Outer {
                        left: data.from(start * rows),
                        right: d_gates,
                        rows: count,
                        out: &mut gradient.input,
                    });
                    simd.vectorize(AddRows { to: &mut gradient.bias, from: d_gates.data });
                    if let Some((d_source, dropout)) = &mut d_source {
                        let out = &mut d_source[start * rows * source_width..][..count * source_width];
                        simd.vectorize(Product {
                            left: d_gates,
                            rows: count,
                            panel: &self.input_back,
                            out,
                            stride: source_width,
                            add: false,
                        });
                        if let Some(dropout) = dropout {
                            simd.vectorize(Drop {
                                dropout: *dropout,
                                span,
                                step: start,
                                width: source_width,
                                values: out,
                            });
                        }
                    }
                }
                Source::Constant(_) => {
                    simd.vectorize(AddRows { to: &mut scratch.d_before, from: d_gates.data });
                }
            }
            end = start;
        }
        if let Source::Constant(data) = source {
            let d_before = Rows { data: &scratch.d_before, stride: 4 * width, width: 4 * width };
            simd.vectorize(Outer { left: data, right: d_before, rows, out: &mut gradient.input });
            simd.vectorize(AddRows { to: &mut gradient.bias, from: &scratch.d_before });
            if let Some((d_source, _)) = d_source {
                simd.vectorize(Product {
                    left: d_before,
                    rows,
                    panel: &self.input_back,
                    out: d_source,
                    stride: source_width,
                    add: false,
                });
            }
        }
    }
}
