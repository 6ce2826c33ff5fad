//! Incidents over time: one name each, and what changed.

use std::collections::BTreeMap;

use funnelpulse_analytics::{Findings, Incident, Priority};
use funnelpulse_core::{IncidentKind, SeriesKey, Severity, Timestamp};

use super::{IncidentChange, LiveIncident};

/// An incident that was reported.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    id: String,
    last_seen: Incident,
}

/// The incidents of each series that lie in the rows that are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Incidents(BTreeMap<SeriesKey, Vec<Followed>>);

/// What makes an incident worth another message.
fn essence(incident: &Incident) -> (IncidentKind, Severity, Priority, bool) {
    (incident.kind, incident.severity, incident.priority, incident.ongoing)
}

impl Incidents {
    /// Compares what is found now with what was reported. `kept_since` is the time of the first
    /// row that is kept: what ended before it is forgotten.
    pub(super) fn update(&mut self, findings: &Findings, kept_since: Timestamp) -> Vec<LiveIncident> {
        let mut changes = Vec::new();
        let mut now: BTreeMap<&SeriesKey, Vec<&Incident>> = BTreeMap::new();
        for series in findings.series() {
            now.insert(&series.series, series.incidents.iter().collect());
        }
        for incident in findings.site_incidents() {
            now.entry(&incident.series).or_default().push(incident);
        }
        let known: Vec<SeriesKey> = self.0.keys().cloned().collect();
        for series in known.iter().filter(|series| !now.contains_key(series)) {
            // Nothing was found out about it in this step.
            if findings.failures().iter().all(|f| f.series != *series) {
                changes.extend(self.of_series(series, &[], kept_since));
            }
        }
        for (series, incidents) in now {
            changes.extend(self.of_series(series, &incidents, kept_since));
        }
        self.0.retain(|_, followed| !followed.is_empty());
        changes
    }

    fn of_series(&mut self, series: &SeriesKey, now: &[&Incident], kept_since: Timestamp) -> Vec<LiveIncident> {
        let followed = self.0.entry(series.clone()).or_default();
        let mut before = std::mem::take(followed);
        let mut changes = Vec::new();
        for &incident in now {
            let same = before.iter().position(|f| overlap(&f.last_seen, incident));
            let (id, change) = match same.map(|at| before.remove(at)) {
                None => (incident.id.clone(), Some(IncidentChange::Opened)),
                Some(f) => {
                    let ended = f.last_seen.ongoing && !incident.ongoing;
                    let changed = essence(&f.last_seen) != essence(incident);
                    let change = if ended { IncidentChange::Ended } else { IncidentChange::Changed };
                    (f.id, (ended || changed).then_some(change))
                }
            };
            if let Some(change) = change {
                changes.push(LiveIncident { id: id.clone(), change, incident: incident.clone() });
            }
            followed.push(Followed { id, last_seen: incident.clone() });
        }
        for gone in before.into_iter().filter(|f| f.last_seen.end > kept_since) {
            let Followed { id, last_seen } = gone;
            changes.push(LiveIncident { id, change: IncidentChange::Withdrawn, incident: last_seen });
        }
        changes
    }

    /// The names of the incidents that are followed, with their series and first hour.
    pub(super) fn names(&self) -> Vec<(SeriesKey, Timestamp, String)> {
        let all = self.0.iter().flat_map(|(series, followed)| followed.iter().map(move |f| (series, f)));
        all.map(|(series, f)| (series.clone(), f.last_seen.start, f.id.clone())).collect()
    }

    /// What is followed after a restart: incidents that are found again under the names they had.
    pub(super) fn restore(&mut self, findings: &Findings, names: &[(SeriesKey, Timestamp, String)]) {
        let all = findings.series().iter().flat_map(|s| &s.incidents).chain(findings.site_incidents());
        for incident in all {
            let named = names.iter().find(|(series, start, _)| *series == incident.series && *start == incident.start);
            let Some((_, _, id)) = named else { continue };
            let followed = Followed { id: id.clone(), last_seen: incident.clone() };
            self.0.entry(incident.series.clone()).or_default().push(followed);
        }
    }
}

/// Whether two views are of the same incident.
fn overlap(a: &Incident, b: &Incident) -> bool {
    a.start < b.end && b.start < a.end
}
