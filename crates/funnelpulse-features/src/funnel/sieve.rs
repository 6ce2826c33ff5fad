//! The checks that every event passes before it counts.

use std::collections::BTreeSet;

use funnelpulse_core::Timestamp;

use super::{Event, EventScreen, EventSpec, IngestReport, Rejection, Screened, ValidEvent, seen::Seen, silver::Step};
use crate::FeatureError;

/// Validation, deduplication and account: the same for every table that events are counted in, so
/// that their totals agree.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    screen: EventScreen,
    step: i64,
    seen: Seen,
    /// Windows for which the feed delivered something.
    pub(super) alive: BTreeSet<Timestamp>,
    /// The window that was found alive last.
    latest: Option<Timestamp>,
    pub(super) report: IngestReport,
}

/// An event that counts.
pub(super) struct Counted {
    pub(super) window: Timestamp,
    pub(super) step: Step,
    pub(super) micro_price: i64,
}

impl Sieve {
    pub(super) fn new(spec: &EventSpec, step_seconds: u64) -> Result<Self, FeatureError> {
        let screen = EventScreen::new(spec)?;
        if step_seconds == 0 || step_seconds > 366 * 86_400 {
            return Err(FeatureError::field("step_seconds", step_seconds, "1 to 31622400"));
        }
        Ok(Self {
            screen,
            step: step_seconds as i64 * Timestamp::SECOND,
            seen: Seen::new(spec.dedup_horizon_hours),
            alive: BTreeSet::new(),
            latest: None,
            report: IngestReport::default(),
        })
    }

    /// The window that holds a moment.
    pub(super) fn window(&self, time: Timestamp) -> Timestamp {
        time.floor_to(self.step)
    }

    /// The counted part of the event; `None` if it is rejected, ignored or a duplicate. `identity` is
    /// that of the event.
    pub(super) fn sift(&mut self, event: &Event<'_>, identity: Option<u128>) -> Option<Counted> {
        self.report.read += 1;
        let valid = match self.screen.screen_as(event, identity) {
            Screened::Rejected(reason, price) => {
                let value = price.map_or_else(|| event.event_type.to_owned(), |price| price.to_string());
                self.report.reject(reason, &value);
                return None;
            }
            Screened::Ignored(event_type) => {
                self.note_alive(self.window(event.time));
                self.report.ignore(&event_type);
                return None;
            }
            Screened::Valid(valid) => valid,
        };
        let window = self.window(event.time);
        self.note_alive(window);
        if valid.fingerprint.is_some_and(|f| !self.seen.insert(window, f)) {
            self.report.duplicates += 1;
            return None;
        }
        let ValidEvent { step, micro_price, .. } = valid;
        match step {
            Step::View => self.report.views += 1,
            Step::Cart => self.report.carts += 1,
            Step::Purchase => self.report.purchases += 1,
        }
        if step == Step::Purchase && micro_price.is_none() {
            self.report.purchases_without_price += 1;
        }
        Some(Counted { window, step, micro_price: micro_price.unwrap_or_default() })
    }

    fn note_alive(&mut self, window: Timestamp) {
        if self.latest.replace(window) != Some(window) {
            self.alive.insert(window);
        }
    }

    pub(super) fn reject(&mut self, reason: Rejection, value: &str) {
        self.report.read += 1;
        self.report.reject(reason, value);
    }
}
