//! The series that are known.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use funnelpulse_core::{SeriesKey, Timestamp};

/// One series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) name: SeriesKey,
    /// The first window with an event of it: its rows begin there.
    pub(super) first: Timestamp,
    /// The last window with an event of it, open or closed: while it is open the number is in use.
    pub(super) last: Timestamp,
    /// The last closed window with an event of it: what expiry goes by, so that it does not depend on how far the
    /// input is ahead of the windows.
    pub(super) last_closed: Timestamp,
}

/// All series, by number. Numbers of expired series are used again.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesTable {
    ids: HashMap<SeriesKey, u32, RandomState>,
    all: Vec<Option<Series>>,
    free: Vec<u32>,
    /// The numbers in order of the names.
    sorted: Vec<u32>,
    /// Series that are not in `sorted` yet.
    fresh: Vec<u32>,
}

impl SeriesTable {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// All numbers are smaller than this.
    pub(super) fn numbers(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The number of a series, which is added with its first window; `None` if it would be one too many.
    #[inline]
    pub(super) fn find_or_add(&mut self, name: &str, window: Timestamp, most: usize) -> Option<u32> {
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        let series = || Series { name: SeriesKey::new(name), first: window, last: window, last_closed: window };
        (self.len() < most).then(series).map(|series| self.add(series))
    }

    /// Notes an event of a known series in a window.
    #[inline]
    pub(super) fn touch(&mut self, id: u32, window: Timestamp) {
        if let Some(series) = &mut self.all[id as usize] {
            series.first = series.first.min(window);
            series.last = series.last.max(window);
        }
    }

    /// Notes that a window with events of these series closed.
    pub(super) fn note_closed(&mut self, ids: &[u32], window: Timestamp) {
        for id in ids {
            if let Some(series) = &mut self.all[*id as usize] {
                series.last_closed = series.last_closed.max(window);
            }
        }
    }

    /// Adds a series that is not known.
    pub(super) fn add(&mut self, series: Series) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() as u32 - 1
        });
        self.ids.insert(series.name.clone(), id);
        self.all[id as usize] = Some(series);
        self.fresh.push(id);
        id
    }

    /// The series in order of their names.
    pub(super) fn in_order(&mut self) -> impl Iterator<Item = (u32, &Series)> {
        if !self.fresh.is_empty() {
            self.sorted.append(&mut self.fresh);
            let all = &self.all;
            // A sorted run with a short tail: the sort finds it.
            self.sorted.sort_by(|a, b| name(all, *a).cmp(&name(all, *b)));
        }
        self.sorted.iter().filter_map(|id| Some((*id, self.all[*id as usize].as_ref()?)))
    }

    /// Forgets series without an event since before this window.
    pub(super) fn expire(&mut self, before: Timestamp) {
        let Self { ids, all, free, sorted, fresh } = self;
        sorted.append(fresh);
        sorted.retain(|&id| {
            let place = &mut all[id as usize];
            let expired = place.take_if(|s| s.last < before);
            if let Some(series) = &expired {
                ids.remove(&series.name);
                free.push(id);
            }
            expired.is_none()
        });
        sorted.sort_by(|a, b| name(all, *a).cmp(&name(all, *b)));
    }
}

fn name(all: &[Option<Series>], id: u32) -> Option<&SeriesKey> {
    all[id as usize].as_ref().map(|s| &s.name)
}
