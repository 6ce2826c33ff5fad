//! Closing of windows.

use std::ops::Range;

use funnelpulse_core::Timestamp;
use funnelpulse_features::Counts;

use super::{
    ClosedWindow, Engine, NEVER, Signal, WindowKind, WindowRow,
    pane::{Pane, merge},
};

impl Engine {
    /// Looks at the wall clock: partitions become idle, and the windows of a feed that stopped close. To be called
    /// every second or so, and before the first record. A clock that leaps does no harm: a step counts as at most a
    /// minute.
    pub fn tick(&mut self, now: Timestamp) {
        self.wall.tick(now);
        if self.partitions.find_idle(self.wall.elapsed, &self.config) {
            self.advance();
        }
        let Some(after) = self.config.silent_seconds.map(|s| s as i64 * Timestamp::SECOND) else { return };
        let quiet = self.wall.elapsed - self.active_at;
        if quiet < after {
            return;
        }
        if !self.silent {
            self.silent = true;
            self.signals.push(Signal::FeedStopped(self.partitions.newest()));
        }
        let lateness = self.config.lateness_seconds as i64 * Timestamp::SECOND;
        if let Some(newest) = self.partitions.newest() {
            self.advance_to(newest.offset(quiet).offset(-lateness));
        }
    }

    /// True while the feed counts as stopped.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// News about the feed since the last call.
    pub fn signals(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.signals)
    }

    /// Closes all windows: the input is at its end.
    pub fn flush(&mut self) {
        if let Some((&last, _)) = self.panes.last_key_value() {
            self.advance_to(last.floor_to(self.config.window()).offset(self.config.window()));
        }
    }

    /// The windows that closed since the last call, in order of their ends.
    pub fn drain(&mut self) -> Vec<ClosedWindow> {
        let mut closed = Vec::new();
        while let Some(end) = self.next_end().filter(|end| *end <= self.slid_until) {
            closed.push(self.close(end));
        }
        closed
    }

    /// Moves the watermark to where the partitions allow it.
    pub(super) fn advance(&mut self) {
        if let Some(watermark) = self.partitions.watermark(&self.config) {
            self.advance_to(watermark);
        }
    }

    fn advance_to(&mut self, watermark: Timestamp) {
        self.closed_until = self.closed_until.max(watermark.floor_to(self.config.window()));
        self.slid_until = self.slid_until.max(watermark.floor_to(self.config.pane()));
        let lateness = self.config.lateness_seconds as i64 * Timestamp::SECOND;
        self.next_check = self.slid_until.offset(self.config.pane()).offset(lateness);
    }

    /// After a restore: wall-clock time starts anew, so that the time that the process was away counts as no silence.
    pub(super) fn rebase(&mut self) {
        self.wall = super::clock::WallClock::default();
        self.active_at = 0;
        self.signals.clear();
        self.next_check = NEVER;
    }

    /// The end of the next window or slide in which the feed was alive.
    fn next_end(&self) -> Option<Timestamp> {
        let (window, pane) = (self.config.window(), self.config.pane());
        let (open, _) = self.panes.range(self.window_done..).next()?;
        let window_end = open.floor_to(window).offset(window);
        let slide = self.panes.range(self.slide_done.max(self.window_done)..).next();
        let slide_end = slide.map(|(start, _)| start.offset(pane)).filter(|_| window != pane);
        Some(slide_end.map_or(window_end, |end| end.min(window_end)))
    }

    fn close(&mut self, end: Timestamp) -> ClosedWindow {
        let window = self.config.window();
        let start = end.offset(-window);
        let kind = if end.floor_to(window) == end { WindowKind::Final } else { WindowKind::Early };
        let rows = self.rows(start..end, kind);
        self.slide_done = end;
        if kind == WindowKind::Final {
            self.window_done = end;
            self.forget(start, end);
        }
        ClosedWindow { start, end, kind, rows }
    }

    /// The rows of the series that began before the end of the window and have not expired.
    fn rows(&mut self, span: Range<Timestamp>, kind: WindowKind) -> Vec<WindowRow> {
        let panes: Vec<&Pane> = self.panes.range(span.clone()).map(|(_, pane)| pane).collect();
        let last = if kind == WindowKind::Final { span.start } else { span.end.offset(-1) };
        let oldest = oldest_alive(span.start, self.config.window(), self.config.expire_windows);
        let mut rows = Vec::with_capacity(self.series.len());
        let mut seen = Vec::new();
        for (id, series) in self.series.in_order().filter(|(_, s)| s.first <= last) {
            let mut counts = Counts::default();
            for pane in &panes {
                if let Some(cell) = pane.cells.get(&id) {
                    merge(&mut counts, cell);
                }
            }
            if counts != Counts::default() {
                seen.push(id);
            } else if series.last_closed < oldest {
                continue;
            }
            rows.push(WindowRow { series: series.name.clone(), counts });
        }
        if kind == WindowKind::Final {
            self.series.note_closed(&seen, span.start);
        }
        rows
    }

    /// Frees what no later window needs.
    fn forget(&mut self, start: Timestamp, end: Timestamp) {
        let remembered = &mut self.remembered;
        for (_, pane) in self.panes.range_mut(..end) {
            *remembered -= pane.seen.len();
            pane.seen = std::collections::HashSet::default();
        }
        // Slides reach back into the windows before them.
        let needed = end.offset(self.config.pane() - self.config.window());
        self.panes = self.panes.split_off(&needed);
        self.recent_pane = NEVER;
        if self.config.expire_windows.is_some() {
            self.series.expire(oldest_alive(start, self.config.window(), self.config.expire_windows));
        }
    }
}

/// A series whose last event is in a window before this has expired in the window that starts at `start`.
fn oldest_alive(start: Timestamp, window: i64, expire_windows: Option<u32>) -> Timestamp {
    expire_windows.map_or(NEVER, |n| start.offset(-window.saturating_mul(n.into())))
}
