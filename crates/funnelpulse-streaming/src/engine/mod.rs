//! Event time: events in, closed windows out. No input or output, no clock and no threads: the wall clock is data.

mod account;
mod clock;
mod close;
mod closed;
mod config;
mod pane;
mod partitions;
mod series;
mod state;

use std::collections::BTreeMap;

use funnelpulse_core::Timestamp;
use funnelpulse_features::{Counts, Event, EventScreen, EventSpec, Screened, Step, ValidEvent, series_name};

pub use account::{Account, Fate, Refusal};
pub use closed::{ClosedWindow, GOLD_COLUMNS, WindowKind, WindowRow, gold_batch};
pub use config::EngineConfig;
pub use partitions::PartitionIndex;
pub use state::EngineState;

use self::{
    clock::WallClock,
    pane::Pane,
    partitions::{Partitions, Status},
    series::SeriesTable,
};
use crate::StreamError;

/// News about the feed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// No record for `silent_seconds`. The last event was at this time.
    FeedStopped(Option<Timestamp>),
    /// Records come again.
    FeedResumed,
}

/// Turns events into closed windows.
///
/// Events are validated, named, deduplicated and counted as by
/// [`FunnelBuilder`](funnelpulse_features::FunnelBuilder), so that the final windows are the rows of the batch: a row
/// for each window in which the feed was alive, from the first event of the series on.
///
/// A window closes when the **watermark** passes its end. The watermark of a partition is the time of its newest
/// event less the allowed lateness; that of the engine is the smallest of all partitions that are neither idle nor
/// finished. An event whose window is closed is late. Repeats of an event have its time, so they are remembered as
/// long as their window is open; a repeat after that is late and is not counted either.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{Event, EventSpec};
/// use funnelpulse_streaming::{Engine, EngineConfig, Fate};
///
/// let config = EngineConfig { jump_confirmations: 1, ..EngineConfig::new(60) };
/// let mut engine = Engine::new(&EventSpec::default(), config)?;
/// let partition = engine.assign("shop/0", None);
/// let view = |seconds: i64| Event {
///     time: Timestamp::from_seconds(1_569_888_000 + seconds),
///     event_type: "view",
///     keys: &[Some("Runail")],
///     product: Some("5"),
///     user: Some("ann"),
///     session: None,
///     price: None,
/// };
/// assert_eq!(engine.push(partition, &view(10)), Fate::Counted);
/// assert_eq!(engine.push(partition, &view(10)), Fate::Duplicate);
/// assert_eq!(engine.push(partition, &view(3630)), Fate::Counted);
/// assert!(engine.drain().is_empty(), "30 seconds into the hour, with 60 seconds of lateness");
/// engine.push(partition, &view(3660));
/// let closed = engine.drain();
/// assert_eq!((closed.len(), closed[0].rows[0].counts.views), (1, 1));
/// assert_eq!(engine.push(partition, &view(20)), Fate::Late);
/// assert!(engine.account().balances());
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    config: EngineConfig,
    screen: EventScreen,
    keys: usize,
    partitions: Partitions,
    wall: WallClock,
    /// Elapsed wall-clock time at the last record.
    active_at: i64,
    /// The feed counts as stopped.
    silent: bool,
    signals: Vec<Signal>,
    /// Windows that start before this are closed.
    closed_until: Timestamp,
    /// Panes that end before or at this are over.
    slid_until: Timestamp,
    /// The end of the last window, and of the last pane, that was handed out.
    window_done: Timestamp,
    slide_done: Timestamp,
    /// A partition that gets here may move the watermark past the end of a pane.
    next_check: Timestamp,
    panes: BTreeMap<Timestamp, Pane>,
    /// The pane of the last event, which is open, and its window; `NEVER` if there is none.
    recent_pane: Timestamp,
    recent_window: Timestamp,
    series: SeriesTable,
    /// Fingerprints in all panes.
    remembered: usize,
    account: Account,
    /// The name being put together; kept for its memory.
    name: String,
}

/// Before all times.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

impl Engine {
    /// An engine without partitions.
    pub fn new(spec: &EventSpec, config: EngineConfig) -> Result<Self, StreamError> {
        config.validate()?;
        Ok(Self {
            screen: EventScreen::new(spec)?,
            keys: spec.keys.len(),
            config,
            partitions: Partitions::default(),
            wall: WallClock::default(),
            active_at: 0,
            silent: false,
            signals: Vec::new(),
            closed_until: NEVER,
            slid_until: NEVER,
            window_done: NEVER,
            slide_done: NEVER,
            next_check: NEVER,
            panes: BTreeMap::new(),
            recent_pane: NEVER,
            recent_window: NEVER,
            series: SeriesTable::default(),
            remembered: 0,
            account: Account::default(),
            name: String::new(),
        })
    }

