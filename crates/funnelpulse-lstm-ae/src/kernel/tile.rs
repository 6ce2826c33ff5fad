//! Matrix products in tiles that stay in registers.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instruction set")]
#![allow(clippy::needless_range_loop, reason = "indices of fixed tiles unroll, iterators over them do not")]

use pulp::{Simd, WithSimd};

use super::{
    panel::Panel,
    simd::{BLOCK, UNITS, accumulate},
};

/// Work on `R` rows from `first` on.
pub(crate) trait Tiles {
    fn tile<const R: usize>(&mut self, first: usize);
}

/// Cuts `rows` into tiles as high as the registers allow.
#[inline(always)]
pub(crate) fn tiles<S: Simd>(rows: usize, work: &mut impl Tiles) {
    let high = if S::F32_LANES >= UNITS { 4 } else { 2 };
    let mut first = 0;
    while rows - first >= high {
        if S::F32_LANES >= UNITS {
            work.tile::<4>(first);
        } else {
            work.tile::<2>(first);
        }
        first += high;
    }
    match rows - first {
        3 => work.tile::<3>(first),
        2 => work.tile::<2>(first),
        1 => work.tile::<1>(first),
        _ => (),
    }
}

/// Rows of `width` values that lie `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) width: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn row(self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.width]
    }

    #[inline(always)]
    pub(crate) fn several<const R: usize>(self, first: usize) -> [&'a [f32]; R] {
        let mut rows = [&[][..]; R];
        for r in 0..R {
            rows[r] = self.row(first + r);
        }
        rows
    }

    /// The rows from `first` on.
    #[inline(always)]
    pub(crate) fn from(self, first: usize) -> Self {
        Self { data: &self.data[first * self.stride..], ..self }
    }
}

struct ProductOf<'a, 'b, S> {
    simd: S,
    left: Rows<'a>,
    panel: &'a [f32],
    out: &'b mut [f32],
    stride: usize,
    column: usize,
    add: bool,
    groups: usize,
}

impl<S: Simd> ProductOf<'_, '_, S> {
    #[inline(always)]
    fn grouped<const R: usize, const Q: usize>(&mut self, first: usize) {
        let rows = self.left.several::<R>(first);
        let panel = S::as_simd_f32s(self.panel).0;
        let parts = UNITS / S::F32_LANES;
        for part in 0..parts {
            let mut tile = [[self.simd.splat_f32s(0.0); Q]; R];
            if self.add {
                for r in 0..R {
                    let at = (first + r) * self.stride + self.column;
                    let out = S::as_simd_f32s(&self.out[at..][..Q * UNITS]).0;
                    for q in 0..Q {
                        tile[r][q] = out[q * parts + part];
                    }
                }
            }
            accumulate(self.simd, &mut tile, rows, panel, part);
            for r in 0..R {
                let at = (first + r) * self.stride + self.column;
                let out = S::as_mut_simd_f32s(&mut self.out[at..][..Q * UNITS]).0;
                for q in 0..Q {
                    out[q * parts + part] = tile[r][q];
                }
            }
        }
    }
}

impl<S: Simd> Tiles for ProductOf<'_, '_, S> {
    #[inline(always)]
    fn tile<const R: usize>(&mut self, first: usize) {
        match self.groups {
            1 => self.grouped::<R, 1>(first),
            2 => self.grouped::<R, 2>(first),
            3 => self.grouped::<R, 3>(first),
            _ => self.grouped::<R, 4>(first),
        }
    }
}

/// Writes (or adds) `left x panel` to rows of `out` that lie `stride` apart, at least as wide as the panel.
pub(crate) struct Product<'a, 'b> {
    pub(crate) left: Rows<'a>,
    pub(crate) rows: usize,
    pub(crate) panel: &'a Panel,
    pub(crate) out: &'b mut [f32],
    pub(crate) stride: usize,
    pub(crate) add: bool,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, rows, panel, out, stride, add } = self;
        for block in 0..panel.blocks {
            let column = block * panel.groups * UNITS;
            let groups = panel.groups;
            tiles::<S>(
                rows,
                &mut ProductOf { simd, left, panel: panel.block(block), out, stride, column, add, groups },
            );
        }
    }
}

struct OuterOf<'a, 'b, S> {
    simd: S,
    left: Rows<'a>,
    right: Rows<'a>,
    rows: usize,
    out: &'b mut [f32],
    column: usize,
}

impl<S: Simd> Tiles for OuterOf<'_, '_, S> {
    #[inline(always)]
    fn tile<const R: usize>(&mut self, first: usize) {
        let parts = UNITS / S::F32_LANES;
        let stride = self.right.width;
        for part in 0..parts {
            let mut tile = [[self.simd.splat_f32s(0.0); 4]; R];
            for r in 0..R {
                let out = S::as_simd_f32s(&self.out[(first + r) * stride + self.column..][..BLOCK]).0;
                for q in 0..4 {
                    tile[r][q] = out[q * parts + part];
                }
            }
            for row in 0..self.rows {
                let values: &[f32; R] = self.left.row(row)[first..].first_chunk().expect("a tile lies within the row");
                let right = S::as_simd_f32s(&self.right.row(row)[self.column..][..BLOCK]).0;
                for r in 0..R {
                    let value = self.simd.splat_f32s(values[r]);
                    for q in 0..4 {
                        tile[r][q] = self.simd.mul_add_e_f32s(value, right[q * parts + part], tile[r][q]);
                    }
                }
            }
            for r in 0..R {
                let out = S::as_mut_simd_f32s(&mut self.out[(first + r) * stride + self.column..][..BLOCK]).0;
                for q in 0..4 {
                    out[q * parts + part] = tile[r][q];
                }
            }
        }
    }
}

/// Adds `left' x right` over `rows` rows to `out`, which has a row per column of `left`. `right` is a whole
/// number of blocks wide.
pub(crate) struct Outer<'a, 'b> {
    pub(crate) left: Rows<'a>,
    pub(crate) right: Rows<'a>,
    pub(crate) rows: usize,
    pub(crate) out: &'b mut [f32],
}

impl WithSimd for Outer<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, rows, out } = self;
        for column in (0..right.width).step_by(BLOCK) {
            tiles::<S>(left.width, &mut OuterOf { simd, left, right, rows, out, column });
        }
    }
}
