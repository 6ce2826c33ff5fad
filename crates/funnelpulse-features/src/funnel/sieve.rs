//! The checks that every event passes before it counts.

use std::collections::BTreeSet;

use funnelpulse_core::Timestamp;

use super::{
    Event, EventSpec, IngestReport, Rejection,
    seen::Seen,
    silver::{Step, Vocabulary, micro_price, tidy},
};
use crate::FeatureError;

/// Validation, deduplication and account: the same for every table that events are counted in, so
/// that their totals agree.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    vocabulary: Vocabulary,
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
        spec.validate()?;
        if step_seconds == 0 || step_seconds > 366 * 86_400 {
            return Err(FeatureError::field("step_seconds", step_seconds, "1 to 31622400"));
        }
        Ok(Self {
            vocabulary: Vocabulary::new(spec),
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
        let event_type = tidy(event.event_type);
        if event_type.is_empty() {
            self.report.reject(Rejection::EventType, event.event_type);
            return None;
        }
        let micro_price = match micro_price(event.price) {
            Ok(price) => price,
            Err((reason, price)) => {
                self.report.reject(reason, &price.to_string());
                return None;
            }
        };
        let window = self.window(event.time);
        if self.latest.replace(window) != Some(window) {
            self.alive.insert(window);
        }
        let Some(step) = self.vocabulary.step(&event_type) else {
            self.report.ignore(&event_type);
            return None;
        };
        if identity.is_some_and(|identity| !self.seen.insert(window, identity ^ step as u128)) {
            self.report.duplicates += 1;
            return None;
        }
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

    pub(super) fn reject(&mut self, reason: Rejection, value: &str) {
        self.report.read += 1;
        self.report.reject(reason, value);
    }
}