    /// Adds a partition, or takes up one that was known by this name. It holds the watermark back until it has had
    /// records, is idle or is [finished](Self::finish_partition). None of its records is older than `not_before`, where
    /// that is known.
    pub fn assign(&mut self, name: &str, not_before: Option<Timestamp>) -> PartitionIndex {
        self.partitions.assign(name, not_before, self.wall.elapsed)
    }

    /// No more records of this partition will come, or another process reads it: it no longer holds the watermark
    /// back.
    pub fn finish_partition(&mut self, partition: PartitionIndex) {
        self.partitions.all[partition.0 as usize].status = Status::Finished;
        self.advance();
    }

    /// Adds an event and says where it went.
    pub fn push(&mut self, partition: PartitionIndex, event: &Event<'_>) -> Fate {
        self.push_identified(partition, event, None)
    }

    /// The same for an event whose [identity](Event::identity) may be known already.
    pub fn push_identified(&mut self, partition: PartitionIndex, event: &Event<'_>, identity: Option<u128>) -> Fate {
        self.touch(partition);
        let fate = self.sift(partition, event, identity);
        self.account.record(fate);
        fate
    }

    /// Counts a record that can't be read as an event.
    pub fn dead_letter(&mut self, partition: PartitionIndex) {
        self.touch(partition);
        self.account.dead_letter();
    }

    #[inline]
    fn touch(&mut self, partition: PartitionIndex) {
        self.partitions.touch(partition, self.wall.elapsed);
        self.active_at = self.wall.elapsed;
        if self.silent {
            self.silent = false;
            self.signals.push(Signal::FeedResumed);
        }
    }

    #[inline]
    fn sift(&mut self, partition: PartitionIndex, event: &Event<'_>, identity: Option<u128>) -> Fate {
        let time = event.time;
        let screened = match identity {
            None => self.screen.screen(event),
            known => self.screen.screen_as(event, known),
        };
        let valid = match screened {
            Screened::Rejected(reason, _) => return Fate::Rejected(Refusal::Invalid(reason)),
            Screened::Ignored(_) => None,
            Screened::Valid(valid) => Some(valid),
        };
        if time < self.config.earliest {
            return Fate::Rejected(Refusal::TooOld);
        }
        if self.is_ahead(time) {
            return Fate::Rejected(Refusal::AheadOfClock);
        }
        let window = self.window_of(time);
        let fate = match valid {
            None if window < self.closed_until => return Fate::Ignored,
            Some(_) if window < self.closed_until => return Fate::Late,
            None => self.note_alive(time),
            Some(valid) => self.count(event, window, &valid),
        };
        let clock = &mut self.partitions.all[partition.0 as usize].clock;
        if clock.observe(time, &self.config) && time >= self.next_check {
            self.advance();
        }
        fate
    }

    /// Whether a time is too far ahead of the wall clock, and of all that the feed showed.
    #[inline]
    fn is_ahead(&self, time: Timestamp) -> bool {
        let ahead = self.config.ahead_seconds as i64 * Timestamp::SECOND;
        let beyond = |limit: Timestamp| time > limit.offset(ahead);
        self.wall.latest.is_some_and(beyond) && self.partitions.newest().is_none_or(beyond)
    }

    /// The window of a moment. Most events fall into that of the one before, which saves a division.
    #[inline]
    fn window_of(&self, time: Timestamp) -> Timestamp {
        let length = self.config.window();
        let after = time.as_micros().wrapping_sub(self.recent_window.as_micros());
        if (0..length).contains(&after) { self.recent_window } else { time.floor_to(length) }
    }

    /// The start of the pane of a moment, which is open from now on; `None` if it would be one too many.
    #[inline]
    fn open(&mut self, time: Timestamp) -> Option<Timestamp> {
        let length = self.config.pane();
        let after = time.as_micros().wrapping_sub(self.recent_pane.as_micros());
        if (0..length).contains(&after) { Some(self.recent_pane) } else { self.open_other(time.floor_to(length)) }
    }

    /// Opens the pane that starts then, unless it is open; it is the recent one from now on.
    fn open_other(&mut self, start: Timestamp) -> Option<Timestamp> {
        if !self.panes.contains_key(&start) {
            if self.panes.len() >= self.config.max_open {
                return None;
            }
            // As many events as in the pane right before it: tables that don't grow on the way cost less.
            let before = self.panes.get(&start.offset(-self.config.pane())).map_or(0, |pane| pane.seen.len());
            self.panes.insert(start, Pane::with_room(before));
        }
        self.recent_pane = start;
        self.recent_window = start.floor_to(self.config.window());
        Some(start)
    }

    fn note_alive(&mut self, time: Timestamp) -> Fate {
        match self.open(time) {
            Some(start) => {
                self.panes.entry(start).or_default().alive = true;
                Fate::Ignored
            }
            None => Fate::Rejected(Refusal::TooManyOpen),
        }
    }

