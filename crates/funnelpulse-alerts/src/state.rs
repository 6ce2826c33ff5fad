//! What is news, over many runs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use funnelpulse_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Alert, AlertCandidate, AlertsError, Notifier, NotifierConfig, Observation, spool::beside};

/// The ending of the file in which a state is written before it takes the place of the last one.
pub(crate) const FRESH: &str = "new";

/// Something that only later data reveal is announced if it ended at most this long before the end of
/// the data: findings of the last two days are provisional, and a run may be a day late.
const LATE: i64 = 3 * Timestamp::DAY;

/// The result of an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// The alerts to send, in order. They are in the [outbox](AlertState::outbox) too.
    pub alerts: Vec<Alert>,
    /// Whether the data end before those of an earlier observation: then nothing in them is news, and
    /// nothing is over.
    pub outdated: bool,
}

/// Which messages are due, from one look at the data to the next: the memory of a program that
/// looks every hour.
///
/// - The first observation announces what goes on at the end of the data, not all of history.
/// - Later ones announce what began since, what has become worse, and what is over, as [`Notifier`]
///   decides.
/// - What later data reveal is announced late, its beginning and its end at once, if it ended within the
///   last three days, after the first observation, and overlaps nothing that was announced of its series.
/// - What was announced and is not found any more is over, provided its series was looked at.
/// - Data that end before those of an earlier observation change nothing.
///
/// Alerts stay in the [outbox](Self::outbox), which is saved with the rest, until the caller says
/// that somebody else keeps them: a crash between the decision and the spool loses none. Their ids
/// are the same after the crash, so that [`send_once`](crate::Dispatcher::send_once) sends none twice.
///
/// ```
/// use funnelpulse_alerts::{AlertCandidate, AlertState, NotifierConfig, Observation, Status};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let at = |hour: i64| Timestamp::from_seconds(hour * 3600);
/// let mut state = AlertState::new(NotifierConfig::default())?;
/// let mut outage = AlertCandidate::new("runail/checkout", "runail", Severity::High, at(5), at(8));
///
/// // It is over when the program looks for the first time: history.
/// assert!(state.update(&Observation::new(at(24), vec![outage.clone()])).alerts.is_empty());
/// // It is back.
/// (outage.start, outage.end, outage.ongoing) = (at(24), at(25), true);
/// let news = state.update(&Observation::new(at(25), vec![outage]));
/// assert_eq!(news.alerts[0].status, Status::Firing);
/// // It is gone.
/// let news = state.update(&Observation::new(at(26), vec![]));
/// assert_eq!(news.alerts[0].status, Status::Resolved);
/// assert_eq!(state.outbox().len(), 2);
/// # Ok::<(), funnelpulse_alerts::AlertsError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlertState {
    notifier: Notifier,
    /// The end of the data at the last observation, microseconds.
    until: Option<i64>,
    /// The series of what was announced and is not over.
    #[serde(default)]
    series: BTreeMap<String, String>,
    #[serde(default)]
    outbox: Vec<Alert>,
    /// The end of the data at the first observation, microseconds: what ended before is history.
    #[serde(default)]
    first: Option<i64>,
    /// What was announced and ended lately or goes on.
    #[serde(default)]
    announced: Vec<Announced>,
}

/// When something happened that was announced, as far as it is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Announced {
    incident: String,
    series: String,
    start: i64,
    end: i64,
}

impl Announced {
    fn of(candidate: &AlertCandidate) -> Self {
        let (start, end) = (candidate.start.as_micros(), candidate.end.as_micros());
        Self { incident: candidate.id.clone(), series: candidate.series.clone(), start, end }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.series == other.series && self.start < other.end && other.start < self.end
    }
}

impl AlertState {
    /// Nothing announced yet.
    pub fn new(config: NotifierConfig) -> Result<Self, AlertsError> {
        let (notifier, series) = (Notifier::new(config)?, BTreeMap::new());
        Ok(Self { notifier, until: None, series, outbox: Vec::new(), first: None, announced: Vec::new() })
    }

