//! Alerts on their way.

use std::collections::VecDeque;

use funnelpulse_core::BoxError;

use crate::Alert;

/// Delivers alerts.
pub trait Deliver {
    /// Delivers alerts in order. On an error all of them are delivered again later, so a receiver drops repeats by
    /// their [`id`](Alert::id).
    fn deliver(&mut self, alerts: &[Alert]) -> Result<(), BoxError>;
}

/// Drops all alerts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAlerts;

impl Deliver for NoAlerts {
    fn deliver(&mut self, _: &[Alert]) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Alerts that wait until the checkpoint that holds them is committed.
pub(super) struct Outbox {
    waiting: VecDeque<Alert>,
    /// Some of them are in no checkpoint yet.
    pub(super) has_new: bool,
    most: usize,
    receiver: Box<dyn Deliver>,
    pub(super) dropped: u64,
    pub(super) delivered: u64,
    pub(super) error: Option<String>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Outbox {
    pub(super) fn new(most: usize, receiver: Box<dyn Deliver>) -> Self {
        Self { waiting: VecDeque::new(), has_new: false, most, receiver, dropped: 0, delivered: 0, error: None }
    }

    pub(super) fn add(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            self.has_new = true;
            if self.waiting.len() >= self.most {
                self.waiting.pop_front();
                self.dropped += 1;
            }
            self.waiting.push_back(alert);
        }
    }

    pub(super) fn waiting(&self) -> Vec<Alert> {
        self.waiting.iter().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Delivers what a committed checkpoint holds.
    pub(super) fn send(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.receiver.deliver(self.waiting.make_contiguous()) {
            Ok(()) => {
                self.delivered += self.waiting.len() as u64;
                self.waiting.clear();
                self.error = None;
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }
}