    /// Counts a sound event of an open window.
    #[inline]
    fn count(&mut self, event: &Event<'_>, window: Timestamp, valid: &ValidEvent) -> Fate {
        let Some(start) = self.open(event.time) else { return Fate::Rejected(Refusal::TooManyOpen) };
        self.name_series(event);
        let Self { config, panes, series, remembered, account, name, .. } = self;
        let full = *remembered >= config.max_remembered;
        let pane = panes.entry(start).or_default();
        pane.alive = true;
        // Before its series is looked up: a repeat under another name does not make that a series.
        match valid.fingerprint {
            Some(f) if full && pane.seen.contains(&f) => return Fate::Duplicate,
            Some(_) if full => return Fate::Rejected(Refusal::TooManyRemembered),
            Some(f) if !pane.seen.insert(f) => return Fate::Duplicate,
            _ => {}
        }
        let refused = match series.find_or_add(name, window, config.max_series) {
            None => Some(Refusal::TooManySeries),
            Some(id) => {
                let refused = pane.count(id, valid, config.max_events_per_series);
                if refused.is_none() {
                    series.touch(id, window);
                }
                refused
            }
        };
        if let Some(refusal) = refused {
            valid.fingerprint.map(|f| pane.seen.remove(&f));
            return Fate::Rejected(refusal);
        }
        *remembered += usize::from(valid.fingerprint.is_some());
        account.purchases_without_price += u64::from(valid.step == Step::Purchase && valid.micro_price.is_none());
        Fate::Counted
    }

    /// Puts the name of the event's series together.
    #[inline]
    fn name_series(&mut self, event: &Event<'_>) {
        if event.keys.len() == self.keys {
            series_name(event.keys, &mut self.name);
        } else {
            // Missing keys count as null, those beyond are left out.
            let mut keys = event.keys.to_vec();
            keys.resize(self.keys, None);
            series_name(&keys, &mut self.name);
        }
    }

    /// Adds a window that another instance closed, of the same lengths of window and slide, or some of its rows. With the
    /// `last` of them its end becomes the watermark of the partition. Windows of several instances add up to those of one.
    /// Counts as one record.
    pub fn absorb(
        &mut self,
        partition: PartitionIndex,
        closed: &ClosedWindow,
        last: bool,
    ) -> Result<Fate, StreamError> {
        let length = closed.end.as_micros() - closed.start.as_micros();
        if closed.kind == WindowKind::Early || length != self.config.pane() {
            let allowed = format!("final windows of {} us", self.config.pane());
            return Err(StreamError::setting("window", format!("{length} us"), allowed));
        }
        self.touch(partition);
        let fate = if closed.start < self.closed_until { Fate::Late } else { self.add_rows(closed) };
        self.account.record(fate);
        if last {
            let lateness = self.config.lateness_seconds as i64 * Timestamp::SECOND;
            self.partitions.all[partition.0 as usize].clock.advance_to(closed.end.offset(lateness));
            self.advance();
        }
        Ok(fate)
    }

    fn add_rows(&mut self, closed: &ClosedWindow) -> Fate {
        let window = closed.start.floor_to(self.config.window());
        if self.open(closed.start).is_none() {
            return Fate::Rejected(Refusal::TooManyOpen);
        }
        let mut fate = Fate::Counted;
        self.panes.entry(closed.start).or_default().alive = true;
        for row in closed.rows.iter().filter(|row| row.counts != Counts::default()) {
            self.name.clear();
            self.name.push_str(row.series.as_str());
            let Some(id) = self.series.find_or_add(&self.name, window, self.config.max_series) else {
                fate = Fate::Rejected(Refusal::TooManySeries);
                continue;
            };
            self.series.touch(id, window);
            let cell = self.panes.entry(closed.start).or_default().cells.entry(id).or_default();
            pane::merge(cell, &row.counts);
        }
        fate
    }

    /// The account of all records so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The settings.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The time before which no event counts any more; `None` before the first window closed.
    pub fn closed_until(&self) -> Option<Timestamp> {
        Some(self.closed_until).filter(|t| *t != NEVER)
    }

    /// The time before which no event is expected.
    pub fn watermark(&self) -> Option<Timestamp> {
        self.partitions.watermark(&self.config)
    }

    /// The time of the newest event.
    pub fn newest(&self) -> Option<Timestamp> {
        self.partitions.newest()
    }

    /// The partitions from which records are expected: name, time of the newest event, and whether it is idle.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, Option<Timestamp>, bool)> {
        let open = self.partitions.all.iter().filter(|partition| partition.status != Status::Finished);
        open.map(|partition| (partition.name.as_str(), partition.clock.time, partition.status == Status::Idle))
    }

    /// Series that are known, windows or slides that are held, and events that are remembered.
    pub fn sizes(&self) -> [usize; 3] {
        [self.series.len(), self.panes.len(), self.remembered]
    }
}

#[cfg(test)]
mod tests;
