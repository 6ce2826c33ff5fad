//! From incidents to alerts.

use std::path::Path;

use anyhow::Context;
use funnelpulse::{Findings, Incident, alert_candidate, core::counted, observation};
use funnelpulse_alerts::{Alert, AlertsConfig};

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
            "warning: {} not acknowledged within {}; the next run sends again what is left",
            counted(delivery.waiting(), "delivery", "deliveries"),
            counted(alerts.config().dispatch.patience_seconds, "second", "seconds")
        ));
    }
    Ok(left)
}

/// The alert of an incident as it stands in `alerts.jsonl`.
pub(crate) fn as_json(incident: &Incident) -> serde_json::Value {
    let alert: Alert = alert_candidate(incident).alert(incident.end);
    serde_json::json!(alert)
}
