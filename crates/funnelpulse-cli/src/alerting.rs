//! From incidents to alerts.

use std::path::Path;

use anyhow::Context;
use funnelpulse::{Findings, Incident, analytics::short, core::Timestamp};
use funnelpulse_alerts::{Alert, AlertCandidate, AlertsConfig, Observation};

use crate::output;

/// Reads and checks the settings of `--alerts`, where there are some: before the work, so that a
/// mistake in them costs no time and no alert.
pub(crate) fn check(path: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = path {
        AlertsConfig::load(path)?;
    }
    Ok(())
}

/// Sends what is news in the findings. Returns whether messages are left for the next run.
pub(crate) fn deliver(path: &Path, findings: &Findings) -> anyhow::Result<bool> {
    let alerts = AlertsConfig::load(path)?;
    let Some(observation) = observation(findings) else { return Ok(false) };
    let delivery = alerts.deliver(&observation).with_context(|| path.display().to_string())?;
    output::note(&delivery);
    let left = delivery.waiting() > 0;
    if left {
        output::note(format_args!(
            "warning: {} deliveries were not acknowledged within {} seconds; they are sent again by the next run",
            delivery.waiting(),
            alerts.config().dispatch.patience_seconds
        ));
    }
    Ok(left)
}

/// What the findings show, up to the end of the data; `None` without a row.
fn observation(findings: &Findings) -> Option<Observation> {
    let last = findings.series().iter().filter_map(|s| s.time.last()).max()?;
    // The end of the last row: rows may be days.
    let ends = findings.incidents().into_iter().map(|i| i.end);
    let until = ends.fold(last.floor_to(Timestamp::HOUR).offset(Timestamp::HOUR), Timestamp::max);
    let site = findings.site_incidents().iter().filter(|i| i.is_alarm());
    let candidates = site.chain(findings.incidents()).map(candidate).collect();
    // What happens to a series that is not in the table, or could not be scored, is not over.
    let scored = findings.series().iter().map(|s| s.series.as_str().to_owned());
    Some(Observation::new(until, candidates).of_series(scored.chain([funnelpulse::core::SITE.to_owned()])))
}

/// An incident is known by its series and kind: its first hour may move as later hours come in.
fn candidate(incident: &Incident) -> AlertCandidate {
    let id = format!("{}/{}", incident.series, incident.kind);
    let mut found = AlertCandidate::new(id, incident.series.as_str(), incident.severity, incident.start, incident.end);
    found.ongoing = incident.ongoing;
    found.title = format!("{} {} in {}", incident.priority, incident.kind.as_str().replace('_', " "), incident.series);
    found.message.clone_from(&incident.summary);
    let mut field = |name: &str, value: String| found.fields.insert(name.to_owned(), value);
    field("start", incident.start.to_string());
    field("priority", incident.priority.to_string());
    if let Some(revenue) = incident.impact.revenue {
        field("revenue", short(revenue));
    }
    if let Some(stage) = &incident.stage {
        field("stage", stage.replace('_', " "));
    }
    if let Some(place) = &incident.place {
        field("where", place.to_string());
    }
    found
}

/// The alert of an incident as it stands in `alerts.jsonl`.
pub(crate) fn as_json(incident: &Incident) -> serde_json::Value {
    let alert: Alert = candidate(incident).alert(incident.end);
    serde_json::json!(alert)
}
