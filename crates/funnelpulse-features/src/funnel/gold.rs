//! Sums per series and window.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    hash::BuildHasherDefault,
};

use funnelpulse_core::{Columns, Frame, FrameError, Panel, SeriesKey, Timestamp};
use ndarray::Array2;

use super::{
    direct::Direct,
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
    /// The name being put together, and that of the last event; kept for their memory.
    name: String,
    last: (String, usize),
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
        self.name.clear();
        for key in keys {
            let part = tidy_key(*key);
            // With the length in front, different parts never make the same text.
            let _ = write!(self.name, "{}:{part}", part.len());
        }
        if self.name == self.last.0 && !self.names.is_empty() {
            return self.last.1;
        }
        let id = self.ids.get(self.name.as_str()).copied().unwrap_or_else(|| {
            let id = self.names.len();
            self.ids.insert(self.name.clone(), id);
            let parts: Vec<_> = keys.iter().map(|k| tidy_key(*k)).collect();
            self.names.push(SeriesKey::from_parts(&parts));
            id
        });
        self.last.0.clone_from(&self.name);
        self.last.1 = id;
        id
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
