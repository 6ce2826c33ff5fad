//! Values to ranks: axis-parallel trees only need the two thresholds of the forest between which a
//! value lies. Ranks are exact, half the size of an f32, and compare as
//! integers.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the vector registers there are")]

use crate::vector;

/// The rank of a missing value; no tree sees it.
pub(crate) const MISSING: u16 = u16::MAX;
/// Most thresholds a column can have.
pub(crate) const MAX_CUTS: usize = MISSING as usize - 1;

/// 2^52: doubles of this size are whole numbers.
const WHOLE: f64 = (1u64 << 52) as f64;

/// The distinct thresholds of one column in increasing order, with a guide table for finding a
/// value among them in constant time (Chen & Asau 1974).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cuts {
    /// The thresholds, and enough infinity behind them to search without looking for the end.
    padded: Vec<f64>,
    len: usize,
    /// Thresholds in the slots before each.
    guide: Vec<u16>,
    low: f64,
    slots_per_unit: f64,
    last_slot: f64,
    /// Halvings that find a value's place within its slot.
    halvings: u32,
}

impl Cuts {
    /// From thresholds in strictly increasing order, [`MAX_CUTS`] at most.
    pub(crate) fn new(mut cuts: Vec<f64>) -> Self {
        debug_assert!(cuts.len() <= MAX_CUTS && cuts.windows(2).all(|w| w[0] < w[1]));
        let len = cuts.len();
        let low = cuts.first().copied().unwrap_or(0.0);
        let width = cuts.last().map_or(0.0, |high| high - low);
        let slots = (4 * len).next_power_of_two();
        // A width that overflows or vanishes leaves one slot: a plain binary search.
        let slots_per_unit = slots as f64 / width;
        let slots_per_unit = if slots_per_unit.is_normal() { slots_per_unit } else { 0.0 };
        let mut table = Self {
            padded: Vec::new(),
            len,
            guide: vec![0; slots + 1],
            low,
            slots_per_unit,
            last_slot: slots as f64,
            halvings: 0,
        };
        let mut counts = vec![0u16; slots + 1];
        for &cut in &cuts {
            counts[table.slot(cut)] += 1;
        }
        let mut before = 0;
        for (guide, count) in table.guide.iter_mut().zip(&counts) {
            *guide = before;
            before += count;
        }
        table.halvings = counts.into_iter().max().map_or(0, |most| u16::BITS - most.leading_zeros());
        cuts.resize(len + (1 << table.halvings), f64::INFINITY);
        table.padded = cuts;
        table
    }

    /// The thresholds.
    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.padded[..self.len]
    }

    /// Rises with the value. NaN, and what lies outside, is in some slot too.
    #[inline(always)]
    fn slot(&self, value: f64) -> usize {
        let slots = (value - self.low) * self.slots_per_unit;
        // These comparisons, unlike `max`, are one instruction each; NaN gives the first slot.
        let slots = if slots > 0.0 { slots } else { 0.0 };
        let slots = if slots < self.last_slot { slots } else { self.last_slot };
        // The nearest whole number stands in the low bits of the sum: vector code, where a cast would not be.
        (slots + WHOLE).to_bits() as u32 as usize
    }

    /// Number of thresholds at or below `value`; [`MISSING`] for NaN.
    pub(crate) fn rank(&self, value: f64) -> u16 {
        self.ranks([value])[0]
    }

    /// The ranks of several values. Step by step for all of them: no step of one waits for another,
    /// and no branch depends on a value.
    #[inline(always)]
    fn ranks<const N: usize>(&self, values: [f64; N]) -> [u16; N] {
        let slots = values.map(|value| self.slot(value) as u32);
        let mut ranks = slots.map(|slot| u32::from(self.guide[slot as usize]));
        for halving in (0..self.halvings).rev() {
            let step = 1u32 << halving;
            let padded = &self.padded[step as usize - 1..];
            for i in 0..N {
                // Thresholds of later slots are larger than the value: it does no harm to see them.
                ranks[i] += u32::from(padded[ranks[i] as usize] <= values[i]) << halving;
            }
        }
        let mut found = [MISSING; N];
        for i in 0..N {
            found[i] = if values[i].is_nan() { MISSING } else { ranks[i].min(self.len as u32) as u16 };
        }
        found
    }

    /// The ranks of a column of rows that lie one after the other, [`RANKED`] at most; behind the last any.
    #[inline(always)]
    pub(super) fn rank_column(&self, rows: &[f64], width: usize, column: usize) -> [u16; RANKED] {
        let mut values = [0.0; RANKED];
        for (value, row) in values.iter_mut().zip(rows.chunks_exact(width)) {
            *value = row[column];
        }
        self.ranks(values)
    }
}

/// Rows that are ranked together.
pub(super) const RANKED: usize = 32;
/// Rows of a tile: as many u16 as the widest register holds.
pub(super) const TILE: usize = RANKED;

/// The ranks of a block of rows; memory is reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    /// Row after row, `stride` apart; padded to whole tiles.
    pub(super) by_row: Vec<u16>,
    /// Tile after tile, and in a tile column after column. Filled only on request.
    pub(super) by_column: Vec<u16>,
}

impl Ranks {
    /// Ranks rows that lie one after the other.
    pub(super) fn fill(&mut self, rows: &[f64], columns: &[Cuts], stride: usize, transposed: bool) {
        let size = (rows.len() / columns.len()).next_multiple_of(TILE) * stride;
        self.by_row.clear();
        self.by_row.resize(size, 0);
        self.by_column.clear();
        self.by_column.resize(if transposed { size } else { 0 }, 0);
        vector::dispatch(Fill { ranks: self, rows, columns, stride, transposed });
    }
}

/// Ranks rows.
struct Fill<'a> {
    ranks: &'a mut Ranks,
    rows: &'a [f64],
    columns: &'a [Cuts],
    stride: usize,
    transposed: bool,
}

impl vector::NullaryFnOnce for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { ranks, rows, columns, stride, transposed } = self;
        let width = columns.len();
        // Tile by tile: what one column leaves of a line of cache, the next one finds.
        for (tile, (rows, by_row)) in rows.chunks(TILE * width).zip(ranks.by_row.chunks_mut(TILE * stride)).enumerate()
        {
            for (column, cuts) in columns.iter().enumerate() {
                let ranked = cuts.rank_column(rows, width, column);
                for (by_row, &rank) in by_row.chunks_exact_mut(stride).zip(&ranked) {
                    by_row[column] = rank;
                }
                if transposed {
                    ranks.by_column[(tile * stride + column) * TILE..][..TILE].copy_from_slice(&ranked);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rank_counts_the_thresholds_below(
            mut cuts in prop::collection::vec(prop_oneof![-1e3..1e3f64, prop::num::f64::NORMAL, -5e-324..5e-324f64], 0..60),
            values in prop::collection::vec(prop_oneof![-1e3..1e3f64, prop::num::f64::ANY], 0..60),
        ) {
            cuts.sort_unstable_by(f64::total_cmp);
            cuts.dedup();
            let table = Cuts::new(cuts.clone());
            for value in values.into_iter().chain(cuts.iter().copied()) {
                let expected = cuts.iter().filter(|&&c| c <= value).count() as u16;
                prop_assert_eq!(table.rank(value), if value.is_nan() { MISSING } else { expected });
            }
        }
    }
}
