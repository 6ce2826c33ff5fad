//! Leaving breaks out.

use std::collections::BTreeSet;

use super::{Break, statistics::Segment};

/// The breaks between `segments`, less those that are `small`. Without a break its neighbours
/// compare longer segments, so the one with the highest p-value goes first, and only its two
/// neighbours are compared anew: `O(log n)` each.
pub(super) fn leave_out(
    mut segments: Vec<Segment>,
    compare: impl Fn(&Segment, &Segment) -> Break,
    small: impl Fn(&Break) -> bool,
) -> Vec<Break> {
    let n = segments.len();
    // The neighbours among the segments that are left; `n` is none.
    let mut before: Vec<usize> = (0..n).map(|i| i.checked_sub(1).unwrap_or(n)).collect();
    let mut after: Vec<usize> = (1..=n).collect();
    // The break before each segment.
    let mut breaks: Vec<Option<Break>> = vec![None; n];
    let mut weak = BTreeSet::new();
    // P-values are not negative, and such floats have the order of their bits.
    let key = |found: &Break, i: usize| (found.p_value.to_bits(), i);
    let mut changed: Vec<usize> = (1..n).collect();
    loop {
        for i in changed {
            if let Some(old) = &breaks[i] {
                weak.remove(&key(old, i));
            }
            let found = compare(&segments[before[i]], &segments[i]);
            if small(&found) {
                weak.insert(key(&found, i));
            }
            breaks[i] = Some(found);
        }
        let Some((_, i)) = weak.pop_last() else { return breaks.into_iter().flatten().collect() };
        breaks[i] = None;
        let (left, right) = (before[i], after[i]);
        let taken = std::mem::take(&mut segments[i]);
        segments[left].append(&taken);
        after[left] = right;
        if right < n {
            before[right] = left;
        }
        changed = [left, right].into_iter().filter(|&i| 0 < i && i < n).collect();
    }
}
