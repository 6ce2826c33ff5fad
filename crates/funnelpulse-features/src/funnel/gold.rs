//! Sums per series and window.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    hash::BuildHasherDefault,
};

use funnelpulse_core::{Columns, Frame, FrameError, Panel, SeriesKey, Timestamp};
use ndarray::Array2;

use super::{
    direct::{Direct, GOLDEN},
    silver::{Step, tidy_key},
};
use crate::absent::fill_alive;

/// The counts of one series in one window. Integers: the order of events makes no difference.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    steps: [u64; 3],
    micro_revenue: i128,
}

type Cells = HashMap<usize, Cell, BuildHasherDefault<Direct>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Aggregate {
    ids: HashMap<String, usize>,
    names: Vec<SeriesKey>,
    /// Per window, the cells of the series with events.
    cells: BTreeMap<Timestamp, Cells>,
    /// The window in work, kept apart: most events are of the window of the one before.
    window: Option<Timestamp>,
    current: Cells,
    /// The name being put together, kept for its memory.
    name: String,
    /// Keys as they were spelled lately, and their series.
    spelled: Spelled,
}

/// Places for spellings: a shop's busiest brands in their usual spelling.
const SPELLINGS: usize = 1024;

/// The series of keys that are spelled as they were before, without tidying and hashing them again: a
/// place per hash of the spelling, taken by the last that came.
#[derive(Clone, Debug, Default)]
struct Spelled(Vec<Option<(Box<str>, usize)>>);

impl Spelled {
    /// The first and the last letters and the length, mixed by one multiplication.
    fn place(key: &str) -> usize {
        let bytes = key.as_bytes();
        let n = bytes.len().min(4);
        let (mut first, mut last) = ([0; 4], [0; 4]);
        first[..n].copy_from_slice(&bytes[..n]);
        last[..n].copy_from_slice(&bytes[bytes.len() - n..]);
        let letters = u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last));
        ((letters ^ bytes.len() as u64).wrapping_mul(GOLDEN) >> 32) as usize % SPELLINGS
    }

    fn get(&self, key: &str) -> Option<usize> {
        let (spelled, series) = self.0.get(Self::place(key))?.as_ref()?;
        (**spelled == *key).then_some(*series)
    }

    fn insert(&mut self, key: &str, series: usize) {
        self.0.resize(SPELLINGS, None);
        self.0[Self::place(key)] = Some((key.into(), series));
    }
}

impl Aggregate {
    pub(super) fn add(&mut self, keys: &[Option<&str>], window: Timestamp, step: Step, micro_price: i64) {
        let series = self.series(keys);
        if self.window != Some(window) {
            self.turn_to(Some(window));
        }
        let cell = self.current.entry(series).or_default();
        cell.steps[step as usize] += 1;
        if step == Step::Purchase {
            cell.micro_revenue += i128::from(micro_price);
        }
    }

    fn turn_to(&mut self, window: Option<Timestamp>) {
        let next = window.and_then(|window| self.cells.remove(&window)).unwrap_or_default();
        let before = std::mem::replace(&mut self.current, next);
        if let Some(last) = std::mem::replace(&mut self.window, window) {
            self.cells.insert(last, before);
        }
    }

    fn series(&mut self, keys: &[Option<&str>]) -> usize {
        let [Some(only)] = keys else { return self.find(keys) };
        self.spelled.get(only).unwrap_or_else(|| {
            let id = self.find(keys);
            self.spelled.insert(only, id);
            id
        })
    }

    /// The series that keys stand for, however they are spelled.
    fn find(&mut self, keys: &[Option<&str>]) -> usize {
        self.name.clear();
        for key in keys {
            let part = tidy_key(*key);
            // With the length in front, different parts never make the same text.
            let _ = write!(self.name, "{}:{part}", part.len());
        }
        self.ids.get(self.name.as_str()).copied().unwrap_or_else(|| {
            let id = self.names.len();
            self.ids.insert(self.name.clone(), id);
            let parts: Vec<_> = keys.iter().map(|k| tidy_key(*k)).collect();
            self.names.push(SeriesKey::from_parts(&parts));
            id
        })
    }

    /// `alive` are the windows for which the feed delivered something.
    pub(super) fn into_panel(mut self, columns: Columns, alive: &BTreeSet<Timestamp>) -> Result<Panel, FrameError> {
        self.turn_to(None);
        let mut rows: Vec<(Vec<Timestamp>, Vec<f64>)> = vec![Default::default(); self.names.len()];
        for (window, cells) in self.cells {
            // Each series gets one row of a window: their order makes no difference.
            #[expect(clippy::iter_over_hash_type, reason = "the rows of different series don't meet")]
            for (series, cell) in cells {
                let (time, values) = &mut rows[series];
                time.push(window);
                values.extend(cell.steps.map(|count| count as f64));
                values.push(cell.micro_revenue as f64 / 1e6);
            }
        }
        let mut panel = Panel::new(columns.clone());
        for (key, (time, values)) in self.names.into_iter().zip(rows) {
            let values = Array2::from_shape_vec((time.len(), columns.len()), values).expect("four values a row");
            panel.insert(key, Frame::new(time, columns.clone(), values)?)?;
        }
        fill_alive(panel, alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_share_a_place_are_distinguished() {
        assert_eq!(Spelled::place("acme-1-shop"), Spelled::place("acme-2-shop"));
        let mut table = Aggregate::default();
        let spellings = ["acme-1-shop", "acme-2-shop", " Acme-1-Shop", "acme-1-shop", "acme-2-shop", ""];
        let series: Vec<usize> = spellings.iter().map(|key| table.series(&[Some(key)])).collect();
        assert_eq!(series, [0, 1, 0, 0, 1, 2]);
        assert_eq!((table.series(&[None]), table.series(&[Some(" ")])), (2, 2));
    }
}
