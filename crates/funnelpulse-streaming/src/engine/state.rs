//! The engine as bytes.

use std::collections::BTreeMap;

use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_features::Counts;
use serde::{Deserialize, Serialize};

use super::{
    Account, Engine,
    pane::Pane,
    partitions::{Partitions, SavedPartition},
    series::{Series, SeriesTable},
};
use crate::StreamError;

/// What a checkpoint holds of an engine. Everything is sorted: equal states are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineState {
    window_seconds: u64,
    slide_seconds: Option<u64>,
    closed_until: Timestamp,
    slid_until: Timestamp,
    window_done: Timestamp,
    slide_done: Timestamp,
    silent: bool,
    partitions: BTreeMap<String, SavedPartition>,
    /// Name, first window, last window, last closed window.
    series: Vec<(String, [Timestamp; 3])>,
    panes: Vec<SavedPane>,
    account: Account,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedPane {
    start: Timestamp,
    alive: bool,
    /// By place in the list of series.
    cells: Vec<(u32, Counts)>,
    /// In order, with the most significant byte first.
    seen: Vec<[u8; 16]>,
}

impl Engine {
    /// The state, for a checkpoint. Takes time in proportion to the open windows.
    pub fn state(&mut self) -> EngineState {
        let mut place = vec![u32::MAX; self.series.numbers()];
        let mut series = Vec::with_capacity(self.series.len());
        for (id, s) in self.series.in_order() {
            place[id as usize] = series.len() as u32;
            series.push((s.name.as_str().to_owned(), [s.first, s.last, s.last_closed]));
        }
        EngineState {
            window_seconds: self.config.window_seconds,
            slide_seconds: self.config.slide_seconds,
            closed_until: self.closed_until,
            slid_until: self.slid_until,
            window_done: self.window_done,
            slide_done: self.slide_done,
            silent: self.silent,
            partitions: self.partitions.save(),
            series,
            panes: self.panes.iter().map(|(start, pane)| save_pane(*start, pane, &place)).collect(),
            account: self.account.clone(),
        }
    }

    /// Replaces the state by one that was saved. The settings may differ, except for the lengths of window and slide.
    pub fn restore(&mut self, state: EngineState) -> Result<(), StreamError> {
        let other = |field, saved: String, now: String| Err(StreamError::OtherSettings { field, saved, now });
        let config = &self.config;
        if state.window_seconds != config.window_seconds {
            return other("window_seconds", state.window_seconds.to_string(), config.window_seconds.to_string());
        }
        if state.slide_seconds != config.slide_seconds {
            let show = |s: Option<u64>| s.map_or("none".into(), |s| s.to_string());
            return other("slide_seconds", show(state.slide_seconds), show(config.slide_seconds));
        }
        let corrupt =
            |reason: &str| StreamError::Corrupt { place: "state of the engine".into(), reason: reason.into() };
        let (mut series, mut windows) = (SeriesTable::default(), Vec::with_capacity(state.series.len()));
        for (name, [first, last, last_closed]) in state.series {
            if series.find(&name).is_some() {
                return Err(corrupt("a series comes twice"));
            }
            windows.push(series.add(Series { name: SeriesKey::new(name), first, last, last_closed }));
        }
        let mut panes = BTreeMap::new();
        for saved in state.panes {
            if saved.start.floor_to(self.config.pane()) != saved.start {
                return Err(corrupt("a window does not start at a multiple of its length"));
            }
            let mut pane = Pane { alive: saved.alive, ..Pane::default() };
            for (place, counts) in saved.cells {
                let id = *windows.get(place as usize).ok_or_else(|| corrupt("a count is of no known series"))?;
                pane.cells.insert(id, counts);
            }
            pane.seen = saved.seen.into_iter().map(u128::from_be_bytes).collect();
            if panes.insert(saved.start, pane).is_some() {
                return Err(corrupt("a window comes twice"));
            }
        }
        if !state.account.balances() {
            return Err(corrupt("the account of the records does not balance"));
        }
        self.remembered = panes.values().map(|p| p.seen.len()).sum();
        self.series = series;
        self.panes = panes;
        self.recent_pane = super::NEVER;
        self.partitions = Partitions::restore(state.partitions);
        (self.closed_until, self.slid_until) = (state.closed_until, state.slid_until);
        (self.window_done, self.slide_done) = (state.window_done, state.slide_done);
        self.silent = state.silent;
        self.account = state.account;
        self.rebase();
        Ok(())
    }
}

fn save_pane(start: Timestamp, pane: &Pane, place: &[u32]) -> SavedPane {
    let mut cells: Vec<_> = pane.cells.iter().map(|(id, counts)| (place[*id as usize], *counts)).collect();
    cells.sort_unstable_by_key(|(place, _)| *place);
    let mut seen: Vec<u128> = pane.seen.iter().copied().collect();
    seen.sort_unstable();
    SavedPane { start, alive: pane.alive, cells, seen: seen.into_iter().map(u128::to_be_bytes).collect() }
}
