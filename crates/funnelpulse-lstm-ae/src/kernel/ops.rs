//! The step of one layer, compiled for each instruction set.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instruction set")]
#![allow(clippy::needless_range_loop, reason = "indices of fixed tiles unroll, iterators over them do not")]

use pulp::{Simd, WithSimd};

use super::{
    dropout::Dropout,
    layer::{Packed, Span},
    simd::{BLOCK, Gates, UNITS, accumulate, activate, activate_back},
    tile::{Rows, Tiles, tiles},
};

/// One step of a layer for all rows.
pub(super) struct Step<'a, 'b> {
    pub(super) layer: &'a Packed,
    pub(super) rows: usize,
    pub(super) before: &'a [f32],
    pub(super) input: Option<Rows<'a>>,
    pub(super) recurrent: Option<Rows<'a>>,
    pub(super) earlier_cell: Option<&'a [f32]>,
    pub(super) hidden: &'b mut [f32],
    pub(super) cell: &'b mut [f32],
    /// Gates and tanh of the cell, where they are kept.
    pub(super) kept: Option<(&'b mut [f32], &'b mut [f32])>,
}

impl WithSimd for Step<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, layer) = (self.rows, self.layer);
        for block in 0..layer.width() / UNITS {
            let input = self.input.map(|rows| (rows, layer.input.block(block)));
            let recurrent = self.recurrent.map(|rows| (rows, layer.recurrent.block(block)));
            tiles::<S>(
                rows,
                &mut StepBlock { simd, step: &mut self, block, width: layer.width(), parts: [input, recurrent] },
            );
        }
    }
}

/// One step of one block of units.
struct StepBlock<'a, 'b, 'c, S> {
    simd: S,
    step: &'c mut Step<'a, 'b>,
    block: usize,
    width: usize,
    parts: [Option<(Rows<'a>, &'a [f32])>; 2],
}

impl<S: Simd> Tiles for StepBlock<'_, '_, '_, S> {
    #[inline(always)]
    fn tile<const R: usize>(&mut self, first: usize) {
        let (simd, width, block) = (self.simd, self.width, self.block);
        let step = &mut *self.step;
        let parts = UNITS / S::F32_LANES;
        for part in 0..parts {
            let mut tile = [[simd.splat_f32s(0.0); 4]; R];
            for r in 0..R {
                let before = S::as_simd_f32s(&step.before[(first + r) * 4 * width + block * BLOCK..][..BLOCK]).0;
                for q in 0..4 {
                    tile[r][q] = before[q * parts + part];
                }
            }
            for (rows, panel) in self.parts.into_iter().flatten() {
                accumulate(simd, &mut tile, rows.several::<R>(first), S::as_simd_f32s(panel).0, part);
            }
            for r in 0..R {
                let at = (first + r) * width + block * UNITS;
                let earlier = match step.earlier_cell {
                    Some(cell) => S::as_simd_f32s(&cell[at..][..UNITS]).0[part],
                    None => simd.splat_f32s(0.0),
                };
                let gates = activate(simd, tile[r], earlier);
                S::as_mut_simd_f32s(&mut step.hidden[at..][..UNITS]).0[part] = gates.hidden;
                S::as_mut_simd_f32s(&mut step.cell[at..][..UNITS]).0[part] = gates.cell;
                if let Some((kept, tanh_cell)) = &mut step.kept {
                    let kept = S::as_mut_simd_f32s(&mut kept[(first + r) * 4 * width + block * BLOCK..][..BLOCK]).0;
                    let all = [gates.input, gates.forget, gates.candidate, gates.output];
                    for q in 0..4 {
                        kept[q * parts + part] = all[q];
                    }
                    S::as_mut_simd_f32s(&mut tanh_cell[at..][..UNITS]).0[part] = gates.tanh_cell;
                }
            }
        }
    }
}

/// Adds each of the rows in `from` to the one in `to`.
pub(super) struct AddRows<'a, 'b> {
    pub(super) to: &'b mut [f32],
    pub(super) from: &'a [f32],
}

impl WithSimd for AddRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for from in self.from.chunks_exact(self.to.len()) {
            for (to, from) in self.to.iter_mut().zip(from) {
                *to += *from;
            }
        }
    }
}

/// Dropout on rows that follow each other from step `step` on.
pub(super) struct Drop<'b> {
    pub(super) dropout: Dropout,
    pub(super) span: Span,
    pub(super) step: usize,
    pub(super) width: usize,
    pub(super) values: &'b mut [f32],
}

impl WithSimd for Drop<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.span.rows;
        for (n, row) in self.values.chunks_exact_mut(self.width).enumerate() {
            self.dropout.apply(self.span.place(self.step + n / rows, n % rows), row);
        }
    }
}

/// The way back through the gates of one step, for all rows and units.
pub(super) struct Gradients<'a, 'b> {
    pub(super) gates: &'a [f32],
    pub(super) tanh_cell: &'a [f32],
    pub(super) earlier_cell: &'a [f32],
    pub(super) d_upper: &'a [f32],
    pub(super) d_hidden: &'a [f32],
    pub(super) d_cell: &'b mut [f32],
    pub(super) d_gates: &'b mut [f32],
}

impl WithSimd for Gradients<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let parts = UNITS / S::F32_LANES;
        let gates = S::as_simd_f32s(self.gates).0.chunks_exact(4 * parts);
        let d_gates = S::as_mut_simd_f32s(self.d_gates).0.chunks_exact_mut(4 * parts);
        let tanh_cell = S::as_simd_f32s(self.tanh_cell).0;
        let earlier_cell = S::as_simd_f32s(self.earlier_cell).0;
        let d_upper = S::as_simd_f32s(self.d_upper).0;
        let d_hidden = S::as_simd_f32s(self.d_hidden).0;
        let d_cell = S::as_mut_simd_f32s(self.d_cell).0;
        for (group, (gates, d_gates)) in gates.zip(d_gates).enumerate() {
            for part in 0..parts {
                let at = group * parts + part;
                let of = Gates {
                    input: gates[part],
                    forget: gates[parts + part],
                    candidate: gates[2 * parts + part],
                    output: gates[3 * parts + part],
                    cell: tanh_cell[at],
                    tanh_cell: tanh_cell[at],
                    hidden: tanh_cell[at],
                };
                let dh = simd.add_f32s(d_hidden[at], d_upper[at]);
                let (d, earlier) = activate_back(simd, &of, earlier_cell[at], dh, d_cell[at]);
                for q in 0..4 {
                    d_gates[q * parts + part] = d[q];
                }
                d_cell[at] = earlier;
            }
        }
    }
}
