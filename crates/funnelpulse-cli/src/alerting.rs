//! Telling people.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use funnelpulse::{Findings, Incident, analytics::short, core::Timestamp};
use funnelpulse_alerts::{Alert, DispatchConfig, DispatchReport, Dispatcher, Notifier, NotifierConfig, SinkConfig};
use serde::{Deserialize, Serialize};

use crate::output;

/// Longest wait for receivers; what they have not taken then stays in the spool for the next run.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file of `--alerts`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alerting {
    /// Where to remember what was told.
    state: PathBuf,
    /// Who is told.
    sinks: Vec<SinkConfig>,
    /// What is told.
    #[serde(default)]
    notifier: NotifierConfig,
    /// How fast, and where undelivered messages wait.
    #[serde(default)]
    dispatch: DispatchConfig,
}

/// What was told before.
#[derive(Debug, Deserialize, Serialize)]
struct State {
    notifier: Notifier,
    /// The end of the data at the last run, microseconds: what was over by then is no news.
    until: i64,
}

/// Tells of incidents that are new, worse or over since the last run.
pub(crate) fn deliver(path: &Path, findings: &Findings) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut config: Alerting = toml::from_str(&text).with_context(|| path.display().to_string())?;
    if config.sinks.is_empty() {
        bail!("{}: sinks: nobody is there to be told", path.display());
    }
    // A spool that nobody named: beside the state, so that no message is lost with the process.
    config.dispatch.spool.get_or_insert_with(|| config.state.with_extension("spool"));
    let state = read_state(&config)?;
    let end = findings.series().iter().filter_map(|s| s.time.last()).max().copied();
    let Some(end) = end.map(|last| last.floor_to(Timestamp::HOUR).offset(Timestamp::HOUR)) else { return Ok(()) };
    let (state, messages) = news(state, findings, end);

    let sinks = config.sinks.iter().map(SinkConfig::build).collect::<Result<Vec<_>, _>>()?;
    let dispatcher = Dispatcher::new(config.dispatch.clone(), sinks)?;
    let sent = messages.len();
    for message in messages {
        if let Err(refused) = dispatcher.send(message) {
            bail!("alert `{}` could not be queued", refused.0.id);
        }
    }
    // Only what has been handed over counts as told.
    dispatcher.flush(PATIENCE);
    write_state(&config.state, &state)?;
    summarize(sent, &dispatcher.shutdown(Duration::ZERO));
    Ok(())
}

fn read_state(config: &Alerting) -> anyhow::Result<State> {
    match fs::read_to_string(&config.state) {
        Ok(text) => serde_json::from_str(&text).with_context(|| config.state.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(State { notifier: Notifier::new(config.notifier.clone())?, until: i64::MIN })
        }
        Err(error) => Err(error).with_context(|| config.state.display().to_string()),
    }
}

/// Written aside, then renamed: a crash leaves the old state.
fn write_state(path: &Path, state: &State) -> anyhow::Result<()> {
    let aside = path.with_extension("new");
    output::write_text(&aside, &serde_json::to_string(state)?)?;
    fs::rename(&aside, path).with_context(|| path.display().to_string())
}

/// What is to be told, and the state after it.
fn news(mut state: State, findings: &Findings, end: Timestamp) -> (State, Vec<Alert>) {
    let broken = findings.site_incidents().iter().filter(|i| i.kind.breaks_the_site());
    let mut incidents: Vec<&Incident> = broken.chain(findings.incidents()).collect();
    incidents.sort_by_key(|i| (i.start, i.id.clone()));
    let mut messages = Vec::new();
    // The first run tells what goes on, not all of history.
    let since = if state.until == i64::MIN { end.as_micros() - 1 } else { state.until };
    for incident in incidents.iter().filter(|i| i.ongoing || i.end.as_micros() > since) {
        messages.extend(state.notifier.raise(alert(incident, end)));
        if !incident.ongoing {
            messages.extend(state.notifier.resolve(&key(incident), incident.end));
        }
    }
    // What was told, is not found any more, and is not just starting over.
    let ongoing: Vec<String> = incidents.iter().filter(|i| i.ongoing).map(|i| key(i)).collect();
    let over: Vec<String> =
        state.notifier.open().filter(|open| !ongoing.iter().any(|o| o == open)).map(str::to_owned).collect();
    for incident in over {
        messages.extend(state.notifier.resolve(&incident, end));
    }
    state.until = end.as_micros();
    (state, messages)
}

/// An incident is known by its series and kind: its first hour may move as later hours come in.
fn key(incident: &Incident) -> String {
    format!("{}/{}", incident.series, incident.kind)
}

fn alert(incident: &Incident, found: Timestamp) -> Alert {
    let mut alert = Alert::new(key(incident), incident.severity, found);
    alert.title = format!("{} {} in {}", incident.priority, incident.kind.as_str().replace('_', " "), incident.series);
    alert.text.clone_from(&incident.summary);
    let mut field = |name: &str, value: String| alert.fields.insert(name.to_owned(), value);
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
    alert
}

/// The alert of an incident as it stands in `alerts.jsonl`.
pub(crate) fn as_json(incident: &Incident) -> serde_json::Value {
    serde_json::json!(alert(incident, incident.end))
}

fn summarize(sent: usize, report: &DispatchReport) {
    output::note(format_args!("{sent} {} to tell", if sent == 1 { "message" } else { "messages" }));
    for (sink, report) in &report.sinks {
        let error = report.last_error.as_ref().map(|e| format!(", last error: {e}")).unwrap_or_default();
        output::note(format_args!(
            "  {sink}: {} delivered, {} refused, {} wait for the next run{error}",
            report.delivered, report.rejected, report.pending
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_strictly() {
        let text = "state = 'told.json'\n[[sinks]]\nkind = 'json_lines'\n[notifier]\nmin_severity = 'high'";
        let config: Alerting = toml::from_str(text).unwrap();
        assert_eq!(config.sinks.len(), 1);
        assert!(toml::from_str::<Alerting>("state = 'a'\nsink = []").is_err());
    }
}
