//! The values of a column in ascending order: medians of all bins, with and without a part of the
//! history, from one sort.

use ndarray::ArrayView1;

/// The values of a column, ascending, as a whole and by bin; missing ones are left out.
#[derive(Debug)]
pub(crate) struct SortedColumn {
    all: Vec<f64>,
    /// One bin after the other.
    binned: Vec<f64>,
    /// Where each bin starts in `binned`, and where the last one ends.
    starts: Vec<usize>,
    /// The part of the history of each value of `all`, and of `binned`.
    parts: [Vec<u32>; 2],
}

/// A value before sorting: its key, bin and part of the history.
type Entry = (i64, u32, u32);

impl SortedColumn {
    /// Sorts the rows of some frames, of which each has its bin; `part` says which part of the history a row belongs to.
    pub(crate) fn new<'a>(
        bins: usize,
        frames: impl Iterator<Item = (&'a [usize], ArrayView1<'a, f64>)>,
        part: impl Fn(usize) -> u32,
    ) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (bins, values) in frames {
            let known = bins.iter().zip(values).enumerate().filter(|(_, (_, v))| !v.is_nan());
            entries.extend(known.map(|(row, (bin, v))| (ordered(*v), *bin as u32, part(row))));
        }
        entries.sort_unstable_by_key(|entry| entry.0);
        let mut starts = vec![0; bins + 1];
        for entry in &entries {
            starts[entry.1 as usize + 1] += 1;
        }
        for bin in 0..bins {
            starts[bin + 1] += starts[bin];
        }
        let mut next = starts.clone();
        let (mut binned, mut binned_parts) = (vec![0.0; entries.len()], vec![0; entries.len()]);
        for &(key, bin, part) in &entries {
            let at = &mut next[bin as usize];
            (binned[*at], binned_parts[*at]) = (value(key), part);
            *at += 1;
        }
        let all = entries.iter().map(|entry| value(entry.0)).collect();
        Self { all, binned, starts, parts: [entries.iter().map(|entry| entry.2).collect(), binned_parts] }
    }

    /// The same without the rows of a part.
    pub(crate) fn without(&self, part: u32) -> Self {
        let all = kept(&self.all, &self.parts[0], part);
        let binned = kept(&self.binned, &self.parts[1], part);
        let mut starts = Vec::with_capacity(self.starts.len());
        let mut end = 0;
        starts.push(end);
        for bin in self.starts.windows(2) {
            end += self.parts[1][bin[0]..bin[1]].iter().filter(|own| **own != part).count();
            starts.push(end);
        }
        Self { all, binned, starts, parts: [Vec::new(), Vec::new()] }
    }

    /// All values.
    pub(crate) fn all(&self) -> &[f64] {
        &self.all
    }

    /// The values of each bin.
    pub(crate) fn bins(&self) -> impl Iterator<Item = &[f64]> {
        self.starts.windows(2).map(|bin| &self.binned[bin[0]..bin[1]])
    }
}

/// The values that are not of a part. Every value is written, and stays if the next one goes elsewhere:
/// which part a value is of can't be foreseen, and a branch would be guessed wrong one time in five.
fn kept(values: &[f64], parts: &[u32], part: u32) -> Vec<f64> {
    let mut kept = vec![0.0; values.len()];
    let mut end = 0;
    for (value, own) in values.iter().zip(parts) {
        kept[end] = *value;
        end += usize::from(*own != part);
    }
    kept.truncate(end);
    kept
}

/// A whole number that has the order of the floats: [`f64::total_cmp`]'s.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The inverse of [`ordered`].
fn value(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) as u64 >> 1) as i64) as u64)
}

/// The `rank`-th smallest (from zero) of what `at(list, place)` gives, which rises with `place`
/// within each of `lists` lists; their lengths are `len(list)`. `None` where there are not as many.
///
/// Takes `lists + rank` evaluations: cheap for ranks in a tail.
pub(crate) fn nth_of_ascending(
    lists: usize,
    rank: usize,
    len: impl Fn(usize) -> usize,
    at: impl Fn(usize, usize) -> f64,
) -> Option<f64> {
    use std::{cmp::Reverse, collections::BinaryHeap};

    let first = (0..lists).filter(|list| len(*list) > 0).map(|list| Reverse((ordered(at(list, 0)), list, 0)));
    let mut heap: BinaryHeap<Reverse<(i64, usize, usize)>> = first.collect();
    for _ in 0..rank {
        let mut least = heap.peek_mut()?;
        let Reverse((_, list, place)) = *least;
        if place + 1 < len(list) {
            *least = Reverse((ordered(at(list, place + 1)), list, place + 1));
        } else {
            std::collections::binary_heap::PeekMut::pop(least);
        }
    }
    heap.peek().map(|Reverse((key, ..))| value(*key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_have_the_order_of_floats(a in prop::num::f64::ANY, b in prop::num::f64::ANY) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(value(ordered(a)).to_bits(), a.to_bits());
        }

        #[test]
        fn ranks_are_those_of_all_values_together(
            mut lists in prop::collection::vec(prop::collection::vec(-1e3..1e3f64, 0..20), 1..10),
            rank in 0usize..40,
        ) {
            for list in &mut lists {
                list.sort_by(f64::total_cmp);
            }
            let mut all = lists.concat();
            all.sort_by(f64::total_cmp);
            let found = nth_of_ascending(lists.len(), rank, |l| lists[l].len(), |l, p| lists[l][p]);
            prop_assert_eq!(found, all.get(rank).copied());
        }
    }
}
