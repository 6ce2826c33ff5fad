//! Sums per series and window.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
};

use funnelpulse_core::{Columns, Frame, FrameError, Panel, SeriesKey, Timestamp};
use ndarray::Array2;

use super::silver::{Step, tidy_key};
use crate::absent::fill_alive;

/// The counts of one series in one window. Integers: the order of events makes no difference.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    steps: [u64; 3],
    micro_revenue: i128,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Aggregate {
    ids: HashMap<String, usize>,
    names: Vec<SeriesKey>,
    cells: HashMap<(usize, Timestamp), Cell>,
    /// The name being put together; kept for its memory.
    name: String,
}

impl Aggregate {
    pub(super) fn add(&mut self, keys: &[Option<&str>], window: Timestamp, step: Step, micro_price: i64) {
        let series = self.series(keys);
        let cell = self.cells.entry((series, window)).or_default();
        cell.steps[step as usize] += 1;
        if step == Step::Purchase {
            cell.micro_revenue += i128::from(micro_price);
        }
    }

    fn series(&mut self, keys: &[Option<&str>]) -> usize {
        let parts: Vec<_> = keys.iter().map(|k| tidy_key(*k)).collect();
        self.name.clear();
        for part in &parts {
            // With the length in front, different parts never make the same text.
            let _ = write!(self.name, "{}:{part}", part.len());
        }
        if let Some(&id) = self.ids.get(self.name.as_str()) {
            return id;
        }
        let id = self.names.len();
        self.ids.insert(self.name.clone(), id);
        self.names.push(SeriesKey::from_parts(&parts));
        id
    }

    /// `alive` are the windows for which the feed delivered something.
    pub(super) fn into_panel(self, columns: Columns, alive: &BTreeSet<Timestamp>) -> Result<Panel, FrameError> {
        let mut cells: Vec<_> = self.cells.into_iter().collect();
        cells.sort_unstable_by_key(|(place, _)| *place);
        let mut panel = Panel::new(columns.clone());
        for series in cells.chunk_by(|a, b| a.0.0 == b.0.0) {
            let time = series.iter().map(|((_, window), _)| *window).collect();
            let values = Array2::from_shape_fn((series.len(), columns.len()), |(row, column)| {
                let cell = &series[row].1;
                cell.steps.get(column).map_or(cell.micro_revenue as f64 / 1e6, |&count| count as f64)
            });
            let key = self.names[series[0].0.0].clone();
            panel.insert(key, Frame::new(time, columns.clone(), values)?)?;
        }
        fill_alive(panel, alive)
    }
}
