//! Weights in the order in which the inner loops read them.

use super::{buffer::Buffer, simd::UNITS};

/// Round up to whole groups of units.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(UNITS)
}

/// A `depth x columns` matrix cut into blocks of `groups x 16` columns; within a block the rows lie one
/// after the other. Columns beyond the last are zero.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    pub(crate) data: Buffer,
    pub(crate) depth: usize,
    pub(crate) blocks: usize,
    pub(crate) groups: usize,
}

impl Panel {
    /// Packs the matrix whose element in row `k` and column `n` is `at(k, n)`, in blocks of up to four groups.
    pub(crate) fn pack(&mut self, depth: usize, columns: usize, at: impl Fn(usize, usize) -> f32) {
        let groups = columns.div_ceil(UNITS);
        self.blocks = groups.div_ceil(4);
        self.groups = groups.div_ceil(self.blocks.max(1));
        self.fill(depth, |k, n| if n < columns { at(k, n) } else { 0.0 });
    }

    /// Packs an LSTM's kernel of `depth x 4 hidden` (input, forget, cell, output gate): one block per 16
    /// hidden units, with their four gates.
    pub(crate) fn pack_gates(&mut self, depth: usize, hidden: usize, kernel: &[f32]) {
        self.blocks = hidden.div_ceil(UNITS);
        self.groups = 4;
        self.fill(depth, |k, n| gate_column(n, hidden).map_or(0.0, |column| kernel[k * 4 * hidden + column]));
    }

    fn fill(&mut self, depth: usize, at: impl Fn(usize, usize) -> f32) {
        self.depth = depth;
        let width = self.groups * UNITS;
        self.data.resize(self.blocks * depth * width);
        for (line, row) in self.data.chunks_exact_mut(width.max(1)).enumerate() {
            let (block, k) = (line / depth, line % depth);
            for (n, value) in row.iter_mut().enumerate() {
                *value = at(k, block * width + n);
            }
        }
    }

    /// The rows of block `index`.
    pub(crate) fn block(&self, index: usize) -> &[f32] {
        let len = self.depth * self.groups * UNITS;
        &self.data[index * len..][..len]
    }
}

/// Which column of a kernel with columns `gate x hidden` stands in column `n` of the gates' layout, in
/// which 16 hidden units follow each other with their four gates. `None` in the padding.
pub(crate) fn gate_column(n: usize, hidden: usize) -> Option<usize> {
    let (block, gate, unit) = (n / (4 * UNITS), n / UNITS % 4, n % UNITS);
    let unit = block * UNITS + unit;
    (unit < hidden).then_some(gate * hidden + unit)
}
