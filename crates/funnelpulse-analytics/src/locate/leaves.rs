//! From a cube to leaves with an expectation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{History, Leaves};
use funnelpulse_core::SeriesKey;
use funnelpulse_features::{Counts, Cube};

use super::{LocateError, Measure, Question, past::Past};
use funnelpulse_core::nearest_name;

/// Most values of one dimension that are distinguished, those with the most events; all others are
/// one.
const MAX_VALUES: usize = 1000;
/// The name of all others.
const OTHERS: &str = "(others)";
/// Most combinations of values that are searched.
pub(super) const MAX_LEAVES: usize = 200_000;

pub(super) fn check_series(cube: &Cube, series: Option<&str>) -> Result<(), LocateError> {
    let Some(series) = series else { return Ok(()) };
    let known: BTreeSet<&str> = cube.leaves().iter().map(|l| l.series.as_str()).collect();
    if known.contains(series) {
        return Ok(());
    }
    let suggestion = nearest_name(known, series).map(str::to_owned);
    Err(LocateError::UnknownSeries { series: series.to_owned(), suggestion })
}

/// Positions of the dimensions to search. The keys of one series are constant and left out.
pub(super) fn chosen_dimensions(cube: &Cube, question: &Question<'_>) -> Result<Vec<usize>, LocateError> {
    let all = cube.dimensions();
    let mut chosen: Vec<usize> = if question.dimensions.is_empty() {
        (0..all.len()).collect()
    } else {
        let position = |name: &String| {
            let known = || all.iter().map(|d| &**d).collect::<Vec<_>>().join(", ");
            let unknown = || LocateError::UnknownDimension { dimension: name.clone(), known: known() };
            all.iter().position(|d| **d == **name).ok_or_else(unknown)
        };
        question.dimensions.iter().map(position).collect::<Result<_, _>>()?
    };
    if question.series.is_some() {
        chosen.retain(|d| *d >= cube.keys());
    }
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() { Err(LocateError::NoDimension) } else { Ok(chosen) }
}

/// Per leaf of the cube the values that it is searched under; `None` for those of other series, and
/// for those without an event in the time that counts.
pub(super) type Groups = Vec<Option<Vec<Option<Arc<str>>>>>;

pub(super) fn group(cube: &Cube, chosen: &[usize], series: Option<&str>, past: &Past) -> Result<Groups, LocateError> {
    let mut events = vec![0u64; cube.leaves().len()];
    for window in past.windows() {
        for (leaf, counts) in cube.window(window) {
            events[*leaf as usize] += counts.views + counts.carts + counts.purchases;
        }
    }
    let of_series = |series_of: &SeriesKey| series.is_none_or(|s| s == series_of.as_str());
    let mut groups: Groups = cube
        .leaves()
        .iter()
        .zip(&events)
        .map(|(leaf, events)| {
            let counts = *events > 0 && of_series(&leaf.series);
            counts.then(|| chosen.iter().map(|d| leaf.values[*d].clone()).collect())
        })
        .collect();
    let others: Arc<str> = OTHERS.into();
    for position in 0..chosen.len() {
        let mut sizes: BTreeMap<Option<Arc<str>>, u64> = BTreeMap::new();
        for (group, events) in groups.iter().zip(&events) {
            if let Some(group) = group {
                *sizes.entry(group[position].clone()).or_default() += events;
            }
        }
        if sizes.len() <= MAX_VALUES {
            continue;
        }
        let mut by_size: Vec<(Option<Arc<str>>, u64)> = sizes.into_iter().collect();
        // Stable: of equals the first by name.
        by_size.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
        let kept: BTreeSet<Option<Arc<str>>> = by_size.into_iter().take(MAX_VALUES).map(|(value, _)| value).collect();
        for group in groups.iter_mut().flatten() {
            if !kept.contains(&group[position]) {
                group[position] = Some(others.clone());
            }
        }
    }
    let leaves = groups.iter().flatten().collect::<BTreeSet<_>>().len();
    if leaves > MAX_LEAVES { Err(LocateError::TooFine { leaves }) } else { Ok(groups) }
}

/// The leaves in the period against their past.
pub(super) fn counted_leaves(
    cube: &Cube,
    dimensions: &[Arc<str>],
    groups: &Groups,
    past: &Past,
    measure: Measure,
) -> Result<Leaves, LocateError> {
    let dimensions = dimensions.iter().cloned();
    let mut history = if measure.is_ratio() { History::ratio(dimensions) } else { History::additive(dimensions) };
    let stretches = past.before.iter().enumerate().map(|(i, lag)| (-1 - i as i64, &lag.windows, lag.scale));
    for (at, windows, scale) in std::iter::once((0, &past.now, 1.0)).chain(stretches) {
        let mut sums: BTreeMap<u32, Counts> = BTreeMap::new();
        for (leaf, counts) in windows.iter().flat_map(|window| cube.window(*window)) {
            let sum = sums.entry(*leaf).or_default();
            sum.views += counts.views;
            sum.carts += counts.carts;
            sum.purchases += counts.purchases;
            sum.micro_revenue += counts.micro_revenue;
        }
        for (leaf, counts) in sums {
            let Some(values) = &groups[leaf as usize] else { continue };
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let (value, denominator) = measure.of(&counts);
            history.push(at, &values, scale * value, scale * denominator)?;
        }
    }
    Ok(history.leaves_at(0))
}
