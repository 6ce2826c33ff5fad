//! What may be worth an alert.

use std::collections::{BTreeMap, BTreeSet};

use funnelpulse_core::{Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Alert;

/// Something that a program found and that may be worth an alert: an incident, an episode of
/// anomalous rows, a check that fails.
///
/// ```
/// use funnelpulse_alerts::AlertCandidate;
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let at = |hour: i64| Timestamp::from_seconds(hour * 3600);
/// let mut outage = AlertCandidate::new("runail/checkout", "runail", Severity::High, at(5), at(8));
/// outage.ongoing = true;
/// outage.title = "No purchases in runail".into();
/// assert_eq!(outage.alert(at(8)).incident, "runail/checkout");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCandidate {
    /// The name of what happened, the same whenever it is found again. It may come back later
    /// under the same name.
    pub id: String,
    /// The series in which it happened.
    pub series: String,
    /// How bad it is.
    pub severity: Severity,
    /// Its start.
    pub start: Timestamp,
    /// Its end so far.
    pub end: Timestamp,
    /// Whether it lasts until the end of the data.
    pub ongoing: bool,
    /// One line.
    pub title: String,
    /// A paragraph.
    pub message: String,
    /// More facts, by name.
    pub fields: BTreeMap<String, String>,
}

impl AlertCandidate {
    /// One that is over, without a text yet.
    pub fn new(
        id: impl Into<String>,
        series: impl Into<String>,
        severity: Severity,
        start: Timestamp,
        end: Timestamp,
    ) -> Self {
        let (title, message, fields) = Default::default();
        Self { id: id.into(), series: series.into(), severity, start, end, ongoing: false, title, message, fields }
    }

    /// The alert about it, found at `time`.
    pub fn alert(&self, time: Timestamp) -> Alert {
        Alert {
            title: self.title.clone(),
            text: self.message.clone(),
            fields: self.fields.clone(),
            ..Alert::new(&self.id, self.severity, time)
        }
    }
}

/// What a program saw in one look at its data.
///
/// ```
/// use funnelpulse_alerts::Observation;
/// use funnelpulse_core::Timestamp;
///
/// let quiet = Observation::new(Timestamp::from_seconds(3600), Vec::new()).of_series(["runail", "irisk"]);
/// assert!(quiet.watches("irisk") && !quiet.watches("domix"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The end of the data.
    pub until: Timestamp,
    /// What was found in them, old and new.
    pub candidates: Vec<AlertCandidate>,
    /// The series that were looked at; `None` stands for all there are.
    pub series: Option<BTreeSet<String>>,
}

impl Observation {
    /// A look at all series.
    pub fn new(until: Timestamp, candidates: Vec<AlertCandidate>) -> Self {
        Self { until, candidates, series: None }
    }

    /// A look at some series. What happened in others, because they could not be scored for example,
    /// is neither worse nor over.
    pub fn of_series<S: Into<String>>(mut self, series: impl IntoIterator<Item = S>) -> Self {
        self.series = Some(series.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a series was looked at.
    pub fn watches(&self, series: &str) -> bool {
        self.series.as_ref().is_none_or(|all| all.contains(series))
            || self.candidates.iter().any(|c| c.series == series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_says_what_the_candidate_does() {
        let at = |hour: i64| Timestamp::from_seconds(hour * 3600);
        let fields = BTreeMap::from([("lost".to_owned(), "7 purchases".to_owned())]);
        let candidate = AlertCandidate {
            title: "No purchases".into(),
            message: "Visitors choose and do not buy.".into(),
            fields: fields.clone(),
            ..AlertCandidate::new("a/x", "a", Severity::High, at(5), at(8))
        };
        let alert = candidate.alert(at(9));
        assert_eq!((alert.incident.as_str(), alert.severity, alert.time), ("a/x", Severity::High, at(9)));
        assert_eq!((alert.title.as_str(), alert.text), ("No purchases", candidate.message));
        assert_eq!(alert.fields, fields);
    }
}
