//! The inner loops: a register-tiled product of rows and a packed matrix, and the gates.
//!
//! Everything here is compiled once per instruction set (AVX-512, AVX2 with FMA, NEON, plain) by
//! `pulp`, which needs all of it inlined.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instruction set")]
#![allow(clippy::needless_range_loop, reason = "indices of fixed tiles unroll, iterators over them do not")]

use pulp::Simd;

/// Hidden units that are computed together: one AVX-512 register, two of AVX2.
pub(crate) const UNITS: usize = 16;
/// A panel's row for one block of units: input, forget, cell and output gate.
pub(crate) const BLOCK: usize = 4 * UNITS;

/// Adds the product of `R` rows and a packed panel (`depth x Q` groups of 16 columns) to a tile.
/// `part` is which of the registers of a group the tile holds.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const R: usize, const Q: usize>(
    simd: S,
    tile: &mut [[S::f32s; Q]; R],
    rows: [&[f32]; R],
    panel: &[S::f32s],
    part: usize,
) {
    let parts = UNITS / S::F32_LANES;
    let depth = rows[0].len();
    for (k, line) in panel.chunks_exact(Q * parts).take(depth).enumerate() {
        for r in 0..R {
            let value = simd.splat_f32s(rows[r][k]);
            for q in 0..Q {
                tile[r][q] = simd.mul_add_e_f32s(value, line[q * parts + part], tile[r][q]);
            }
        }
    }
}

/// `e^-x` to a relative error of 1.5e-7 for `|x| <= 40`; beyond, that of 40. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp_neg<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding and subtracting `1.5 * 2^23` rounds to the nearest integer, which then also stands in
    /// the lowest bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    /// Minimax polynomial of degree 6 for up to `ln(2) / 2`, from the constant 1 on.
    const C: [f32; 6] = [1.0, 0.499_999_94, 0.166_664_3, 0.041_668_005, 0.008_374_196, 0.001_384_360_4];
    // The order of operands lets NaN through: the second is what min and max return for one.
    let x = simd.max_f32s(simd.splat_f32s(-40.0), simd.min_f32s(simd.splat_f32s(40.0), x));
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(-std::f32::consts::LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.neg_f32s(simd.mul_add_e_f32s(n, simd.splat_f32s(std::f32::consts::LN_2), x));
    let r2 = simd.mul_f32s(r, r);
    let low = simd.mul_add_e_f32s(simd.splat_f32s(C[1]), r, simd.splat_f32s(C[0]));
    let middle = simd.mul_add_e_f32s(simd.splat_f32s(C[3]), r, simd.splat_f32s(C[2]));
    let high = simd.mul_add_e_f32s(simd.splat_f32s(C[5]), r, simd.splat_f32s(C[4]));
    let tail = simd.mul_add_e_f32s(simd.mul_add_e_f32s(high, r2, middle), r2, low);
    let p = simd.mul_add_e_f32s(tail, r, simd.splat_f32s(1.0));
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

/// The step of one unit.
#[derive(Clone, Copy)]
pub(crate) struct Gates<V> {
    pub(crate) input: V,
    pub(crate) forget: V,
    pub(crate) candidate: V,
    pub(crate) output: V,
    pub(crate) cell: V,
    pub(crate) tanh_cell: V,
    pub(crate) hidden: V,
}

/// Gates, cell and hidden state from pre-activations `z` (in the order of [`Gates`]). Gates and
/// states are within 3e-7 of their exact values.
#[inline(always)]
pub(crate) fn activate<S: Simd>(simd: S, z: [S::f32s; 4], cell: S::f32s) -> Gates<S::f32s> {
    let one = simd.splat_f32s(1.0);
    let [ei, ef, eg, eo] =
        [exp_neg(simd, z[0]), exp_neg(simd, z[1]), exp_neg(simd, simd.add_f32s(z[2], z[2])), exp_neg(simd, z[3])];
    let [di, df, dg, d_o] =
        [simd.add_f32s(one, ei), simd.add_f32s(one, ef), simd.add_f32s(one, eg), simd.add_f32s(one, eo)];
    // One division for two gates; e^80 is within the range of f32.
    let both = simd.div_f32s(one, simd.mul_f32s(di, df));
    let (input, forget) = (simd.mul_f32s(both, df), simd.mul_f32s(both, di));
    let both = simd.div_f32s(one, simd.mul_f32s(dg, d_o));
    let output = simd.mul_f32s(both, dg);
    let candidate = simd.mul_f32s(simd.sub_f32s(one, eg), simd.mul_f32s(both, d_o));
    let cell = simd.mul_add_e_f32s(forget, cell, simd.mul_f32s(input, candidate));
    let ec = exp_neg(simd, simd.add_f32s(cell, cell));
    let tanh_cell = simd.div_f32s(simd.sub_f32s(one, ec), simd.add_f32s(one, ec));
    Gates { input, forget, candidate, output, cell, tanh_cell, hidden: simd.mul_f32s(output, tanh_cell) }
}

/// Gradients of the pre-activations, and of the cell state one step earlier, from those of the
/// hidden state and of the cell state.
#[inline(always)]
pub(crate) fn activate_back<S: Simd>(
    simd: S,
    gates: &Gates<S::f32s>,
    earlier_cell: S::f32s,
    d_hidden: S::f32s,
    d_cell: S::f32s,
) -> ([S::f32s; 4], S::f32s) {
    let one = simd.splat_f32s(1.0);
    let d_output = mul(simd, mul(simd, d_hidden, gates.tanh_cell), logistic_slope(simd, gates.output));
    let slope = simd.sub_f32s(one, mul(simd, gates.tanh_cell, gates.tanh_cell));
    let d_cell = simd.mul_add_e_f32s(mul(simd, d_hidden, gates.output), slope, d_cell);
    let d_input = mul(simd, mul(simd, d_cell, gates.candidate), logistic_slope(simd, gates.input));
    let d_candidate =
        mul(simd, mul(simd, d_cell, gates.input), simd.sub_f32s(one, mul(simd, gates.candidate, gates.candidate)));
    let d_forget = mul(simd, mul(simd, d_cell, earlier_cell), logistic_slope(simd, gates.forget));
    ([d_input, d_forget, d_candidate, d_output], mul(simd, d_cell, gates.forget))
}

#[inline(always)]
fn mul<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.mul_f32s(a, b)
}

/// `s (1 - s)`, the derivative of the logistic function where it has the value `s`.
#[inline(always)]
fn logistic_slope<S: Simd>(simd: S, s: S::f32s) -> S::f32s {
    simd.sub_f32s(s, simd.mul_f32s(s, s))
}
