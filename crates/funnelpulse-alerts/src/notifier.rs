//! Which messages an incident is worth.

use std::collections::BTreeMap;

use funnelpulse_core::{Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Alert, AlertsError, Status};

/// Settings of [`Notifier`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotifierConfig {
    /// Incidents milder than this are not announced before they get this bad: `low`, `medium`, `high` or
    /// `critical`.
    #[schemars(with = "String")]
    pub min_severity: Severity,
    /// Whether the end of an incident is announced.
    pub resolved: bool,
    /// An incident that comes back within this many seconds after its end, and no worse, is not
    /// announced again, nor is its end; 0 to 31622400.
    pub quiet_seconds: u64,
}

impl Default for NotifierConfig {
    fn default() -> Self {
        Self { min_severity: Severity::Low, resolved: true, quiet_seconds: 3600 }
    }
}

/// What was announced of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announced {
    /// The worst so far.
    severity: Severity,
    title: String,
    messages: u64,
    ended: Option<Timestamp>,
    /// It came back while quiet: its end is no news.
    silent: bool,
}

/// One message when an incident begins, one whenever it becomes worse than announced, one when it is
/// over; nothing else, however often it is found again.
///
/// It knows neither clock nor network: the caller says what time it is and hands what comes out to
/// a [`Dispatcher`](crate::Dispatcher). Serialize it to go on after a restart.
///
/// ```
/// use funnelpulse_alerts::{Alert, Notifier, NotifierConfig, Status};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let mut notifier = Notifier::new(NotifierConfig::default())?;
/// let at = |hour: i64| Timestamp::from_seconds(hour * 3600);
/// let seen = |severity, hour| Alert::new("runail", severity, at(hour));
///
/// assert_eq!(notifier.raise(seen(Severity::Medium, 0)).unwrap().status, Status::Firing);
/// assert_eq!(notifier.raise(seen(Severity::Medium, 1)), None);
/// assert_eq!(notifier.raise(seen(Severity::High, 2)).unwrap().status, Status::Escalated);
/// assert_eq!(notifier.raise(seen(Severity::Low, 3)), None);
/// assert_eq!(notifier.resolve("runail", at(4)).unwrap().status, Status::Resolved);
/// assert_eq!(notifier.resolve("runail", at(5)), None);
/// # Ok::<(), funnelpulse_alerts::AlertsError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notifier {
    config: NotifierConfig,
    #[serde(alias = "told")]
    announced: BTreeMap<String, Announced>,
}

impl Notifier {
    /// Nothing announced yet.
    pub fn new(config: NotifierConfig) -> Result<Self, AlertsError> {
        Self { config: NotifierConfig::default(), announced: BTreeMap::new() }.with_config(config)
    }

    /// The same memory under other settings.
    pub fn with_config(self, config: NotifierConfig) -> Result<Self, AlertsError> {
        if config.quiet_seconds > 31_622_400 {
            return Err(AlertsError::field("quiet_seconds", config.quiet_seconds, "0 to 31622400"));
        }
        Ok(Self { config, ..self })
    }

    /// An incident is there, now or still, at the time of `alert`. What comes back is to be sent,
    /// with its id and status set.
    pub fn raise(&mut self, mut alert: Alert) -> Option<Alert> {
        self.forget(alert.time);
        if let Some(known) = self.announced.get_mut(&alert.incident) {
            let back = known.ended.take().is_some();
            if alert.severity <= known.severity {
                known.silent |= back;
                return None;
            }
            alert.status = if back { Status::Firing } else { Status::Escalated };
            known.severity = alert.severity;
            known.silent = false;
            known.title.clone_from(&alert.title);
            known.messages += 1;
            alert.id = format!("{}#{}@{}", alert.incident, known.messages, alert.time);
            return Some(alert);
        }
        if alert.severity < self.config.min_severity {
            return None;
        }
        // The time is part of the id: the next incident of this name begins anew at one.
        alert.status = Status::Firing;
        alert.id = format!("{}#1@{}", alert.incident, alert.time);
        let (severity, title) = (alert.severity, alert.title.clone());
        self.announced
            .insert(alert.incident.clone(), Announced { severity, title, messages: 1, ended: None, silent: false });
        Some(alert)
    }

    /// An incident is over. `None` where its beginning was not announced, or it was over before.
    pub fn resolve(&mut self, incident: &str, time: Timestamp) -> Option<Alert> {
        let known = self.announced.get_mut(incident)?;
        if known.ended.is_some() {
            return None;
        }
        known.ended = Some(time);
        if known.silent || !self.config.resolved {
            return None;
        }
        known.messages += 1;
        Some(Alert {
            id: format!("{incident}#{}@{time}", known.messages),
            status: Status::Resolved,
            title: known.title.clone(),
            text: "It is over.".to_owned(),
            ..Alert::new(incident, known.severity, time)
        })
    }