    /// The state that [`save`](Self::save) left in a file, or a new one where there is no file.
    /// The settings are those given, not those of the time when it was saved.
    pub fn load(path: &Path, config: NotifierConfig) -> Result<Self, AlertsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::new(config),
            Err(error) => return Err(AlertsError::file(path, error)),
        };
        let state: Self = serde_json::from_str(&text)
            .map_err(|e| AlertsError::State { path: path.to_owned(), reason: e.to_string() })?;
        Ok(Self { notifier: state.notifier.with_config(config)?, ..state })
    }

    /// Saves the state: the file holds the old state or the new one, whatever happens.
    pub fn save(&self, path: &Path) -> Result<(), AlertsError> {
        let failed = |e| AlertsError::file(path, e);
        let text = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        // Always the same name: what a kill leaves behind is overwritten by the next run.
        let fresh = beside(path, FRESH);
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&fresh)?;
            io::Write::write_all(&mut file, &text)?;
            file.sync_all()?;
            fs::rename(&fresh, path)
        };
        write().map_err(failed)?;
        let folder = folder_of(path);
        if cfg!(unix) {
            fs::File::open(&folder).and_then(|f| f.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// The end of the data at the last observation.
    pub fn until(&self) -> Option<Timestamp> {
        self.until.map(Timestamp::from_micros)
    }

    /// What was announced and is not over, in order of the names.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.notifier.open()
    }

    /// Alerts that are due and that nobody else keeps yet, the oldest first.
    pub fn outbox(&self) -> &[Alert] {
        &self.outbox
    }

    /// Says which alerts of the outbox are still to be kept here.
    pub fn retain_outbox(&mut self, keep: impl FnMut(&Alert) -> bool) {
        self.outbox.retain(keep);
    }

    /// Compares an observation with those before. The alerts that are due are added to the outbox.
    pub fn update(&mut self, observation: &Observation) -> News {
        let until = observation.until;
        if self.until.is_some_and(|before| until.as_micros() < before) {
            return News { alerts: Vec::new(), outdated: true };
        }
        let mut alerts = self.announce(observation);
        alerts.extend(self.conclude(observation));
        // The states of earlier releases do not know their first observation.
        self.first = self.first.or(self.until).or(Some(until.as_micros()));
        self.until = Some(until.as_micros());
        self.announced.retain(|a| a.end > until.as_micros().saturating_sub(LATE));
        let open: Vec<&str> = self.notifier.open().collect();
        self.series.retain(|id, _| open.contains(&id.as_str()));
        self.outbox.extend(alerts.iter().cloned());
        News { alerts, outdated: false }
    }

    /// What began, became worse or began and ended since the last observation, or is found only now.
    fn announce(&mut self, observation: &Observation) -> Vec<Alert> {
        let until = observation.until;
        let mut recent: Vec<&AlertCandidate> = observation.candidates.iter().collect();
        // At first only what lasts until the end of the data.
        let since = self.until.unwrap_or(until.as_micros().saturating_sub(1));
        recent.retain(|c| c.ongoing || c.end.as_micros() > since || self.is_late_news(c, observation));
        recent.sort_by_key(|c| (c.start, &c.id));
        let mut alerts = Vec::new();
        for candidate in recent {
            alerts.extend(self.notifier.raise(candidate.alert(until)));
            let is_open = self.notifier.open().any(|id| id == candidate.id);
            if candidate.ongoing {
                self.series.insert(candidate.id.clone(), candidate.series.clone());
            } else {
                alerts.extend(self.notifier.resolve(&candidate.id, candidate.end));
            }
            if is_open {
                let now = Announced::of(candidate);
                self.announced.retain(|a| a.incident != now.incident || !a.overlaps(&now));
                self.announced.push(now);
            }
        }
        alerts
    }

    /// Whether something that was over at the last observation is found only now.
    fn is_late_news(&self, candidate: &AlertCandidate, observation: &Observation) -> bool {
        let Some(first) = self.first.or(self.until) else { return false };
        let oldest = first.max(observation.until.as_micros().saturating_sub(LATE));
        let known = Announced::of(candidate);
        // One of the same name that goes on would be taken for over.
        let goes_on = || {
            self.notifier.open().any(|id| id == candidate.id)
                || observation.candidates.iter().any(|c| c.ongoing && c.id == candidate.id)
        };
        known.end > oldest && !self.announced.iter().any(|a| a.overlaps(&known)) && !goes_on()
    }

    /// What was announced, is not found any more, and is not just starting over.
    fn conclude(&mut self, observation: &Observation) -> Vec<Alert> {
        let ongoing = |id: &str| observation.candidates.iter().any(|c| c.ongoing && c.id == id);
        let watched = |id: &str| self.series.get(id).is_none_or(|series| observation.watches(series));
        let over: Vec<String> =
            self.notifier.open().filter(|id| !ongoing(id) && watched(id)).map(str::to_owned).collect();
        over.iter().filter_map(|id| self.notifier.resolve(id, observation.until)).collect()
    }
}

