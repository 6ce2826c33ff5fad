//! The values of a column in ascending order, by bin: with and without a part of the history.

use funnelpulse_core::Timestamp;
use ndarray::ArrayView1;

use super::{ProfileSeason, profile::LARGEST};

/// The values of a column, ascending, as a whole and by bin; missing ones are left out.
#[derive(Debug)]
pub(super) struct SortedColumn {
    all: Vec<f64>,
    bins: Vec<Vec<f64>>,
}

/// A value, its bin and the part of the history it belongs to.
pub(super) type Entry = (f64, u32, u32);

/// The values of a column in ascending order; `part` says which part of the history a row belongs
/// to.
pub(super) fn entries(
    season: ProfileSeason,
    time: &[Timestamp],
    values: ArrayView1<'_, f64>,
    part: impl Fn(usize) -> u32,
) -> Vec<Entry> {
    let known = time.iter().zip(values).enumerate().filter(|(_, (_, v))| !v.is_nan());
    let entry = |(row, (time, v)): (usize, (&Timestamp, &f64))| {
        (v.clamp(-LARGEST, LARGEST), season.bin(*time) as u32, part(row))
    };
    let mut entries: Vec<Entry> = known.map(entry).collect();
    entries.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    entries
}

impl SortedColumn {
    /// From ascending entries.
    pub(super) fn new<'a>(season: ProfileSeason, ascending: impl Iterator<Item = &'a Entry>) -> Self {
        let mut column = Self { all: Vec::new(), bins: vec![Vec::new(); season.bins()] };
        for &(value, bin, _) in ascending {
            column.all.push(value);
            column.bins[bin as usize].push(value);
        }
        column
    }

    /// All values.
    pub(super) fn all(&self) -> &[f64] {
        &self.all
    }

    /// The values of each bin.
    pub(super) fn bins(&self) -> impl Iterator<Item = &[f64]> {
        self.bins.iter().map(Vec::as_slice)
    }
}
