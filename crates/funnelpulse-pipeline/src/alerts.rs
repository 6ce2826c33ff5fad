//! From findings to what may be worth an alert.

use funnelpulse_alerts::{AlertCandidate, Observation};
use funnelpulse_analytics::{Findings, Incident, short};
use funnelpulse_core::{GROUP, SITE, SeriesKey, Timestamp};

/// What findings show, up to the end of the data; `None` without a row. Of the incidents of the
/// whole site only those that are [alarms](Incident::is_alarm).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_pipeline::observation;
///
/// let findings = pipeline()?.run(&shop(120))?;
/// let observation = observation(&findings).unwrap();
/// assert!(observation.candidates.iter().any(|c| c.series == "runail"));
/// assert!(observation.watches("irisk"));
/// # Ok(())
/// # }
/// ```
pub fn observation(findings: &Findings) -> Option<Observation> {
    let last = findings.series().iter().filter_map(|s| s.time.last()).max()?;
    // The end of the last row: rows may be days.
    let ends = findings.incidents().into_iter().map(|i| i.end);
    let until = ends.fold(last.floor_to(Timestamp::HOUR).offset(Timestamp::HOUR), Timestamp::max);
    let site = findings.site_incidents().iter().filter(|i| i.is_alarm());
    let candidates = site.chain(findings.incidents()).map(alert_candidate).collect();
    // What happens to a series that is not in the table, or could not be scored, is not over.
    let scored = findings.series().iter().map(|s| s.series.as_str().to_owned());
    Some(Observation::new(until, candidates).of_series(scored.chain([SITE.to_owned(), GROUP.to_owned()])))
}

/// An incident as a candidate for an alert. It is known by its series and kind: its first hour may
/// move as later hours come in.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let findings = pipeline()?.run(&shop(120))?;
/// let incident = findings.incidents()[0];
/// let candidate = funnelpulse_pipeline::alert_candidate(incident);
/// assert_eq!(candidate.id, format!("{}/{}", incident.series, incident.kind));
/// assert_eq!(candidate.message, incident.summary);
/// # Ok(())
/// # }
/// ```
pub fn alert_candidate(incident: &Incident) -> AlertCandidate {
    let id = format!("{}/{}", incident.series, incident.kind);
    let mut found = AlertCandidate::new(id, incident.series.as_str(), incident.severity, incident.start, incident.end);
    found.ongoing = incident.ongoing;
    let place = match incident.members.len() {
        0 => incident.series.to_string(),
        number => format!("{number} series"),
    };
    found.title = format!("{} {} in {place}", incident.priority, incident.kind.as_str().replace('_', " "));
    found.message.clone_from(&incident.summary);
    let mut field = |name: &str, value: String| found.fields.insert(name.to_owned(), value);
    field("start", incident.start.to_string());
    field("priority", incident.priority.to_string());
    if let Some(revenue) = incident.impact.revenue {
        field("revenue", short(revenue));
    }
    if !incident.members.is_empty() {
        let names: Vec<&str> = incident.members.iter().map(SeriesKey::as_str).collect();
        field("series", names.join(", "));
    }
    if let Some(stage) = &incident.stage {
        field("stage", stage.replace('_', " "));
    }
    if let Some(place) = &incident.place {
        field("where", place.to_string());
    }
    found
}