    /// The incidents that were announced and are not over, in order of their names.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.announced.iter().filter(|(_, known)| known.ended.is_none()).map(|(incident, _)| incident.as_str())
    }

    /// Drops incidents that have been over for longer than they can be silent about coming back.
    fn forget(&mut self, now: Timestamp) {
        let quiet = self.config.quiet_seconds as i64 * Timestamp::SECOND;
        self.announced.retain(|_, known| known.ended.is_none_or(|ended| now < ended.offset(quiet)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(incident: &str, severity: Severity, seconds: i64) -> Alert {
        Alert::new(incident, severity, Timestamp::from_seconds(seconds))
    }

    #[test]
    fn what_flaps_is_announced_once() {
        let mut notifier = Notifier::new(NotifierConfig::default()).unwrap();
        let at = Timestamp::from_seconds;
        assert!(notifier.raise(seen("a", Severity::High, 0)).is_some());
        assert!(notifier.resolve("a", at(10)).is_some());
        assert!(notifier.raise(seen("a", Severity::High, 20)).is_none());
        assert_eq!(notifier.open().collect::<Vec<_>>(), ["a"]);
        assert!(notifier.resolve("a", at(30)).is_none());
        // Worse than before is news, and so is its end.
        assert_eq!(notifier.raise(seen("a", Severity::Critical, 40)).unwrap().status, Status::Firing);
        assert!(notifier.resolve("a", at(50)).is_some());
        // So is the same after an hour.
        assert!(notifier.raise(seen("a", Severity::Low, 50 + 3600)).is_some());
    }

    #[test]
    fn mild_ones_wait_until_they_are_not() {
        let config = NotifierConfig { min_severity: Severity::High, resolved: false, ..NotifierConfig::default() };
        let mut notifier = Notifier::new(config).unwrap();
        assert!(notifier.raise(seen("a", Severity::Medium, 0)).is_none());
        assert!(notifier.resolve("a", Timestamp::from_seconds(1)).is_none());
        assert_eq!(notifier.raise(seen("a", Severity::High, 2)).unwrap().status, Status::Firing);
        assert!(notifier.resolve("a", Timestamp::from_seconds(3)).is_none());
        assert!(Notifier::new(NotifierConfig { quiet_seconds: u64::MAX, ..NotifierConfig::default() }).is_err());
    }

    #[test]
    fn goes_on_after_a_restart() {
        let mut notifier = Notifier::new(NotifierConfig::default()).unwrap();
        notifier.raise(seen("a", Severity::High, 0)).unwrap();
        let mut again: Notifier = serde_json::from_str(&serde_json::to_string(&notifier).unwrap()).unwrap();
        assert!(again.raise(seen("a", Severity::High, 1)).is_none());
        assert!(again.resolve("a", Timestamp::from_seconds(2)).is_some());
    }

    proptest! {
        #[test]
        fn ids_are_unique_and_ends_follow_beginnings(
            steps in prop::collection::vec((0..3u8, 0..5usize), 1..80),
        ) {
            let mut notifier = Notifier::new(NotifierConfig::default()).unwrap();
            let mut ids = std::collections::BTreeSet::new();
            let mut open = std::collections::BTreeSet::new();
            for (i, (name, what)) in steps.into_iter().enumerate() {
                let (name, time) = (name.to_string(), Timestamp::from_seconds(i as i64 * 900));
                let message = match Severity::ALL.get(what) {
                    Some(severity) => notifier.raise(Alert::new(name.clone(), *severity, time)),
                    None => notifier.resolve(&name, time),
                };
                if let Some(message) = message {
                    prop_assert!(ids.insert(message.id.clone()), "{}", message.id);
                    match message.status {
                        Status::Firing => open.insert(name),
                        Status::Escalated => open.contains(&name),
                        Status::Resolved => open.remove(&name),
                    };
                }
            }
        }
    }

    #[test]
    fn messages_of_an_incident_are_numbered() {
        let mut notifier = Notifier::new(NotifierConfig::default()).unwrap();
        let at = Timestamp::from_seconds;
        let first = notifier.raise(seen("a", Severity::Low, 0)).unwrap();
        let second = notifier.raise(seen("a", Severity::High, 10)).unwrap();
        let third = notifier.raise(seen("a", Severity::Critical, 20)).unwrap();
        let last = notifier.resolve("a", at(30)).unwrap();
        let ids = [(first.id, 1, 0), (second.id, 2, 10), (third.id, 3, 20), (last.id, 4, 30)];
        for (id, number, time) in ids {
            assert_eq!(id, format!("a#{number}@{}", at(time)));
        }
    }

    #[test]
    fn the_end_has_the_last_title_and_says_so() {
        let mut notifier = Notifier::new(NotifierConfig::default()).unwrap();
        let titled = |title: &str, severity, seconds| Alert { title: title.to_owned(), ..seen("a", severity, seconds) };
        notifier.raise(titled("fewer purchases", Severity::Low, 0)).unwrap();
        notifier.raise(titled("no purchases", Severity::High, 10)).unwrap();
        let last = notifier.resolve("a", Timestamp::from_seconds(30)).unwrap();
        assert_eq!((last.title.as_str(), last.text.as_str()), ("no purchases", "It is over."));
        assert_eq!((last.status, last.severity), (Status::Resolved, Severity::High));
    }
}