/// The folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::Severity;

    use super::*;
    use crate::Status;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_seconds(hour * 3600)
    }

    fn candidate(id: &str, severity: Severity, hours: (i64, i64), ongoing: bool) -> AlertCandidate {
        let series = id.split('/').next().unwrap();
        AlertCandidate { ongoing, ..AlertCandidate::new(id, series, severity, at(hours.0), at(hours.1)) }
    }

    fn statuses(news: &News) -> Vec<(&str, Status)> {
        news.alerts.iter().map(|a| (a.incident.as_str(), a.status)).collect()
    }

    #[test]
    fn the_first_run_announces_what_goes_on() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let past = candidate("a/x", Severity::High, (1, 5), false);
        let just_over = candidate("b/x", Severity::High, (1, 10), false);
        let now = candidate("c/x", Severity::High, (8, 10), true);
        let news = state.update(&Observation::new(at(10), vec![past, just_over, now]));
        let expected = [("b/x", Status::Firing), ("b/x", Status::Resolved), ("c/x", Status::Firing)];
        assert_eq!(statuses(&news), expected);
        assert_eq!(state.open().collect::<Vec<_>>(), ["c/x"]);
    }

    #[test]
    fn later_runs_announce_changes_once() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let mut look = |hour, found: Vec<AlertCandidate>| state.update(&Observation::new(at(hour), found));
        assert!(look(10, vec![]).alerts.is_empty());
        let medium = candidate("a/x", Severity::Medium, (10, 11), true);
        assert_eq!(statuses(&look(11, vec![medium.clone()])), [("a/x", Status::Firing)]);
        assert!(look(11, vec![medium.clone()]).alerts.is_empty(), "the same table again");
        // Its first hour moves as data come in: still the same.
        let moved = candidate("a/x", Severity::Medium, (9, 12), true);
        assert!(look(12, vec![moved]).alerts.is_empty());
        let worse = candidate("a/x", Severity::Critical, (9, 13), true);
        assert_eq!(statuses(&look(13, vec![worse])), [("a/x", Status::Escalated)]);
        assert_eq!(statuses(&look(14, vec![])), [("a/x", Status::Resolved)]);
        assert!(look(15, vec![]).alerts.is_empty());
    }

    #[test]
    fn what_only_later_data_reveal_is_announced_once() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let mut look = |hour, found: &[AlertCandidate]| state.update(&Observation::new(at(hour), found.to_vec()));
        assert!(look(10, &[]).alerts.is_empty());
        assert!(look(15, &[]).alerts.is_empty());
        // It was over by the last look, and is found only now.
        let late = candidate("b/x", Severity::High, (12, 14), false);
        let both = [("b/x", Status::Firing), ("b/x", Status::Resolved)];
        assert_eq!(statuses(&look(16, std::slice::from_ref(&late))), both);
        assert!(look(16, std::slice::from_ref(&late)).alerts.is_empty(), "the same table again");
        // Its hours and its kind may still change.
        let wider = candidate("b/x", Severity::High, (11, 15), false);
        let renamed = candidate("b/y", Severity::High, (12, 15), false);
        assert!(look(17, &[wider, renamed]).alerts.is_empty());
        // Another one of the series is news, one from before the first look is history.
        let before = candidate("b/z", Severity::High, (3, 10), false);
        let other = candidate("b/z", Severity::High, (15, 17), false);
        let news = look(18, &[late.clone(), before, other]);
        assert_eq!(statuses(&news), [("b/z", Status::Firing), ("b/z", Status::Resolved)]);
        // After three days there is nothing to be done about it.
        assert!(look(99, &[]).alerts.is_empty());
        let old = candidate("c/x", Severity::High, (20, 28), false);
        assert!(look(100, std::slice::from_ref(&old)).alerts.is_empty());
        let recent = candidate("c/x", Severity::High, (20, 29), false);
        assert_eq!(look(100, &[recent]).alerts.len(), 2);
    }

    #[test]
    fn what_was_announced_as_it_went_on_is_not_announced_late() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let mut look = |hour, found: &[AlertCandidate]| state.update(&Observation::new(at(hour), found.to_vec()));
        look(10, &[]);
        assert_eq!(look(12, &[candidate("a/x", Severity::High, (10, 12), true)]).alerts.len(), 1);
        assert_eq!(look(15, &[candidate("a/x", Severity::High, (10, 14), false)]).alerts.len(), 1);
        // Hours after the quiet time, found again, in full and in part.
        for found in [(10, 14), (11, 13)] {
            assert!(look(20, &[candidate("a/x", Severity::Critical, found, false)]).alerts.is_empty(), "{found:?}");
        }
        // One of the same name that goes on is not taken for over.
        let goes_on = candidate("a/x", Severity::High, (19, 21), true);
        let earlier = candidate("a/x", Severity::Critical, (16, 18), false);
        assert_eq!(statuses(&look(21, std::slice::from_ref(&goes_on))), [("a/x", Status::Firing)]);
        assert!(look(22, &[earlier, goes_on]).alerts.is_empty());
    }

    #[test]
    fn a_mild_one_is_not_announced_late_either() {
        let config = NotifierConfig { min_severity: Severity::High, ..NotifierConfig::default() };
        let mut state = AlertState::new(config).unwrap();
        state.update(&Observation::new(at(10), vec![]));
        state.update(&Observation::new(at(15), vec![]));
        let mild = candidate("a/x", Severity::Medium, (12, 14), false);
        assert!(state.update(&Observation::new(at(16), vec![mild])).alerts.is_empty());
        let worse = candidate("a/x", Severity::High, (12, 14), false);
        assert_eq!(state.update(&Observation::new(at(17), vec![worse])).alerts.len(), 2);
    }

    #[test]
    fn an_older_table_changes_nothing() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        state.update(&Observation::new(at(10), vec![candidate("a/x", Severity::High, (8, 10), true)]));
        let before = serde_json::to_string(&state).unwrap();
        let news = state.update(&Observation::new(at(9), vec![candidate("b/x", Severity::High, (8, 9), true)]));
        assert!(news.outdated && news.alerts.is_empty());
        assert_eq!(serde_json::to_string(&state).unwrap(), before);
    }

    #[test]
    fn a_series_that_was_not_looked_at_is_not_over() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        state.update(&Observation::new(at(10), vec![candidate("a/x", Severity::High, (8, 10), true)]));
        let without = Observation::new(at(11), vec![]).of_series(["b"]);
        assert!(state.update(&without).alerts.is_empty());
        let with = Observation::new(at(12), vec![]).of_series(["a", "b"]);
        assert_eq!(statuses(&state.update(&with)), [("a/x", Status::Resolved)]);
    }

    #[test]
    fn the_outbox_survives_with_its_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut state = AlertState::load(&path, NotifierConfig::default()).unwrap();
        let news = state.update(&Observation::new(at(10), vec![candidate("a/x", Severity::High, (8, 10), true)]));
        state.save(&path).unwrap();
        let mut again = AlertState::load(&path, NotifierConfig::default()).unwrap();
        assert_eq!(again.outbox(), news.alerts);
        again.retain_outbox(|_| false);
        again.save(&path).unwrap();
        let left = AlertState::load(&path, NotifierConfig::default()).unwrap();
        assert_eq!((left.outbox().len(), left.until()), (0, Some(at(10))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no leftovers");
    }

    #[test]
    fn states_of_the_first_release_are_read_and_settings_are_those_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let old = r#"{"notifier":{"config":{"min_severity":"low","resolved":true,"quiet_seconds":3600},"told":{"a/x":
            {"severity":"high","title":"t","messages":1,"ended":null,"silent":false}}},"until":36000000000}"#;
        fs::write(&path, old).unwrap();
        let config = NotifierConfig { resolved: false, ..NotifierConfig::default() };
        let mut state = AlertState::load(&path, config).unwrap();
        assert_eq!((state.until(), state.open().collect::<Vec<_>>()), (Some(at(10)), vec!["a/x"]));
        assert!(state.update(&Observation::new(at(11), vec![])).alerts.is_empty(), "ends are not announced now");
        for damaged in ["", "{", "[]", r#"{"notifier": 3}"#] {
            fs::write(&path, damaged).unwrap();
            let error = AlertState::load(&path, NotifierConfig::default()).unwrap_err();
            assert!(matches!(error, AlertsError::State { .. }), "{error}");
        }
    }

    #[test]
    fn what_only_touches_something_announced_is_another() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let mut look = |hour, found: &[AlertCandidate]| state.update(&Observation::new(at(hour), found.to_vec()));
        look(10, &[]);
        look(18, &[]);
        assert_eq!(look(19, &[candidate("a/x", Severity::High, (13, 15), false)]).alerts.len(), 2);
        // One hour shared, then none: before and after.
        assert!(look(20, &[candidate("a/y", Severity::High, (12, 14), false)]).alerts.is_empty());
        assert_eq!(look(20, &[candidate("a/y", Severity::High, (12, 13), false)]).alerts.len(), 2);
        assert_eq!(look(20, &[candidate("a/z", Severity::High, (15, 16), false)]).alerts.len(), 2);
    }

    #[test]
    fn an_earlier_one_of_the_same_name_stays_announced() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let mut look = |hour, found: &[AlertCandidate]| state.update(&Observation::new(at(hour), found.to_vec()));
        look(10, &[]);
        look(15, &[]);
        let first = candidate("a/x", Severity::High, (12, 14), false);
        assert_eq!(look(16, std::slice::from_ref(&first)).alerts.len(), 2);
        assert_eq!(look(20, &[candidate("a/x", Severity::High, (17, 19), false)]).alerts.len(), 2);
        assert!(look(25, &[first]).alerts.is_empty());
    }

    #[test]
    fn one_that_goes_on_keeps_no_other_open() {
        let mut state = AlertState::new(NotifierConfig::default()).unwrap();
        let (a, b) = (candidate("a/x", Severity::High, (8, 10), true), candidate("b/x", Severity::High, (8, 10), true));
        state.update(&Observation::new(at(10), vec![a, b.clone()]));
        let news = state.update(&Observation::new(at(11), vec![AlertCandidate { end: at(11), ..b }]));
        assert_eq!(statuses(&news), [("a/x", Status::Resolved)]);
        assert_eq!(state.open().collect::<Vec<_>>(), ["b/x"]);
    }
}
